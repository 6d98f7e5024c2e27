"""A mailer for a machine without mail: every message becomes a file that any mail program opens."""

import logging
import os
import re
import secrets
from contextlib import suppress
from email.message import EmailMessage
from email.policy import SMTP, SMTPUTF8
from pathlib import Path

from tailrace.mailer.contract import MailUnavailable

_log = logging.getLogger(__name__)
_UNSAFE = re.compile(r"[^A-Za-z0-9._@+=-]+")


class FileMailer:
    """Writes each message to `FOLDER/MESSAGE-ID.eml`; the same message sent twice is one file."""

    delivers = False

    def __init__(self, folder: Path | str) -> None:
        """Use `folder`, which is made when the first message comes."""
        self.folder = Path(folder).absolute()

    def describe(self) -> str:
        """See `Mailer.describe`."""
        return (
            f"No mail server is set: each mail is only written to a file in {self.folder}, and nobody gets it. "
            "To have mails sent, set TAILRACE_MAIL_URL, such as smtp+starttls://USER:PASSWORD@HOST:587, and start "
            "Tailrace again."
        )

    def send(self, message: EmailMessage) -> None:
        """See `Mailer.send`. The message is on the disk, whole, when this returns."""
        path = self.path_of(str(message["Message-ID"] or secrets.token_hex(16)))
        try:
            self._write(path, message.as_bytes(policy=SMTP if str(message["To"]).isascii() else SMTPUTF8))
        except OSError as error:
            raise MailUnavailable(f"The mail folder {self.folder} cannot be written: {error.strerror}.") from error
        _log.info("mail for %s: %s (%s)", message["To"], message["Subject"], path)

    def path_of(self, message_id: str) -> Path:
        """Return the file of the message with this Message-ID."""
        return self.folder / f"{_UNSAFE.sub('_', message_id.strip('<> ')).lstrip('.')[:200]}.eml"

    def check(self) -> None:
        """See `Mailer.check`."""
        try:
            self._write(self.folder / ".probe", b"probe")
            (self.folder / ".probe").unlink(missing_ok=True)
        except OSError as error:
            raise MailUnavailable(f"The mail folder {self.folder} cannot be written: {error.strerror}.") from error

    def _write(self, path: Path, data: bytes) -> None:
        self.folder.mkdir(mode=0o700, parents=True, exist_ok=True)
        temporary = self.folder / f".{secrets.token_hex(8)}"
        try:
            with open(os.open(temporary, os.O_WRONLY | os.O_CREAT | os.O_EXCL, 0o600), "wb") as file:
                file.write(data)
                file.flush()
                os.fsync(file.fileno())
            os.replace(temporary, path)
        except OSError:
            with suppress(OSError):
                temporary.unlink()
            raise
        folder = os.open(self.folder, os.O_RDONLY)
        try:
            os.fsync(folder)
        finally:
            os.close(folder)
