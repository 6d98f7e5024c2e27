"""WebP (RFC 9649): the chunks of a RIFF file, with the frames of an animation counted.

A size is written in the extended header, in the header of an animation's frame, and in the picture data itself. A
decoder may believe any of them, so they must agree. What stands behind the RIFF is not looked at.
"""

import struct
from dataclasses import dataclass

from tailrace.photos.inspection.findings import Findings
from tailrace.photos.inspection.wants import Read, Scan, Skip

_PICTURES = (b"VP8 ", b"VP8L")
_ANIMATED = 0x02


@dataclass(slots=True)
class _Seen:
    canvas: tuple[int, int] | None = None
    animated: bool = False
    pictures: int = 0


def scan_webp(found: Findings) -> Scan[None]:
    """Look through a WebP."""
    found.is_a("webp")
    yield Skip(4)
    left = _number((yield Read(4))) - 4
    yield Skip(4)
    seen = _Seen()
    while left >= 8:
        name, size = struct.unpack("<4sI", (yield Read(8)))
        left -= 8 + size
        if left < 0:
            raise found.broken("has a chunk that is larger than the whole says it is")
        yield from _chunk(found, seen, name, size)
        padding = min(size & 1, left)
        yield Skip(padding)
        left -= padding
    yield Skip(max(left, 0))
    if not seen.pictures:
        raise found.broken("has no picture in it")


def _chunk(found: Findings, seen: _Seen, name: bytes, size: int) -> Scan[None]:
    if name == b"VP8X":
        yield from _extended_header(found, seen, size)
    elif name == b"ANMF" and seen.animated:
        yield from _frame(found, seen, size)
    elif name in _PICTURES:
        yield from _still(found, seen, name, size)
    else:
        if name == b"ICCP":
            found.profile(size)
        yield Skip(size)


def _extended_header(found: Findings, seen: _Seen, size: int) -> Scan[None]:
    if seen.canvas or seen.pictures or size < 10:
        raise found.broken("has an extended header that is out of place")
    content = yield Read(10)
    seen.animated = bool(content[0] & _ANIMATED)
    seen.canvas = _number(content[4:7]) + 1, _number(content[7:10]) + 1
    found.size(*seen.canvas)
    yield Skip(size - 10)


def _still(found: Findings, seen: _Seen, name: bytes, size: int) -> Scan[None]:
    if seen.animated or seen.pictures:
        raise found.broken("has a picture in it that is out of place")
    seen.pictures = 1
    actual = yield from _picture_data(found, name, size)
    if seen.canvas not in {None, actual}:
        raise found.broken(_disagreement(seen.canvas, actual))
    found.size(*actual)


def _frame(found: Findings, seen: _Seen, size: int) -> Scan[None]:
    seen.pictures += 1
    found.frames(seen.pictures)
    if size < 16:
        raise found.broken("has a frame without a header")
    content = yield Read(16)
    left, top, width, height = (_number(content[start : start + 3]) for start in (0, 3, 6, 9))
    announced = width + 1, height + 1
    assert seen.canvas is not None
    if 2 * left + announced[0] > seen.canvas[0] or 2 * top + announced[1] > seen.canvas[1]:
        raise found.broken(f"has a frame, number {seen.pictures:,}, that lies outside of the picture")
    yield from _frame_data(found, announced, size - 16)


def _frame_data(found: Findings, announced: tuple[int, int], left: int) -> Scan[None]:
    while left >= 8:
        name, size = struct.unpack("<4sI", (yield Read(8)))
        left -= 8 + size + (size & 1)
        if left < 0:
            raise found.broken("has a chunk that is larger than its frame")
        if name in _PICTURES:
            actual = yield from _picture_data(found, name, size)
            if actual != announced:
                raise found.broken(_disagreement(announced, actual))
        else:
            yield Skip(size)
        yield Skip(size & 1)
    yield Skip(left)


def _picture_data(found: Findings, name: bytes, size: int) -> Scan[tuple[int, int]]:
    """Pass over VP8 (RFC 6386, 9.1) or VP8L (RFC 9649, 3.4) data and return the width and height in it."""
    needed = 10 if name == b"VP8 " else 5
    if size < needed:
        raise found.broken("has picture data that is too short")
    head = yield Read(needed)
    yield Skip(size - needed)
    if name == b"VP8 " and not head[0] & 1 and head[3:6] == b"\x9d\x01\x2a":
        return _number(head[6:8]) & 0x3FFF, _number(head[8:10]) & 0x3FFF
    bits = _number(head[1:5])
    if name == b"VP8L" and head[0] == 0x2F and not bits >> 29:
        return (bits & 0x3FFF) + 1, (bits >> 14 & 0x3FFF) + 1
    raise found.broken("has picture data that is none")


def _disagreement(announced: tuple[int, int] | None, actual: tuple[int, int]) -> str:
    assert announced is not None
    return f"announces {announced[0]:,} × {announced[1]:,} pixels and has {actual[0]:,} × {actual[1]:,}"


def _number(data: bytes) -> int:
    return int.from_bytes(data, "little")
