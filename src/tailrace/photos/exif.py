"""What a camera wrote about a picture: when, with what, and where. Of everything else, nothing is read.

The block is a TIFF structure (Exif 2.32, CIPA DC-008): numbered entries that point anywhere in it. What does not make
sense is left out; whatever the bytes are, nothing is raised, no entry is followed twice, and no value is longer than
the little that is wanted of it.
"""

import re
import struct
import unicodedata
from collections.abc import Mapping
from contextlib import suppress
from dataclasses import dataclass
from datetime import datetime

_HEADER = re.compile(rb"II\x2a\x00|MM\x00\x2a")
_HEADER_WITHIN = 32
_MAX_ENTRIES = 512
_MAX_VALUE = 256
_NAME_LENGTH = 99  # Two and a space between them have room in a column of 200.
_SIZES = {1: 1, 2: 1, 3: 2, 4: 4, 5: 8, 7: 1, 9: 4, 10: 8, 13: 4}
_RATIONALS = {5: "II", 10: "ii"}
_INTEGERS = {1: "B", 3: "H", 4: "I", 9: "i", 13: "I"}

_MAKE, _MODEL, _CHANGED, _EXIF, _GPS = 0x010F, 0x0110, 0x0132, 0x8769, 0x8825
_TAKEN, _DIGITIZED = 0x9003, 0x9004
_OFFSETS = {_CHANGED: 0x9010, _TAKEN: 0x9011, _DIGITIZED: 0x9012}
_LATITUDE_REF, _LATITUDE, _LONGITUDE_REF, _LONGITUDE, _ALTITUDE_REF, _ALTITUDE = 1, 2, 3, 4, 5, 6

_MOMENT = re.compile(r"(\d{4})[:-](\d\d)[:-](\d\d)[ T](\d\d):(\d\d):(\d\d)", re.ASCII)
_OFFSET = re.compile(r"[+-](?:0\d|1[0-4]):[0-5]\d", re.ASCII)
_FIRST_YEAR = 1826  # There is no older photograph; cameras with a flat battery say 0000.


@dataclass(frozen=True, slots=True)
class Location:
    """A place on Earth: degrees of WGS 84 and, if known, metres above sea level."""

    latitude: float
    longitude: float
    altitude: float | None = None


@dataclass(frozen=True, slots=True)
class CameraFacts:
    """What is known of how a picture was taken.

    `taken_at` is ISO 8601, with an offset only if the camera wrote one; `camera` is one line of at most 200 characters.
    """

    taken_at: str | None = None
    camera: str | None = None
    location: Location | None = None


def read_exif(block: bytes | None) -> CameraFacts:
    """Return what an EXIF block, or a TIFF file, tells; an empty answer for rubbish."""
    found = _HEADER.search((block or b"")[:_HEADER_WITHIN])
    if block is None or found is None:
        return CameraFacts()
    tiff = _Tiff(block, found.start(), "<" if found[0][:1] == b"I" else ">")
    main = tiff.directory(tiff.number(4))
    camera = tiff.directory(main.integer(_EXIF))
    return CameraFacts(_moment(main, camera), _camera(main), _location(tiff.directory(main.integer(_GPS))))


class _Tiff:
    """A block of bytes with a byte order, in which positions count from `start`."""

    def __init__(self, block: bytes, start: int, order: str) -> None:
        self._block = block
        self._start = start
        self._order = order

    def number(self, position: int) -> int:
        return self.unpack("I", self.piece(position, 4))[0]

    def piece(self, position: int, size: int) -> bytes:
        """Return `size` bytes, those beyond the end as zeros."""
        start = self._start + position
        return self._block[start : start + size].ljust(size, b"\0")

    def unpack(self, form: str, data: bytes) -> tuple[int, ...]:
        return struct.unpack(self._order + form, data)

    def directory(self, position: int | None) -> "_Directory":
        """Return the entries at `position`; none if there is no such place. The first of two with a number counts."""
        if not position or self._start + position + 2 > len(self._block):
            return _Directory(self, {})
        (count,) = self.unpack("H", self.piece(position, 2))
        entries: dict[int, bytes] = {}
        for index in range(min(count, _MAX_ENTRIES)):
            entry = self.piece(position + 2 + 12 * index, 12)
            entries.setdefault(self.unpack("H", entry[:2])[0], entry[2:])
        return _Directory(self, entries)


class _Directory:
    """Entries of a block by number: a type, a count, and four bytes that are the value or where it is."""

    def __init__(self, tiff: _Tiff, entries: Mapping[int, bytes]) -> None:
        self._tiff = tiff
        self._entries = entries

    def text(self, number: int) -> str:
        """Return a text as one clean line, empty if there is none."""
        data, _ = self._value(number)
        return _clean(data.partition(b"\0")[0])

    def integer(self, number: int) -> int | None:
        """Return the first of the whole numbers, if there is one."""
        data, kind = self._value(number)
        size = _SIZES.get(kind, 0)
        if kind not in _INTEGERS or len(data) < size:
            return None
        return self._tiff.unpack(_INTEGERS[kind], data[:size])[0]

    def fractions(self, number: int) -> list[float] | None:
        """Return the rational numbers, or None if there are none or one of them is no number."""
        data, kind = self._value(number)
        if kind not in _RATIONALS or len(data) < 8:
            return None
        pairs = [self._tiff.unpack(_RATIONALS[kind], data[at : at + 8]) for at in range(0, len(data) - 7, 8)]
        return None if any(below == 0 for _, below in pairs) else [above / below for above, below in pairs]

    def _value(self, number: int) -> tuple[bytes, int]:
        entry = self._entries.get(number)
        if entry is None:
            return b"", 0
        kind, count = self._tiff.unpack("HI", entry[:6])
        size = min(count * _SIZES.get(kind, 0), _MAX_VALUE)
        if size <= 4:
            return entry[6 : 6 + size], kind
        return self._tiff.piece(self._tiff.unpack("I", entry[6:])[0], size), kind


def _clean(data: bytes) -> str:
    try:
        text = data.decode()
    except UnicodeDecodeError:
        text = data.decode("latin-1")
    # All of category C: control and formatting characters, surrogates, and what is not assigned.
    kept = "".join(" " if unicodedata.category(each)[0] == "C" else each for each in text)
    return " ".join(kept.split())[:_NAME_LENGTH].strip()


def _camera(main: _Directory) -> str | None:
    make, model = main.text(_MAKE), main.text(_MODEL)
    # "Canon" makes the "Canon EOS R6".
    whole = model if model.lower().startswith(make.lower()) else f"{make} {model}"
    return whole.strip() or None


def _moment(main: _Directory, camera: _Directory) -> str | None:
    """Return when the picture was taken, else digitized, else last changed."""
    for number, where in ((_TAKEN, camera), (_DIGITIZED, camera), (_CHANGED, main)):
        found = _MOMENT.fullmatch(where.text(number))
        if found is None or int(found[1]) < _FIRST_YEAR:
            continue
        with suppress(ValueError):
            moment = datetime(*map(int, found.groups())).isoformat()  # type: ignore[arg-type]  # noqa: DTZ001 -- six numbers; the camera knew no zone
            offset = camera.text(_OFFSETS[number])
            return moment + offset if _OFFSET.fullmatch(offset) else moment
    return None


def _location(gps: _Directory) -> Location | None:
    latitude = _degrees(gps, _LATITUDE, _LATITUDE_REF, "NS", 90)
    longitude = _degrees(gps, _LONGITUDE, _LONGITUDE_REF, "EW", 180)
    # Exactly nowhere is what receivers write that found no satellite.
    if latitude is None or longitude is None or (latitude, longitude) == (0, 0):
        return None
    return Location(latitude, longitude, _altitude(gps))


def _degrees(gps: _Directory, number: int, ref: int, signs: str, most: int) -> float | None:
    parts, sign = gps.fractions(number), gps.text(ref)
    if parts is None or len(sign) != 1 or sign not in signs:
        return None
    value = sum(part / unit for part, unit in zip(parts, (1, 60, 3600), strict=False))
    return round(-value if sign == signs[1] else value, 7) if 0 <= value <= most else None


def _altitude(gps: _Directory) -> float | None:
    parts = gps.fractions(_ALTITUDE)
    if parts is None or not 0 <= parts[0] <= 100_000:
        return None
    return round(-parts[0] if gps.integer(_ALTITUDE_REF) == 1 else parts[0], 2)
