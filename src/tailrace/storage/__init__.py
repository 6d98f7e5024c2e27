"""Where files live: one contract, and behind it a folder (`local`) or an S3 bucket (`s3`, an extra).

An object appears under its key whole or not at all, and an object that is there is complete.
"""

from tailrace.storage.contract import (
    InvalidKey,
    ObjectMissing,
    Storage,
    StorageError,
    StorageFull,
    StorageRefused,
    StorageUnavailable,
    Writer,
    check_key,
)
from tailrace.storage.local import LocalStorage

__all__ = [
    "InvalidKey",
    "LocalStorage",
    "ObjectMissing",
    "Storage",
    "StorageError",
    "StorageFull",
    "StorageRefused",
    "StorageUnavailable",
    "Writer",
    "check_key",
]
