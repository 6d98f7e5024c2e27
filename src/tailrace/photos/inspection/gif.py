"""GIF (GIF87a, GIF89a): blocks up to the trailer, with the frames counted. What stands behind it is not looked at.

A first frame that is larger than the screen enlarges it, as in decoders; some programs write a screen of no size.
"""

import struct

from tailrace.photos.inspection.findings import Findings
from tailrace.photos.inspection.wants import Read, Scan, Skip, Window

_TRAILER, _EXTENSION, _IMAGE = b";", b"!", b","


class _SubBlocks:
    """The sub-blocks that follow, with the empty one that ends them, as one want, since there may be many thousands."""

    def take(self, window: Window) -> bytes | None:
        data = window.data
        at, end = window.at, len(data)
        while at < end:
            size = data[at]
            at += size + 1
            if not size:
                window.at = at
                return b""
        window.at = at
        return None


_SUB_BLOCKS = _SubBlocks()


def scan_gif(found: Findings) -> Scan[None]:
    """Look through a GIF."""
    found.is_a("gif")
    yield Skip(6)
    width, height, flags = struct.unpack("<HHBxx", (yield Read(7)))
    yield Skip(_color_table(flags))
    if width and height:
        found.size(width, height)
    frames = 0
    while (kind := (yield Read(1))) != _TRAILER:
        if kind == _IMAGE:
            frames += 1
            yield from _image(found, frames, (width, height))
        elif kind == _EXTENSION:
            yield Skip(1)
        else:
            raise found.broken("has something in it that is no block")
        yield _SUB_BLOCKS
    if not frames:
        raise found.broken("has no picture in it")


def _image(found: Findings, frames: int, screen: tuple[int, int]) -> Scan[None]:
    left, top, width, height, flags = struct.unpack("<4HB", (yield Read(9)))
    found.check(width, height)
    if frames == 1:
        found.size(max(screen[0], left + width), max(screen[1], top + height))
    found.frames(frames)
    yield Skip(_color_table(flags) + 1)  # and the size of its codes


def _color_table(flags: int) -> int:
    return 3 << ((flags & 7) + 1) if flags & 0x80 else 0
