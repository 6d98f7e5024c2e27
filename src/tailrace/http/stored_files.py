"""Files in storage as downloads: for every feature that keeps some."""

from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from typing import Annotated, cast

from fastapi import Depends
from starlette.requests import HTTPConnection

from tailrace.errors import Unavailable
from tailrace.storage import Storage, StorageError


async def _storage(connection: HTTPConnection) -> Storage:
    return cast(Storage, connection.app.state.storage)


StorageDep = Annotated[Storage, Depends(_storage)]


@dataclass(frozen=True, slots=True)
class StoredFile:
    """An object in a storage as the source of a download."""

    storage: Storage
    key: str
    size: int
    sha256: str

    def read(self, start: int, stop: int) -> Iterator[bytes]:
        """Yield the bytes from `start` up to, not including, `stop`; raises StorageError."""
        return self.storage.read(self.key, start, stop)

    def link(self, headers: Mapping[str, str]) -> str | None:
        """Return where a client can fetch it with `headers`, or None if only through the service."""
        return self.storage.link(self.key, headers)


def stored_file(storage: Storage, key: str, *, size: int, sha256: str) -> StoredFile:
    """Return an object as the source of a download, after a look at it: trouble is then a refusal, and no broken body.

    Raises Unavailable if it is not there, or has not the size that is known of it.
    """
    try:
        actual = storage.size(key)
    except StorageError as error:
        raise Unavailable("The storage cannot give this file at the moment: try again later.") from error
    if actual != size:
        raise Unavailable(f"The file in storage has {actual} bytes instead of {size}: restore it, or ask for another.")
    return StoredFile(storage, key, size, sha256)
