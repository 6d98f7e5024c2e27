"""TIFF (revision 6.0) and BigTIFF: the directories of the pages, wherever in the file they are, and what they point at.

A directory may lie before its data or behind it. A chain of them that leads backwards cannot be followed while the
bytes arrive, and is refused; so is one that turns in a circle. There is no end marker: all data must be in the file.
"""

import struct
from dataclasses import dataclass
from typing import TypeAlias

from tailrace.photos.errors import UnsupportedPicture
from tailrace.photos.inspection.findings import Findings
from tailrace.photos.inspection.wants import Read, Scan, Skip

_SUBFILE_TYPE, _WIDTH, _HEIGHT, _PROFILE, _DNG_VERSION = 254, 256, 257, 34675, 50706
_DATA = ((273, 279), (324, 325))  # offsets and byte counts, of strips and of tiles
# The form of a value by its type; where it is no whole number, one of the same size.
_FORMS = dict(enumerate("BBHIQBBHIQIQI", start=1)) | {16: "Q", 17: "Q", 18: "Q"}
_PRIVATE = 32768  # tags from here on are anybody's, and may point anywhere
_COPY = 0b101  # a page that is a smaller copy of another, or its mask
_MAX_ENTRIES = 1000
_MAX_ARRAY = 64 * 1024


def scan_tiff(found: Findings) -> Scan[None]:
    """Look through a TIFF."""
    found.is_a("tiff")
    head = yield Read(8)
    order = "<" if head.startswith(b"II") else ">"
    if 43 in head[2:4]:
        layout = _Layout(order, count="Q", entry="HHQ8s", offset="Q")
        offset = layout.numbers("Q", (yield Read(8)))[0]
        yield from _Walk(found, layout, position=16).pages(offset)
        return
    layout = _Layout(order, count="H", entry="HHI4s", offset="I")
    offset = layout.numbers("I", head[4:])[0]
    if offset >= 10 and (yield Read(2)) == b"CR":
        raise _raw()
    yield from _Walk(found, layout, position=10 if offset >= 10 else 8).pages(offset)


@dataclass(frozen=True, slots=True)
class _Layout:
    """The sign of the byte order and the forms of a directory's parts, all as `struct` writes them."""

    order: str
    count: str
    entry: str
    offset: str

    def size(self, form: str) -> int:
        return struct.calcsize(self.order + form)

    def numbers(self, form: str, data: bytes) -> list[int]:
        """Return all numbers of one form in `data`."""
        return [number for (number,) in struct.iter_unpack(self.order + form, data)]


@dataclass(frozen=True, slots=True)
class _Entry:
    """A value of a directory: `count` numbers of a `form`; `value` are they if they fit, else where they are."""

    form: str
    count: int
    value: bytes


_Page: TypeAlias = dict[int, _Entry]


class _Walk:
    """Goes through the file once, in one direction."""

    def __init__(self, found: Findings, layout: _Layout, *, position: int) -> None:
        self.layout = layout
        self._found = found
        self._position = position
        self._frames = 0

    def pages(self, offset: int) -> Scan[None]:
        """Look at every page; the directory of the first is at `offset`."""
        while offset:
            page, following = yield from self._directory(offset)
            self._note(page)
            for places, sizes in _DATA:
                if places in page and sizes in page:
                    yield from self._data(page[places], page[sizes], before=following)
            offset = following
        if not self._frames:
            raise self._found.broken("has no picture in it")

    def _directory(self, offset: int) -> Scan[tuple[_Page, int]]:
        layout = self.layout
        if offset < self._position:
            raise self._found.broken("has pages that are chained backwards or in a circle")
        count = layout.numbers(layout.count, (yield from self._read(offset, layout.size(layout.count))))[0]
        if count > _MAX_ENTRIES:
            raise self._found.broken(f"has a directory of {count:,} entries")
        entries = yield from self._read(self._position, count * layout.size(layout.entry))
        page = {
            tag: _Entry(_FORMS[kind], number, value)
            for tag, kind, number, value in struct.iter_unpack(layout.order + layout.entry, entries)
            if kind in _FORMS
        }
        following = yield from self._read(self._position, layout.size(layout.offset))
        return page, layout.numbers(layout.offset, following)[0]

    def _note(self, page: _Page) -> None:
        copy = self._first(page, _SUBFILE_TYPE) & _COPY
        if _DNG_VERSION in page or (copy and not self._frames):
            raise _raw()
        width, height = self._first(page, _WIDTH), self._first(page, _HEIGHT)
        self._found.check(width, height)
        if _PROFILE in page:
            self._found.profile(page[_PROFILE].count)
        for entry in (entry for tag, entry in page.items() if tag < _PRIVATE):
            self._needs(self._place(entry) + self.layout.size(entry.form) * entry.count)
        if not copy:
            self._frames += 1
            if self._frames == 1:
                self._found.size(width, height)
            self._found.frames(self._frames)

    def _data(self, places: _Entry, sizes: _Entry, *, before: int) -> Scan[None]:
        """Note where the picture data ends, as far as that can be read on the way to the next directory.

        Where it cannot, the directory stands behind its data or the pages are interwoven; decoding will tell.
        """
        one, other = sorted((places, sizes), key=self._place)
        some = yield from self._numbers(one, before)
        others = yield from self._numbers(other, before)
        ends = [place + size for place, size in zip(some, others, strict=False)]
        self._needs(max(ends, default=0))

    def _numbers(self, entry: _Entry, before: int) -> Scan[list[int]]:
        layout = self.layout
        size = layout.size(entry.form) * entry.count
        if self._holds(entry):
            return layout.numbers(entry.form, entry.value[:size])
        place = self._place(entry)
        if place < self._position or size > _MAX_ARRAY or (before and place + size > before):
            return []
        return layout.numbers(entry.form, (yield from self._read(place, size)))

    def _holds(self, entry: _Entry) -> bool:
        """Return whether the numbers of `entry` are in its value."""
        return self.layout.size(entry.form) * entry.count <= len(entry.value)

    def _place(self, entry: _Entry) -> int:
        """Return where in the file the numbers of `entry` are; 0 if in its value."""
        return 0 if self._holds(entry) else self.layout.numbers(self.layout.offset, entry.value)[0]

    def _needs(self, size: int) -> None:
        self._found.needed = max(self._found.needed, size)

    def _first(self, page: _Page, tag: int) -> int:
        entry = page.get(tag)
        if entry is None or not entry.count or not self._holds(entry):
            return 0
        return self.layout.numbers(entry.form, entry.value[: self.layout.size(entry.form)])[0]

    def _read(self, offset: int, size: int) -> Scan[bytes]:
        yield Skip(offset - self._position)
        self._position = offset + size
        return (yield Read(size))


def _raw() -> UnsupportedPicture:
    return UnsupportedPicture("This is a camera's raw picture. Send the JPEG that the camera or a program makes of it.")
