"""Pictures written byte by byte, for what no library would write."""

import random
import struct
import zlib
from collections.abc import Iterable, Sequence

PNG_MAGIC = b"\x89PNG\r\n\x1a\n"


def noise(size: int, seed: int = 7) -> bytes:
    """Return the same random bytes for the same seed."""
    return random.Random(seed).randbytes(size)


def png_chunk(kind: bytes, content: bytes, *, length: int | None = None) -> bytes:
    """Return a chunk; `length` is what it says it has, if that is a lie."""
    said = len(content) if length is None else length
    return struct.pack(">I", said) + kind + content + struct.pack(">I", zlib.crc32(kind + content))


def png_header(width: int, height: int, *, depth: int = 8, color: int = 2, interlace: int = 0) -> bytes:
    return PNG_MAGIC + png_chunk(b"IHDR", struct.pack(">IIBBBBB", width, height, depth, color, 0, 0, interlace))


def png(width: int, height: int, *chunks: bytes, rows: int | None = None) -> bytes:
    """Return a grey PNG with `chunks` before its data, which has `rows` of the rows that it announces."""
    data = zlib.compress(bytes((width + 1) * (height if rows is None else rows)), 9)
    header = png_header(width, height, color=0)
    return header + b"".join(chunks) + png_chunk(b"IDAT", data) + png_chunk(b"IEND", b"")


def with_png_chunk(picture: bytes, chunk: bytes) -> bytes:
    """Put a chunk behind the header of a PNG."""
    return picture[:33] + chunk + picture[33:]


def zeros_deflated(megabytes: int) -> bytes:
    """Return so many MiB of zeros as zlib packs them, without ever having them."""
    packer = zlib.compressobj(9, wbits=-15)
    block = packer.compress(bytes(1 << 20)) + packer.flush(zlib.Z_FULL_FLUSH)
    checksum = (megabytes << 20) % 65_521 << 16 | 1  # Adler-32 of nothing but zeros
    return b"\x78\xda" + block * megabytes + b"\x03\0" + struct.pack(">I", checksum)


def jpeg_segment(marker: int, content: bytes) -> bytes:
    return struct.pack(">BBH", 0xFF, marker, len(content) + 2) + content


def with_jpeg_segments(picture: bytes, *segments: bytes) -> bytes:
    """Put segments behind the start marker of a JPEG."""
    return picture[:2] + b"".join(segments) + picture[2:]


def with_jpeg_size(picture: bytes, width: int, height: int) -> bytes:
    """Let the frame header of a JPEG say another size."""
    at = jpeg_frame(picture)
    return picture[: at + 5] + struct.pack(">HH", height, width) + picture[at + 9 :]


def jpeg_frame(picture: bytes) -> int:
    """Return where the frame header of a JPEG is."""
    at = 2
    while picture[at + 1] not in {0xC0, 0xC1, 0xC2}:
        at += 2 + int.from_bytes(picture[at + 2 : at + 4])
    return at


def jpeg_in_passes(width: int, height: int) -> bytes:
    """Return a grey progressive JPEG in which every coefficient has a pass of its own, with nothing in it."""
    size = struct.pack(">BHHB", 8, height, width, 1) + b"\1\x11\0"
    head = jpeg_segment(0xDB, b"\0" + b"\1" * 64) + jpeg_segment(0xC2, size)
    # The code 0 stands for "no difference"; in the other table for a run of 2¹⁴ empty blocks or more, and 10 for one.
    tables = jpeg_segment(0xC4, b"\0\1" + bytes(15) + b"\0") + jpeg_segment(0xC4, b"\x10\1\1" + bytes(14) + b"\xe0\0")
    blocks = -(-width // 8) * -(-height // 8)
    first = jpeg_segment(0xDA, b"\1\1\0\0\0\0") + bytes(-(-blocks // 8))
    runs, left = divmod(blocks, 2**15 - 1)
    bits = "011111111111111" * runs + "10" * left
    empty = int(bits + "1" * (-len(bits) % 8), 2).to_bytes(-(-len(bits) // 8)).replace(b"\xff", b"\xff\0")
    others = [jpeg_segment(0xDA, bytes([1, 1, 0, each, each, 0])) + empty for each in range(1, 64)]
    return b"\xff\xd8" + head + tables + first + b"".join(others) + b"\xff\xd9"


def jpeg_profile(profile: bytes) -> list[bytes]:
    """Cut a colour profile into APP2 segments, as ICC.1 says."""
    parts = [profile[start : start + 65_519] for start in range(0, len(profile), 65_519)]
    head = b"ICC_PROFILE\0"
    return [jpeg_segment(0xE2, head + bytes([n & 255, len(parts) & 255]) + part) for n, part in enumerate(parts, 1)]


Rectangle = tuple[int, int, int, int]
# What LZW makes of one pixel of color 0, with codes of two bits: clear, 0, end.
_ONE_PIXEL = b"\2\2\x44\1\0"


def gif(screen: tuple[int, int], frames: Iterable[Rectangle], *, tail: bytes = b";", data: bytes = _ONE_PIXEL) -> bytes:
    """Return a GIF of two colors; each frame is (left, top, width, height), and `data` is right for 1 × 1."""
    head = b"GIF89a" + struct.pack("<HHBBB", *screen, 0x80, 0, 0) + b"\0\0\0\xff\xff\xff"
    control = b"!\xf9\4\0\5\0\0\0"
    return head + b"".join(control + b"," + struct.pack("<4HB", *frame, 0) + data for frame in frames) + tail


def riff(*chunks: bytes, size: int | None = None) -> bytes:
    """Return a WebP of these chunks; `size` is what it says it has, if that is a lie."""
    content = b"WEBP" + b"".join(chunks)
    return b"RIFF" + struct.pack("<I", len(content) if size is None else size) + content


def riff_chunk(name: bytes, content: bytes, *, size: int | None = None) -> bytes:
    said = len(content) if size is None else size
    return name + struct.pack("<I", said) + content + b"\0" * (len(content) & 1)


def webp_canvas(width: int, height: int, flags: int = 0) -> bytes:
    """Return the extended header of a WebP."""
    sizes = (width - 1).to_bytes(3, "little") + (height - 1).to_bytes(3, "little")
    return riff_chunk(b"VP8X", bytes([flags, 0, 0, 0]) + sizes)


def webp_frame(left: int, top: int, width: int, height: int, data: bytes) -> bytes:
    """Return a frame of an animation; `data` is chunks."""
    numbers = (left // 2, top // 2, width - 1, height - 1, 100)
    return riff_chunk(b"ANMF", b"".join(number.to_bytes(3, "little") for number in numbers) + b"\0" + data)


Tag = tuple[int, int, int, int]


def tiff_directory(tags: Sequence[Tag], *, following: int = 0, order: str = "<", count: int | None = None) -> bytes:
    """Return a directory; each tag is (number, type, count, value or place)."""
    entries = b""
    for number, kind, values, value in sorted(tags):
        short = kind == 3 and values == 1
        packed = struct.pack(order + "HH", value, 0) if short else struct.pack(order + "I", value)
        entries += struct.pack(order + "HHI", number, kind, values) + packed
    said = len(tags) if count is None else count
    return struct.pack(order + "H", said) + entries + struct.pack(order + "I", following)


def tiff_tags(width: int, height: int, *, place: int, size: int) -> list[Tag]:
    """Return what a grey page of 8 bits needs, with its data in one strip."""
    plain = [(256, 4, 1, width), (257, 4, 1, height), (258, 3, 1, 8), (259, 3, 1, 1), (262, 3, 1, 1)]
    return [*plain, (273, 4, 1, place), (277, 3, 1, 1), (278, 4, 1, height), (279, 4, 1, size)]


def tiff_header(first: int, *, order: str = "<") -> bytes:
    return (b"II" if order == "<" else b"MM") + struct.pack(order + "HI", 42, first)


def box(name: bytes, content: bytes, *, size: int | None = None, wide: bool = False) -> bytes:
    """Return a box; `size` is what it says it has, if that is a lie; `wide` has its size in 64 bits."""
    if wide:
        return struct.pack(">I4sQ", 1, name, len(content) + 16 if size is None else size) + content
    return struct.pack(">I4s", len(content) + 8 if size is None else size, name) + content


def matrix_profile(
    name: str, red: Sequence[float], green: Sequence[float], blue: Sequence[float], gamma: float
) -> bytes:
    """Return a display profile (ICC.1:2001) of three colorants, in XYZ under D50, and one gamma."""
    title = name.encode() + b"\0"
    described = b"desc\0\0\0\0" + struct.pack(">I", len(title)) + title + bytes(4 + 4 + 2 + 1 + 67)
    curve = b"curv\0\0\0\0" + struct.pack(">IH", 1, round(gamma * 256)) + b"\0\0"
    parts = [(b"desc", described), (b"cprt", b"text\0\0\0\0public domain\0"), (b"wtpt", _xyz((0.9642, 1.0, 0.8249)))]
    parts += [(b"rXYZ", _xyz(red)), (b"gXYZ", _xyz(green)), (b"bXYZ", _xyz(blue))]
    parts += [(b"rTRC", curve), (b"gTRC", curve), (b"bTRC", curve)]
    table, content = struct.pack(">I", len(parts)), b""
    start = 128 + 4 + 12 * len(parts)
    for tag, part in parts:
        table += struct.pack(">4sII", tag, start + len(content), len(part))
        content += part + b"\0" * (-len(part) % 4)
    return _profile_header(128 + len(table) + len(content)) + table + content


def _profile_header(size: int) -> bytes:
    head = struct.pack(">I4sI4s4s4s", size, b"none", 0x02100000, b"mntr", b"RGB ", b"XYZ ")
    head += struct.pack(">6H4s4sI", 2026, 1, 1, 0, 0, 0, b"acsp", b"none", 0) + bytes(20)
    return head + struct.pack(">iii", 0xF6D6, 0x10000, 0xD32D) + bytes(128 - 80)


def _xyz(values: Sequence[float]) -> bytes:
    return b"XYZ \0\0\0\0" + struct.pack(">3i", *(round(value * 65536) for value in values))


DISPLAY_P3 = matrix_profile(
    "Like Display P3", (0.51512, 0.2412, -0.00105), (0.29198, 0.69225, 0.04189), (0.1571, 0.06657, 0.78407), 2.2
)
ADOBE_RGB = matrix_profile(
    "Like Adobe RGB", (0.60974, 0.31111, 0.01947), (0.20528, 0.62567, 0.06087), (0.14919, 0.06322, 0.74457), 2.199
)
