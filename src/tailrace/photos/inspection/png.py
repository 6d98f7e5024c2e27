"""PNG (W3C PNG, third edition): the header, then chunks up to IEND, with the frames of an animation counted.

Colour profiles and texts may be compressed: they are unpacked only as far as it takes to know that they are no bomb,
and one that cannot be unpacked is left alone, as decoders do. What stands behind IEND is not looked at.
"""

import re
import struct
import zlib
from dataclasses import dataclass

from tailrace.photos.inspection.findings import Findings
from tailrace.photos.inspection.wants import Read, Scan, Skip

_MAX_TEXT = 16 * 1024 * 1024
_PIECE = 16 * 1024
_DEPTHS = {0: {1, 2, 4, 8, 16}, 2: {8, 16}, 3: {1, 2, 4, 8}, 4: {8, 16}, 6: {8, 16}}  # bits by colour type
# What stands before the compressed bytes of a chunk: keyword, method; in iTXt also a flag and two names.
_BEFORE_COMPRESSED = {
    b"iCCP": re.compile(rb"[^\0]{1,79}\0\0"),
    b"zTXt": re.compile(rb"[^\0]{1,79}\0\0"),
    b"iTXt": re.compile(rb"[^\0]{1,79}\0\x01\0[^\0]*\0[^\0]*\0"),
}


@dataclass(slots=True)
class _Seen:
    data: bool = False
    announced: int = 0
    frames: int = 0
    profile: int = 0
    text: int = 0


def scan_png(found: Findings) -> Scan[None]:
    """Look through a PNG."""
    found.is_a("png")
    yield Skip(8)
    yield from _header(found)
    seen = _Seen()
    kind = b""
    while kind != b"IEND":
        length, kind = struct.unpack(">I4s", (yield Read(8)))
        if length > 0x7FFF_FFFF or not kind.isalpha():
            raise found.broken("has something in it that is no chunk")
        rest = yield from _chunk(found, seen, kind, length)
        yield Skip(rest + 4)
    if not seen.data:
        raise found.broken("has no picture in it")
    if seen.announced and seen.announced != seen.frames:
        raise found.broken(f"announces {seen.announced:,} frames and has {seen.frames:,}")


def _header(found: Findings) -> Scan[None]:
    content = yield Read(25)
    length, kind, width, height, depth, color, *methods, checksum = struct.unpack(">I4sIIBBBBBI", content)
    if (length, kind) != (13, b"IHDR"):
        raise found.broken("does not begin with its header")
    if zlib.crc32(content[4:21]) != checksum:
        raise found.broken("has a damaged header")
    if depth not in _DEPTHS.get(color, ()) or methods not in ([0, 0, 0], [0, 0, 1]):
        raise found.broken("has a header that no PNG can have")
    found.size(width, height)


def _chunk(found: Findings, seen: _Seen, kind: bytes, length: int) -> Scan[int]:
    """Look into one chunk and return how much of it is left."""
    if kind == b"IDAT":
        seen.data = True
    elif kind == b"acTL" and not seen.data and length == 8:
        seen.announced = int.from_bytes((yield Read(8))[:4])
        found.frames(seen.announced)
        return 0
    elif kind == b"fcTL" and seen.announced and length == 26:
        _count_frame(found, seen, (yield Read(26)))
        return 0
    elif kind in _BEFORE_COMPRESSED:
        return (yield from _unpack(found, seen, kind, length))
    return length


def _count_frame(found: Findings, seen: _Seen, content: bytes) -> None:
    seen.frames += 1
    width, height, left, top = struct.unpack(">4I", content[4:20])
    picture = found.picture
    assert picture is not None
    if not width or not height or left + width > picture.width or top + height > picture.height:
        raise found.broken(f"has a frame, number {seen.frames:,}, that lies outside of the picture")
    if seen.frames > seen.announced:
        raise found.broken(f"announces {seen.announced:,} frames and has more")


def _unpack(found: Findings, seen: _Seen, kind: bytes, length: int) -> Scan[int]:
    head = yield Read(min(length, _PIECE))
    length -= len(head)
    before = _BEFORE_COMPRESSED[kind].match(head)
    if before is None:
        return length
    unpacker = zlib.decompressobj()
    packed = head[before.end() :]
    while packed:
        try:
            unpacked = len(unpacker.decompress(packed, _PIECE))
        except zlib.error:
            return length
        _count_unpacked(found, seen, kind, unpacked)
        packed = unpacker.unconsumed_tail
        if not packed and not unpacker.eof:
            packed = yield Read(min(length, _PIECE))
            length -= len(packed)
    return length


def _count_unpacked(found: Findings, seen: _Seen, kind: bytes, size: int) -> None:
    if kind == b"iCCP":
        seen.profile += size
        found.profile(seen.profile)
        return
    seen.text += size
    if seen.text > _MAX_TEXT:
        raise found.broken("has texts in it that unpack to more than 16 MiB")
