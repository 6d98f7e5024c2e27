"""Boxes of the ISO base media file format (ISO/IEC 14496-12): each has a length, a name, and content or more boxes."""

from collections.abc import Callable
from typing import TypeAlias

from tailrace.photos.inspection.findings import Findings
from tailrace.photos.inspection.wants import Read, Scan, Skip

MAX_FIELDS = 64 * 1024
Handler: TypeAlias = Callable[[bytes, int], Scan[None]]


class Fields:
    """The numbers in a box of a few kilobytes, one after the other."""

    def __init__(self, found: Findings, content: bytes) -> None:
        self._found = found
        self._content = content
        self._at = 0

    def take(self, size: int) -> int:
        """Return the next number, of `size` bytes. Raises BrokenPicture if the box ends before."""
        if self._at + size > len(self._content):
            raise self._found.broken("has a box that is too short for what is in it")
        self._at += size
        return int.from_bytes(self._content[self._at - size : self._at])


def read_fields(found: Findings, size: int) -> Scan[Fields]:
    """Read the content of a box as fields. Raises BrokenPicture if there are far too many."""
    if size > MAX_FIELDS:
        raise found.broken("has a list in it that is far too long")
    return Fields(found, (yield Read(size)))


def walk_boxes(found: Findings, left: int, handle: Handler) -> Scan[None]:
    """Hand every box within the next `left` bytes to `handle`, with its name and the size of its content, to pass over.

    Raises BrokenPicture for a box that is larger than the one it is in.
    """
    while left >= 8:
        header = yield Read(8)
        left -= 8
        size = int.from_bytes(header[:4]) - 8
        if size == 1 - 8 and left >= 8:
            size = int.from_bytes((yield Read(8))) - 16
            left -= 8
        if not 0 <= size <= left:
            raise found.broken("has a box that is larger than the one it is in, or smaller than nothing")
        yield from handle(header[4:], size)
        left -= size
    yield Skip(left)
