"""The contract of a storage, and everything that can go wrong with one.

StorageError
├── InvalidKey            the key is not one that a storage accepts
├── ObjectMissing         nothing is stored under the key
├── StorageFull           there is no room for more
└── StorageUnavailable    the storage cannot be used at the moment
    └── StorageRefused    and will not be, until a setting or a right is corrected

Each carries a sentence for the person who runs the service. The last three are worth another attempt later.
"""

import re
from collections.abc import Iterator, Mapping
from contextlib import AbstractContextManager
from datetime import datetime
from typing import Protocol

MAX_KEY_LENGTH = 512
_SEGMENT = re.compile(r"[A-Za-z0-9_@+=-][A-Za-z0-9._@+=-]{0,199}")


class StorageError(Exception):
    """The storage could not do what was asked."""

    def __init__(self, detail: str | None = None) -> None:
        self.detail = detail or self.__doc__ or "The storage failed."
        super().__init__(self.detail)


class InvalidKey(StorageError):
    """This is not a key: segments of letters, digits and `._@+=-`, separated by `/`, none beginning with a dot."""


class ObjectMissing(StorageError):
    """Nothing is stored under this key."""


class StorageFull(StorageError):
    """The storage is full: make room, and the work goes on."""


class StorageUnavailable(StorageError):
    """The storage cannot be used at the moment."""


class StorageRefused(StorageUnavailable):
    """The storage refuses this service: correct its settings, or its rights."""


class Writer(Protocol):
    """Takes the bytes of one new object."""

    @property
    def size(self) -> int:
        """Bytes written so far."""

    @property
    def sha256(self) -> str:
        """SHA-256 of the bytes written so far, in hexadecimal."""

    def write(self, data: bytes) -> None:
        """Append `data`. Raises StorageFull or StorageUnavailable."""


class Storage(Protocol):
    """Keeps objects, which are bytes under a key. Every method blocks and may be called from any thread or process."""

    def write(self, key: str) -> AbstractContextManager[Writer]:
        """Give a writer; when the block ends, the object is under `key`, whole and durable, in place of any before it.

        When the block raises, nothing of it is left, and an object that was there before stays as it was. Write soon:
        what is not written to for half an hour may be taken for a killed process's, and swept away.
        Raises InvalidKey, StorageFull or StorageUnavailable.
        """

    def read(self, key: str, start: int = 0, stop: int | None = None) -> Iterator[bytes]:
        """Yield the object's bytes from offset `start` up to, not including, `stop` (None: its end), in bounded chunks.

        Raises, at the first step, InvalidKey or ObjectMissing; at any step StorageUnavailable, also when the object
        ends before `stop`: what is yielded to the end is complete.
        """

    def size(self, key: str) -> int:
        """Return the object's length in bytes. Raises InvalidKey, ObjectMissing or StorageUnavailable."""

    def modified(self, key: str) -> datetime:
        """Return when the object became whole, or its last bytes were written, in UTC; raises as `size` does."""

    def exists(self, key: str) -> bool:
        """Return whether an object is stored under `key`. Raises InvalidKey or StorageUnavailable."""

    def delete(self, key: str) -> None:
        """Remove the object; a missing one is fine. Raises InvalidKey or StorageUnavailable."""

    def keys(self, prefix: str = "") -> Iterator[str]:
        """Yield every key below `prefix`, which is made of whole segments (`reports`), in no particular order.

        Raises InvalidKey or StorageUnavailable.
        """

    def link(self, key: str, headers: Mapping[str, str]) -> str | None:
        """Return an address where whoever has it can fetch the object for five minutes, served with `headers`.

        They are Content-Type, Content-Disposition and Cache-Control; others are ignored. None where objects are read
        through this storage alone. Raises InvalidKey or StorageUnavailable; a missing object is not noticed.
        """

    def sweep(self) -> int:
        """Remove what writes left behind that were interrupted over half an hour ago; return how many.

        Raises StorageUnavailable.
        """

    def check(self) -> None:
        """Write and remove a probe. Raises StorageFull, StorageRefused or StorageUnavailable, with a sentence."""


def check_key(key: str) -> str:
    """Return `key` if every storage accepts it; raises InvalidKey."""
    segments = key.split("/")
    if len(key) > MAX_KEY_LENGTH or not all(_SEGMENT.fullmatch(segment) for segment in segments):
        raise InvalidKey(f"{key[:80]!r} is no storage key. {InvalidKey.__doc__}")
    return key
