"""A ZIP archive of files in storage, written as it is made, in memory that does not grow with the files.

Nothing is compressed: pictures are already. ZIP64 comes in by itself where an archive has over 65,535 files or 4 GB.
"""

import hashlib
from collections.abc import Callable, Iterable, Iterator, Sequence

from zipstream import ZipStream  # type: ignore[import-untyped]  # the library has no annotations

from tailrace.storage import ObjectMissing, Storage

MANIFEST = "manifest.csv"
_BYTES_AT_ONCE = 64 * 1024
_DANGEROUS = ("=", "+", "-", "@", "\t", "\r")


class FileLost(Exception):
    """A file is not in storage, or not what was stored."""


class Archive:
    """An archive that is being written."""

    def __init__(self, write: Callable[[bytes], None]) -> None:
        """Make an archive whose bytes are given to `write`."""
        self._write = write
        self._zip = ZipStream()

    def add_stored(self, path: str, storage: Storage, key: str, *, size: int, sha256: str) -> None:
        """Add the object `key` as the file `path`, every byte of it.

        Raises FileLost if it is missing or has other bytes than `size` and `sha256` say, and StorageUnavailable.
        """
        try:
            if storage.size(key) != size:
                raise FileLost
            digest = hashlib.sha256()
            self._add(path, _hashed(storage.read(key, 0, size), digest.update), size)
        except ObjectMissing as error:
            raise FileLost from error
        if digest.hexdigest() != sha256:
            raise FileLost

    def add_lines(self, path: str, lines: Iterable[bytes], *, size: int) -> None:
        """Add a text file of so many bytes."""
        self._add(path, _joined(lines), size)

    def finish(self) -> None:
        """Write the directory of the archive, without which it is none."""
        self._pass_on(self._zip.footer())

    def _add(self, path: str, pieces: Iterator[bytes], size: int) -> None:
        self._zip.add(pieces, path, size=size)
        self._pass_on(self._zip.file())

    def _pass_on(self, pieces: Iterable[bytes]) -> None:
        for piece in _joined(pieces):
            self._write(piece)


def csv_line(cells: Sequence[str | int | None]) -> bytes:
    """Return a line of CSV as `streams.encode_table` writes it, with an apostrophe before what a spreadsheet would run.

    That is RFC 4180 in UTF-8, but ending in LF: texts are quoted, numbers are not, None is nothing.
    """
    return (",".join(map(_cell, cells)) + "\n").encode()


def _cell(value: str | int | None) -> str:
    if not isinstance(value, str):
        return "" if value is None else str(value)
    guarded = f"'{value}" if value.startswith(_DANGEROUS) else value
    return '"' + guarded.replace('"', '""') + '"'


def _hashed(pieces: Iterable[bytes], update: Callable[[bytes], None]) -> Iterator[bytes]:
    for piece in pieces:
        update(piece)
        yield piece


def _joined(pieces: Iterable[bytes]) -> Iterator[bytes]:
    """Yield small pieces together, for each one costs a call to the system."""
    waiting: list[bytes] = []
    size = 0
    for piece in pieces:
        waiting.append(piece)
        size += len(piece)
        if size >= _BYTES_AT_ONCE:
            yield b"".join(waiting)
            waiting, size = [], 0
    yield b"".join(waiting)
