"""What only this machine has, which nobody notices until jobs run on another one."""

from tailrace.operations.checks import Finding
from tailrace.storage import LocalStorage, Storage


def find_unshared(storage: Storage, *, has_own_key: bool) -> list[Finding]:
    """Return a warning for each thing that workers on other machines would miss.

    That is a folder of files, and the key that signs links if this machine has made its own (`has_own_key`).
    """
    found = []
    if isinstance(storage, LocalStorage):
        detail = f"Files are kept in {storage.folder}, which workers on other machines do not see."
        cure = "Set TAILRACE_STORAGE_URL=s3://BUCKET/PREFIX, or mount that folder on all of them."
        found.append(Finding("files", "warn", detail, cure))
    if has_own_key:
        detail = "The key that signs links was made on this machine, and each of the others makes its own."
        found.append(Finding("key", "warn", detail, "Set TAILRACE_SECRET to the same on all of them."))
    return found
