"""Small files that take time and memory to decode, within the limits of what is taken in."""

import functools
import io
import zlib
from typing import Any

from PIL import Image

from tests.photos import byte_forms as forms

# Where the pixels of each pass begin, and how far apart they are (PNG, third edition, section 8.1).
_ADAM7 = ((0, 0, 8, 8), (4, 0, 8, 8), (0, 4, 4, 8), (2, 0, 4, 4), (0, 2, 2, 4), (1, 0, 2, 2), (0, 1, 1, 2))


@functools.cache
def slow(width: int = 6_000, height: int = 5_000) -> bytes:
    """Return a PNG of a megabyte that takes a second to decode, and 300 MB: interlaced, 16 bits, transparent, empty."""
    size = sum(-(-(height - top) // down) * (1 + 8 * -(-(width - left) // right)) for left, top, right, down in _ADAM7)
    packer, zeros = zlib.compressobj(1), bytes(1 << 20)
    data = b"".join(packer.compress(zeros[: min(1 << 20, size - start)]) for start in range(0, size, 1 << 20))
    header = forms.png_header(width, height, depth=16, color=6, interlace=1)
    return header + forms.png_chunk(b"IDAT", data + packer.flush()) + forms.png_chunk(b"IEND", b"")


@functools.cache
def greedy(form: str, width: int = 3_000, height: int = 2_000) -> bytes:
    """Return a plain picture of a format that is decoded as a whole, not row by row."""
    file, picture = io.BytesIO(), Image.new("RGB", (width, height), (90, 120, 150))
    if form == "png":
        return slow(width, height)
    options: dict[str, dict[str, Any]] = {"jpeg": {"progressive": True}, "webp": {"method": 0}, "avif": {"speed": 10}}
    picture.save(file, form, quality=20, **options[form])
    return file.getvalue()
