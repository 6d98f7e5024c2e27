"""Follows a growing file line by line, through rotations, without losing or repeating a line."""

import asyncio
import os
from collections import deque
from collections.abc import AsyncGenerator, Iterator
from pathlib import Path
from typing import BinaryIO

_LOOK_EVERY_S = 0.25
_BLOCK = 64 * 1024


def last_lines(path: Path, count: int) -> list[bytes]:
    """Return the last `count` whole lines of a file as it is now; none if it is missing."""
    reader = _Reader(path)
    try:
        return reader.last(count)
    finally:
        reader.close()


class Tail:
    """The last `lines` lines of a file as it is now, and a place behind them from which to follow it.

    Making one reads the file, and may block; where it stands is settled from then on, so that what is written before
    the first line is sent to anybody is not missed.
    """

    def __init__(self, path: Path, *, lines: int) -> None:
        """Read the last `lines` lines of `path`, which may be missing as yet."""
        self._reader = _Reader(path)
        self._last = self._reader.last(lines)

    async def read(self, *, follow: bool) -> AsyncGenerator[bytes, None]:
        """Yield those lines, then, with `follow`, every new one for ever; b"" when there is none.

        A line is yielded once it is whole. When the name comes to mean another file, the old one is read to its end
        first. The empty yields come every quarter of a second, so that whoever iterates can stop.
        """
        try:
            for line in self._last:
                yield line
            while follow:
                fresh = await asyncio.to_thread(self._reader.more)
                yield fresh
                if not fresh:
                    await asyncio.sleep(_LOOK_EVERY_S)
        finally:
            self._reader.close()


class _Reader:
    def __init__(self, path: Path) -> None:
        self._path = path
        self._file: BinaryIO | None = None
        self._rest = b""

    def last(self, count: int) -> list[bytes]:
        """Return the last whole lines of the present file, and stand behind them."""
        if not self._open():
            return []
        kept: deque[bytes] = deque(maxlen=count)
        kept.extend(self._whole_lines())
        return list(kept)

    def more(self) -> bytes:
        """Return what has come since, in whole lines."""
        if self._file is None and not self._open():
            return b""
        fresh = b"".join(self._whole_lines())
        if fresh or not self._replaced():
            return fresh
        # Nobody writes to the old file any more than a moment after the rename: its end has been read twice by now.
        fresh = b"".join(self._whole_lines())
        self.close()
        return fresh

    def close(self) -> None:
        if self._file is not None:
            self._file.close()
        self._file, self._rest = None, b""

    def _open(self) -> bool:
        try:
            self._file = self._path.open("rb")
        except FileNotFoundError:
            return False
        return True

    def _whole_lines(self) -> Iterator[bytes]:
        assert self._file is not None
        while block := self._file.read(_BLOCK):
            *whole, self._rest = (self._rest + block).split(b"\n")
            yield from (line + b"\n" for line in whole)

    def _replaced(self) -> bool:
        assert self._file is not None
        try:
            present = self._path.stat()
        except FileNotFoundError:
            return False
        opened = os.fstat(self._file.fileno())
        return (present.st_dev, present.st_ino) != (opened.st_dev, opened.st_ino)
