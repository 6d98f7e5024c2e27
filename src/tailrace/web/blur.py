"""The blur that stands for a photo until its picture is there: a thumbhash as a tiny PNG inside the page.

It is made here rather than by a script, so it is seen with the first line of the page, and without scripts too. A blur
has nothing finer than a few waves, so eight pixels a side hold it; the browser smooths them.
"""

import base64
import math
import struct
import zlib
from collections.abc import Iterator
from functools import lru_cache

_SIDE = 8
_WAVES = [[math.cos(math.pi / _SIDE * (place + 0.5) * wave) for wave in range(8)] for place in range(_SIDE)]
_PLACES = [(x, y) for y in range(_SIDE) for x in range(_SIDE)]
_HEADER = struct.pack(">IIBBBBB", _SIDE, _SIDE, 8, 2, 0, 0, 0)


@lru_cache(maxsize=5000)
def blur(placeholder: str) -> str:
    """Return a thumbhash (base64, of an opaque picture) as the address of an image; empty if it is none."""
    code = base64.b64decode(placeholder)
    try:
        rows = _rows(code)
    except IndexError:
        return ""
    return f"data:image/png;base64,{base64.b64encode(_png(rows)).decode()}"


def _rows(code: bytes) -> bytes:
    """Return the lines of the PNG: RGB, each after the byte that means no filter."""
    head, tail = int.from_bytes(code[:3], "little"), int.from_bytes(code[3:5], "little")
    waves = max(3, tail & 7)
    across, down = (7, waves) if tail >> 15 else (waves, 7)
    factors = _factors(code)
    light = _channel((head & 63) / 63, (head >> 18 & 31) / 31, (across, down), factors)
    yellow = _channel((head >> 6 & 63) / 31.5 - 1, (tail >> 3 & 63) / 63 * 1.25, (3, 3), factors)
    red = _channel((head >> 12 & 63) / 31.5 - 1, (tail >> 9 & 63) / 63 * 1.25, (3, 3), factors)
    pixels = [_rgb(*each) for each in zip(light, yellow, red, strict=True)]
    return b"".join(b"\0" + b"".join(pixels[start : start + _SIDE]) for start in range(0, len(pixels), _SIDE))


def _factors(code: bytes) -> Iterator[float]:
    for index in range(2 * (len(code) - 5)):
        yield (code[5 + (index >> 1)] >> ((index & 1) * 4) & 15) / 7.5 - 1
    raise IndexError("the code is cut off")


def _channel(mean: float, scale: float, size: tuple[int, int], factors: Iterator[float]) -> list[float]:
    """Return one of light, yellow-blue and red-green for each pixel: a mean, and waves across and down around it."""
    across, down = size
    waves = [(x, y) for y in range(down) for x in range(0 if y else 1, across) if x * down < across * (down - y)]
    sized = [(x, y, next(factors) * scale * 2) for x, y in waves]
    return [mean + sum(high * _WAVES[px][x] * _WAVES[py][y] for x, y, high in sized) for px, py in _PLACES]


def _rgb(light: float, yellow: float, red: float) -> bytes:
    blue = light - 2 / 3 * yellow
    first = (3 * light - blue + red) / 2
    return bytes(max(0, min(255, round(255 * value))) for value in (first, first - red, blue))


def _png(rows: bytes) -> bytes:
    chunks = ((b"IHDR", _HEADER), (b"IDAT", zlib.compress(rows)), (b"IEND", b""))
    return b"\x89PNG\r\n\x1a\n" + b"".join(
        struct.pack(">I", len(data)) + name + data + struct.pack(">I", zlib.crc32(name + data)) for name, data in chunks
    )
