"""AVIF and HEIC: the boxes of HEIF (ISO/IEC 23008-12) that tell the size, the frames, and where the data is.

The size is a property of the primary item, turned and cropped by others; the frames are the samples of a track. There
is no end marker: every box that was begun must be whole, and all data that items point at must be in the file. What
stands behind that is not looked at, except in a sequence, whose track may come late.
"""

from collections.abc import Iterator
from typing import TypeAlias

from tailrace.photos.errors import UnsupportedPicture
from tailrace.photos.inspection.boxes import Fields, Handler, read_fields, walk_boxes
from tailrace.photos.inspection.findings import Findings
from tailrace.photos.inspection.wants import Read, Scan, Skip

_AVIF = {b"avif", b"avis"}
_HEIC = {b"heic", b"heix", b"heim", b"heis", b"hevc", b"hevx", b"hevm", b"hevs"}
_SEQUENCES = {b"avis", b"hevc", b"hevx", b"hevm", b"hevs", b"msf1"}
_OTHERS = {
    b"mif1": "a picture in a coding that is not known here",
    b"msf1": "a film in a coding that is not known here",
    b"crx ": "a camera's raw picture",
    b"M4A ": "a sound recording",
    b"M4B ": "a sound recording",
}
_TRACK = [b"trak", b"mdia", b"minf", b"stbl"]  # one in the other
_MAX_PROPERTIES = 1000
_MAX_ITEMS = 2000

_Property: TypeAlias = tuple[bytes, list[int]]
# Of each property that tells something about the size: how many bytes come first, and the sizes of its numbers.
_PROPERTIES: dict[bytes, tuple[int, list[int]]] = {b"ispe": (4, [4, 4]), b"irot": (0, [1]), b"clap": (0, [4] * 4)}
_NO_PROPERTY: _Property = (b"", [])


def scan_heif(found: Findings) -> Scan[None]:
    """Look through an AVIF or HEIC."""
    length = int.from_bytes((yield Read(4)))
    yield Skip(4)
    if not 16 <= length <= 1024:
        raise found.broken("begins with a box of an impossible size")
    content = yield Read(length - 8)
    brands = {content[start : start + 4] for start in range(8, len(content), 4)} | {content[:4]}
    found.is_a(_format(content[:4], brands))
    yield from _Walk(found, position=length, sequence=bool(brands & _SEQUENCES)).file()


def _format(major: bytes, brands: set[bytes]) -> str:
    for candidates in ({major}, brands):
        if candidates & _AVIF:
            return "avif"
        if candidates & _HEIC:
            return "heic"
    what = _OTHERS.get(major, "a video")
    raise UnsupportedPicture(f"This is {what}. Send a JPEG, PNG, WebP, AVIF, GIF or TIFF.")


class _Walk:
    """Goes through the boxes once, from the outer to the inner."""

    def __init__(self, found: Findings, *, position: int, sequence: bool) -> None:
        self._found = found
        self._position = position
        self._sequence = sequence
        self._items: _Items | None = None

    def file(self) -> Scan[None]:
        """Look at the boxes of the file until all that is needed has passed; nothing says how many there are."""
        while not self._everything_passed():
            self._found.may_end = self._items is not None
            header = yield Read(8)
            self._found.may_end = False
            size, name, begun = int.from_bytes(header[:4]), header[4:], 8
            if size == 0 and self._items is not None:
                return  # the last box, which goes on to the end of the file
            if size == 1:
                size, begun = int.from_bytes((yield Read(8))), 16
            if size < begun:
                raise self._found.broken("has a box of an impossible size")
            self._position += size
            yield from self._in_file(name, size - begun)

    def _everything_passed(self) -> bool:
        return self._items is not None and not self._sequence and 0 < self._found.needed <= self._position

    def _in_file(self, name: bytes, size: int) -> Scan[None]:
        if name == b"meta" and self._items is None and size >= 4:
            yield Skip(4)
            self._items = _Items(self._found)
            yield from walk_boxes(self._found, size - 4, self._items.in_meta)
            self._items.measure()
        elif name == b"moov":
            yield from walk_boxes(self._found, size, self._in_track())
        else:
            yield Skip(size)

    def _in_track(self, depth: int = 0) -> Handler:
        def handle(name: bytes, size: int) -> Scan[None]:
            if name in _TRACK[depth : depth + 1]:
                yield from walk_boxes(self._found, size, self._in_track(depth + 1))
            elif depth == len(_TRACK) and name in {b"stsz", b"stz2"} and size >= 12:
                samples = int.from_bytes((yield Read(12))[8:])
                self._found.frames(max(samples, 1))
                yield Skip(size - 12)
            else:
                yield Skip(size)

        return handle


class _Items:
    """The items of a file: their properties, and where their data is."""

    def __init__(self, found: Findings) -> None:
        self._found = found
        self._primary = 0
        self._properties: list[_Property] = []
        self._properties_of: dict[int, list[int]] = {}

    def in_meta(self, name: bytes, size: int) -> Scan[None]:
        """Look at one box of the `meta` box."""
        if name == b"pitm":
            fields = yield from read_fields(self._found, size)
            self._primary = fields.take(2 if fields.take(4) >> 24 == 0 else 4)
        elif name == b"iloc":
            self._note_places((yield from read_fields(self._found, size)))
        elif name == b"iprp":
            yield from walk_boxes(self._found, size, self._in_properties)
        else:
            yield Skip(size)

    def measure(self) -> None:
        """Tell the findings the size of the primary item. Raises BrokenPicture or TooManyPixels."""
        width = height = 0
        for name, numbers in self._of_primary():
            if name == b"ispe":
                width, height = numbers
            elif name == b"irot" and numbers[0] & 1:
                width, height = height, width
            elif name == b"clap" and numbers[1] and numbers[3]:
                width, height = min(width, numbers[0] // numbers[1]), min(height, numbers[2] // numbers[3])
        self._found.size(width, height)

    def _of_primary(self) -> Iterator[_Property]:
        for index in self._properties_of.get(self._primary, []):
            if 0 < index <= len(self._properties):
                yield self._properties[index - 1]

    def _in_properties(self, name: bytes, size: int) -> Scan[None]:
        if name == b"ipco":
            yield from walk_boxes(self._found, size, self._property)
        elif name == b"ipma":
            self._note_associations((yield from read_fields(self._found, size)))
        else:
            yield Skip(size)

    def _property(self, name: bytes, size: int) -> Scan[None]:
        if len(self._properties) == _MAX_PROPERTIES:
            raise self._found.broken("has a list in it that is far too long")
        if name not in _PROPERTIES:
            if name == b"colr":
                self._found.profile(size)
            self._properties.append(_NO_PROPERTY)
            yield Skip(size)
            return
        first, sizes = _PROPERTIES[name]
        fields = yield from read_fields(self._found, size)
        fields.take(first)
        numbers = [fields.take(each) for each in sizes]
        if name == b"ispe":
            self._found.check(*numbers)
        self._properties.append((name, numbers))

    def _note_associations(self, fields: Fields) -> None:
        head = fields.take(4)
        wide, id_size = head & 1, 2 if head >> 24 == 0 else 4
        for _ in range(fields.take(4)):
            item = fields.take(id_size)
            indices = [fields.take(1 + wide) for _ in range(fields.take(1))]
            self._properties_of[item] = [index & (0x7FFF if wide else 0x7F) for index in indices]
            if len(self._properties_of) > _MAX_ITEMS:
                raise self._found.broken("has a list in it that is far too long")

    def _note_places(self, fields: Fields) -> None:
        version, sizes = fields.take(4) >> 24, fields.take(2)
        id_size = 4 if version == 2 else 2
        for _ in range(fields.take(id_size)):
            fields.take(id_size)
            # 0: an offset into the file, 1: into the `idat` box, 2: into another item
            method = fields.take(2) & 0xF if version else 0
            fields.take(2)
            base = fields.take(sizes >> 4 & 0xF)
            index_size = sizes & 0xF if version else 0
            ends = _extents(fields, index_size, sizes >> 12, sizes >> 8 & 0xF)
            if method == 0 and ends:
                self._found.needed = max(self._found.needed, base + max(ends))


def _extents(fields: Fields, index_size: int, offset_size: int, length_size: int) -> list[int]:
    """Return where each extent of an item ends, counted from the item's base."""
    count = fields.take(2)
    if not index_size + offset_size + length_size:
        return []  # as many as are said, and not a byte of any is there to be read
    ends = []
    for _ in range(count):
        fields.take(index_size)
        ends.append(fields.take(offset_size) + fields.take(length_size))
    return ends
