"""The settings that a copy is started with, as lines that an environment file and a shell both take."""

import re
import shlex
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from tailrace.bootstrap import Tailrace

_SHARED = (
    "# The files stay where they are, the old installation's and the new one's at once: what one deletes, the other",
    "# misses. For an old one that stays whole, copy again, to a new database, with --to-storage file:///FOLDER or",
    "# s3://BUCKET/PREFIX.",
)
_PLAIN_KEY = re.compile(rb"[A-Za-z0-9_+/=.:@%,-]+")


def lines_of_settings(old: "Tailrace", to: str, to_storage: str | None) -> list[str]:
    """Return the lines to start the copy of `old` with, the secret and the database's password in clear.

    `to` is the address of its database and `to_storage` that of its files; None leaves them where they are. Remarks are
    lines of their own that begin with `#`: systemd and Docker take one behind a value for a part of it.
    """
    lines = ["# In a shell, type `set -a` before these lines.", _assignment("DATABASE_URL", to)]
    lines += _lines_of_shared_storage(old) if to_storage is None else [_assignment("STORAGE_URL", to_storage)]
    return [*lines, *_lines_of_secret(old), "# All other settings stay as they are."]


def _lines_of_shared_storage(old: "Tailrace") -> list[str]:
    from tailrace.storage import LocalStorage

    storage, address = old.storage, old.settings.storage_url
    if isinstance(storage, LocalStorage):
        address = f"file://{storage.folder}"
    return [*_SHARED, _assignment("STORAGE_URL", str(address))]


def _lines_of_secret(old: "Tailrace") -> list[str]:
    if old.settings.secret is not None:
        return []
    if _PLAIN_KEY.fullmatch(old.secret):
        remark = "# The key that signs links: with another, those in old mails fail."
        return [remark, _assignment("SECRET", old.secret.decode())]
    # Any bytes make a key, but not any can be written into a file of settings.
    file = old.settings.data.absolute() / "secret.key"
    return [f"# Copy {file} into the new data folder, or links in old mails fail."]


def _assignment(name: str, value: str) -> str:
    # In single quotes, where it needs any, a value is taken as it stands by all who read such files.
    return f"TAILRACE_{name}={shlex.quote(value)}"
