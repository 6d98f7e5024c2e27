"""Files that nobody should send: what each of them is, and what has to become of it."""

import functools
import gzip
import io
import struct
import zipfile
import zlib
from collections.abc import Callable, Iterator

from PIL import Image

from tests.photos import byte_forms as forms
from tests.photos.entries import Entry, failed, ready, refused
from tests.photos.good_pictures import SIZE, animated, detailed, heic, saved, tiny, vips, with_other_mdat

SVG = b'<?xml version="1.0"?>\n<!-- drawn by hand -->\n<svg xmlns="http://www.w3.org/2000/svg"><script/></svg>'
PAGE = b"<!DOCTYPE html><html><body><script>alert(1)</script></body></html>"
MAGIC = {
    "JPEG": b"\xff\xd8\xff",
    "PNG": forms.PNG_MAGIC,
    "WebP": b"RIFF\x40\0\0\0WEBP",
    "GIF": b"GIF89a",
    "TIFF": b"II*\0",
    "AVIF": b"\0\0\0\x1cftypavif\0\0\0\0avifmif1miaf",
    "HEIC": b"\0\0\0\x1cftypheic\0\0\0\0heicmif1miaf",
}


def bad_pictures() -> Iterator[Entry]:
    """Give every bad file."""
    yield from _no_pictures()
    yield from _cut_off()
    yield from _too_many_pixels()
    yield from _broken_jpegs()
    yield from _broken_pngs()
    yield from _broken_webps()
    yield from _broken_gifs()
    yield from _broken_tiffs()
    yield from _broken_avifs()
    yield from _rubbish_metadata()
    yield from _heavy()
    yield from _undecodable_jpegs()
    yield from _undecodable_others()


def _no_pictures() -> Iterator[Entry]:
    for name, data, says in (
        ("a file of no bytes", b"", "empty"),
        ("an SVG", SVG, "an SVG"),
        ("an SVG without a declaration", b"  <svg xmlns='http://www.w3.org/2000/svg'/>", "an SVG"),
        ("a page", PAGE, "an HTML page"),
        ("a page with a picture behind it", PAGE + saved("JPEG"), "an HTML page"),
        ("a script named .jpg", b"#!/bin/sh\nrm -rf /\n", "a script"),
        ("a PHP script", b"<?php system($_GET['c']); ?>", "a script"),
        ("an XML document", b"<?xml version='1.0'?><a/>", "an XML document"),
        ("a text", b"This is no photo.", "text"),
        ("a PDF", b"%PDF-1.7\n" + forms.noise(100), "a PDF"),
        ("a ZIP", _zip(), "a ZIP"),
        ("a gzip", gzip.compress(b"picture", mtime=0), "a compressed archive"),
        ("a program", b"\x7fELF\2\1\1" + bytes(57), "a program"),
        ("a program for Windows", b"MZ\x90\0" + bytes(60), "a program"),
        ("a BMP", saved("BMP"), "a BMP"),
        ("a JPEG 2000", saved("JPEG2000"), "a JPEG 2000"),
        ("a JPEG XL", b"\0\0\0\x0cJXL \r\n\x87\n" + forms.noise(100), "a JPEG XL"),
        ("an icon", saved("ICO"), "an icon"),
        ("a Photoshop document", b"8BPS\0\1" + bytes(20), "a Photoshop document"),
        ("an MP4", forms.box(b"ftyp", b"isom\0\0\2\0isomiso2avc1mp41") + forms.noise(100), "a video"),
        ("a QuickTime film", forms.box(b"ftyp", b"qt  \0\0\0\0qt  ") + forms.noise(100), "a video"),
        ("a WebM", b"\x1aE\xdf\xa3" + forms.noise(100), "a video"),
        ("an AVI", b"RIFF\x40\0\0\0AVI LIST" + bytes(52), "a video"),
        ("a WAV", b"RIFF\x40\0\0\0WAVEfmt " + bytes(52), "a sound"),
        ("an MP3", b"ID3\4" + forms.noise(100), "a sound"),
        ("a Fujifilm raw picture", b"FUJIFILMCCD-RAW 0201" + bytes(80), "raw picture"),
        ("a Canon raw picture", b"II*\0\x10\0\0\0CR\2\0" + bytes(100), "raw picture"),
        ("a newer Canon raw picture", forms.box(b"ftyp", b"crx \0\0\0\1crx isom") + bytes(100), "raw picture"),
        ("a HEIF of an unknown coding", forms.box(b"ftyp", b"mif1\0\0\0\0mif1miaf") + bytes(100), "coding"),
        ("random bytes", b"\x00" + forms.noise(5_000), "no picture"),
        ("zeros", bytes(5_000), "no picture"),
    ):
        yield refused(name, _just(data), 415 if data else 422, says)
    yield refused("a DNG", _dng, 415, "raw picture")
    yield refused("a raw picture that shows its thumbnail first", _thumbnail_first, 415, "raw picture")


def _just(data: bytes) -> Callable[[], bytes]:
    return lambda: data


def _zip() -> bytes:
    file = io.BytesIO()
    with zipfile.ZipFile(file, "w") as archive:
        archive.writestr(zipfile.ZipInfo("photo.jpg"), saved("JPEG"))
    return file.getvalue()


def _cut_off() -> Iterator[Entry]:
    for title, magic in MAGIC.items():
        yield refused(f"only what a {title} begins with", _just(magic), 422, "cut off")
    whole: dict[str, Callable[[], bytes]] = {
        "JPEG": lambda: saved("JPEG"),
        "detailed JPEG": detailed,
        "progressive JPEG": lambda: saved("JPEG", progressive=True),
        "PNG": lambda: saved("PNG"),
        "animated PNG": lambda: animated("PNG"),
        "WebP": lambda: saved("WEBP"),
        "animated WebP": lambda: animated("WEBP"),
        "GIF": lambda: saved("GIF"),
        "animated GIF": lambda: animated("GIF"),
        "TIFF with its directory first": lambda: saved("TIFF"),
        "TIFF with its directory last": lambda: vips("tif"),
        "BigTIFF": lambda: vips("tif", bigtiff=True),
        "AVIF": lambda: saved("AVIF"),
        "AVIF whose data goes to the end": lambda: with_other_mdat(saved("AVIF"), size=0),
        "HEIC": heic,
    }
    for title, make in whole.items():
        for percent in (5, 30, 60, 90, 99):
            yield refused(f"{percent} % of a {title}", functools.partial(_part, make, percent), 422, "cut off")
        yield refused(f"all but one byte of a {title}", functools.partial(_part, make, 100), 422, "cut off")
    # Its data is too even to be told from what may stand behind a picture: only decoding tells.
    plain = functools.partial(_part, _of_one_colour, 70)
    yield failed("jpeg, of one colour, cut off in its data", plain, (2000, 1500), says="cut off")


def _of_one_colour() -> bytes:
    file = io.BytesIO()
    Image.new("RGB", (2000, 1500), (10, 120, 200)).save(file, "JPEG")
    return file.getvalue()


def _part(make: Callable[[], bytes], percent: int) -> bytes:
    whole = make()
    return whole[: max(20, min(len(whole) * percent // 100, len(whole) - 1))]


def _too_many_pixels() -> Iterator[Entry]:
    lossless = b"\x2f" + struct.pack("<I", 16_382 | 16_382 << 14) + bytes(20)
    yield refused("a PNG of 900 megapixels in 110 KB", _png_bomb, 422, "900 megapixels")
    yield refused(
        "a PNG of 2³¹ × 2³¹ pixels", lambda: forms.png_header(2**31 - 1, 2**31 - 1) + bytes(99), 422, "a side"
    )
    yield refused("a PNG that is far too wide", lambda: forms.png(100_000, 1), 422, "a side")
    yield refused("a JPEG of 65,535 × 65,535 pixels", lambda: _jpeg_size(65_535, 65_535), 422, "megapixels")
    yield refused(
        "a WebP of 268 megapixels", lambda: forms.riff(forms.riff_chunk(b"VP8L", lossless)), 422, "megapixels"
    )
    yield refused(
        "a WebP with a canvas of 2⁴⁸ pixels", lambda: forms.riff(forms.webp_canvas(2**24, 2**24)), 422, "a side"
    )
    yield refused(
        "a GIF of 65,535 × 65,535 pixels", lambda: forms.gif((65_535, 65_535), [(0, 0, 1, 1)]), 422, "megapixels"
    )
    yield refused("a GIF whose frame is larger than all that is allowed", lambda: _gif_frame(60_000), 422, "megapixels")
    yield refused("a TIFF of 2³² × 2³² pixels", lambda: _tiff_size(2**32 - 1, 2**32 - 1), 422, "a side")
    yield refused("a TIFF of 900 megapixels", lambda: _tiff_size(30_000, 30_000), 422, "900 megapixels")
    yield refused("an AVIF of 900 megapixels", lambda: _avif_size(30_000, 30_000), 422, "900 megapixels")
    yield refused("a GIF of 10,000 frames", lambda: forms.gif((1, 1), [(0, 0, 1, 1)] * 10_000), 422, "frames")
    yield refused("a GIF of 200 frames of a megapixel", lambda: _gif_frames(200), 422, "in 101 frames")
    yield refused("a PNG that announces 4 billion frames", lambda: _apng(2**32 - 1, 1), 422, "frames")
    yield refused("a WebP of 10,000 frames", lambda: _webp_frames(10_000), 422, "frames")
    yield refused("a TIFF of 10,000 pages", lambda: _tiff_pages(10_000), 422, "frames")


def _png_bomb() -> bytes:
    packer = zlib.compressobj(9)
    row = bytes(1 + 30_000 // 8)
    data = b"".join(packer.compress(row * 100) for _ in range(300)) + packer.flush()
    head = forms.png_header(30_000, 30_000, depth=1, color=0)
    return head + forms.png_chunk(b"IDAT", data) + forms.png_chunk(b"IEND", b"")


def _jpeg_size(width: int, height: int) -> bytes:
    return forms.with_jpeg_size(saved("JPEG"), width, height)


def _gif_frame(edge: int) -> bytes:
    return forms.gif((1, 1), [(0, 0, edge, edge)])


def _gif_frames(count: int) -> bytes:
    return forms.gif((1000, 1000), [(0, 0, 1, 1)] * count)


def _tiff_lost(*tags: int) -> bytes:
    """Return a TIFF whose values, of eight bytes each, are said to be at its very beginning."""
    return forms.tiff_header(8) + forms.tiff_directory([(tag, 16, 1, 0) for tag in tags])


def _tiff_size(width: int, height: int) -> bytes:
    return forms.tiff_header(108) + bytes(100) + forms.tiff_directory(forms.tiff_tags(width, height, place=8, size=100))


def _tiff_pages(count: int) -> bytes:
    tags = forms.tiff_tags(1, 1, place=8, size=1)
    length = len(forms.tiff_directory(tags))
    pages = [forms.tiff_directory(tags, following=10 + length * (page + 1)) for page in range(count)]
    return forms.tiff_header(10) + b"\0\0" + b"".join(pages)


def _avif_size(width: int, height: int) -> bytes:
    said = struct.pack(">4s4xII", b"ispe", *SIZE)
    picture = saved("AVIF")
    assert picture.count(said) == 1
    return picture.replace(said, struct.pack(">4s4xII", b"ispe", width, height))


def _webp_frames(count: int) -> bytes:
    dot = forms.webp_frame(0, 0, 1, 1, tiny("WEBP")[12:])
    return forms.riff(forms.webp_canvas(1, 1, flags=2), forms.riff_chunk(b"ANIM", bytes(6)), dot * count)


def _apng(announced: int, frames: int) -> bytes:
    control = [
        forms.png_chunk(b"fcTL", struct.pack(">5IHHBB", number, 8, 8, 0, 0, 1, 10, 0, 0)) for number in range(frames)
    ]
    return forms.png(8, 8, forms.png_chunk(b"acTL", struct.pack(">II", announced, 0)), *control)


def _broken_jpegs() -> Iterator[Entry]:
    plain = saved("JPEG")
    frame = forms.jpeg_frame(plain)
    yield refused("a JPEG of no height", lambda: forms.with_jpeg_size(plain, 96, 0), 422, "nothing")
    yield refused("a JPEG of no width", lambda: forms.with_jpeg_size(plain, 0, 64), 422, "nothing")
    yield refused("a JPEG with nothing in it", lambda: b"\xff\xd8\xff\xe0\0\x04ab\xff\xd9", 422, "no picture in it")
    yield refused("a JPEG with only headers", lambda: plain[: frame + 19] + b"\xff\xd9", 422, "no picture in it")
    yield refused("a JPEG with a segment of no length", lambda: b"\xff\xd8\xff\xe0\0\0" + plain[2:], 422, "segment")
    yield refused(
        "a JPEG with two frame headers", lambda: plain[:frame] + plain[frame : frame + 19] + plain[frame:], 422, "two"
    )
    yield refused("a JPEG with data before its header", lambda: plain[:2] + b"\xff\xda\0\2" + plain[2:], 422, "before")
    yield refused("a lossless JPEG", lambda: _jpeg_marker(0xC3), 415, "lossless")
    yield refused("an arithmetic JPEG", lambda: _jpeg_marker(0xC9), 415, "arithmetic")
    yield refused("a JPEG of 12 bits", lambda: plain[: frame + 4] + b"\x0c" + plain[frame + 5 :], 415, "12 bits")
    yield refused("a JPEG in 5,000 scans", lambda: _jpeg_scans(5_000), 422, "passes")
    yield refused("a JPEG of a million segments", lambda: _jpeg_segments(1_000_000), 422, "tiny pieces")
    profile = forms.jpeg_profile(forms.ADOBE_RGB + forms.noise(16_000_000))
    yield refused("a JPEG with a profile of 16 MB", lambda: forms.with_jpeg_segments(plain, *profile), 422, "4 MiB")


def _jpeg_marker(marker: int) -> bytes:
    plain = saved("JPEG")
    frame = forms.jpeg_frame(plain)
    return plain[: frame + 1] + bytes([marker]) + plain[frame + 2 :]


def _jpeg_scans(count: int) -> bytes:
    """Repeat the last scan of a progressive JPEG, which makes the picture sharper, or does not."""
    whole = saved("JPEG", progressive=True)
    scan = whole[whole.rindex(b"\xff\xda") : -2]
    return whole[:-2] + scan * count + whole[-2:]


def _jpeg_segments(count: int) -> bytes:
    return forms.with_jpeg_segments(saved("JPEG"), b"\xff\xfe\0\2" * count)


def _broken_pngs() -> Iterator[Entry]:
    magic, header = forms.PNG_MAGIC, forms.png_header(8, 8)
    end = forms.png_chunk(b"IEND", b"")
    wrong = bytearray(forms.png(8, 8))
    wrong[20] ^= 1
    yield refused("a PNG of no width", lambda: forms.png(0, 8), 422, "nothing")
    yield refused("a PNG of no height", lambda: forms.png(8, 0), 422, "nothing")
    yield refused("a PNG without a header", lambda: magic + forms.png_chunk(b"IDAT", bytes(99)) + end, 422, "header")
    yield refused("a PNG with a damaged header", lambda: bytes(wrong), 422, "damaged header")
    yield refused("a PNG of 7 bits", lambda: forms.png_header(8, 8, depth=7) + end, 422, "header")
    yield refused("a PNG of a color type that is none", lambda: forms.png_header(8, 8, color=5) + end, 422, "header")
    yield refused("a PNG with nothing in it", lambda: header + end, 422, "no picture in it")
    yield refused("a PNG with rubbish in it", lambda: header + forms.noise(1_000), 422, "no chunk")
    yield refused(
        "a PNG with a chunk of 4 GB", lambda: header + forms.png_chunk(b"IDAT", b"", length=2**32 - 1), 422, "no chunk"
    )
    yield refused(
        "a PNG with a chunk of 2 GB", lambda: header + forms.png_chunk(b"IDAT", b"", length=2**31 - 1), 422, "cut off"
    )
    yield refused(
        "a PNG of a million chunks",
        lambda: header + forms.png_chunk(b"IDAT", b"") * 1_000_000 + end,
        422,
        "tiny pieces",
    )
    yield refused("a PNG that announces more frames than it has", lambda: _apng(5, 2), 422, "announces 5 frames")
    yield refused("a PNG that announces fewer frames than it has", lambda: _apng(2, 5), 422, "announces 2 frames")
    yield refused("a PNG with a frame outside of it", _apng_outside, 422, "outside")
    yield refused("a PNG whose profile unpacks to a GB", lambda: _png_bombs(b"iCCP", b"p\0\0", 1024), 422, "4 MiB")
    yield refused("a PNG whose text unpacks to a GB", lambda: _png_bombs(b"zTXt", b"Comment\0\0", 1024), 422, "16 MiB")
    yield refused("a PNG with a bomb in Unicode", lambda: _png_bombs(b"iTXt", b"a\0\1\0\0\0", 64), 422, "16 MiB")
    yield refused("a PNG of many small bombs", lambda: _png_bombs(b"zTXt", b"Comment\0\0", 1, 64), 422, "16 MiB")


def _apng_outside() -> bytes:
    control = struct.pack(">5IHHBB", 0, 8, 8, 1, 0, 1, 10, 0, 0)
    return forms.png(8, 8, forms.png_chunk(b"acTL", struct.pack(">II", 1, 0)), forms.png_chunk(b"fcTL", control))


def _png_bombs(kind: bytes, before: bytes, megabytes: int, times: int = 1) -> bytes:
    return forms.png(8, 8, forms.png_chunk(kind, before + forms.zeros_deflated(megabytes)) * times)


def _broken_webps() -> Iterator[Entry]:
    still = saved("WEBP")[12:]
    canvas, other = forms.webp_canvas(*SIZE), forms.webp_canvas(95, 64)
    moving, loop = forms.webp_canvas(*SIZE, flags=2), forms.riff_chunk(b"ANIM", bytes(6))
    yield refused("a WebP with nothing in it", forms.riff, 422, "no picture in it")
    yield refused("a WebP whose canvas lies", lambda: forms.riff(other, still), 422, "announces 95 × 64")
    yield refused("a WebP of two pictures", lambda: forms.riff(canvas, still, still), 422, "out of place")
    yield refused("a WebP of two canvases", lambda: forms.riff(canvas, canvas, still), 422, "out of place")
    yield refused("a WebP that says it moves", lambda: forms.riff(moving, loop, still), 422, "out of place")
    yield refused("a WebP without frames", lambda: forms.riff(moving, loop), 422, "no picture in it")
    yield refused(
        "a WebP with a chunk larger than all", lambda: forms.riff(still[:4] + b"\xff\xff\0\0" + still[8:]), 422, "chunk"
    )
    yield refused("a WebP of odd bits", lambda: forms.riff(forms.riff_chunk(b"VP8 ", forms.noise(99))), 422, "is none")
    yield refused(
        "a WebP of odd lossless bits", lambda: forms.riff(forms.riff_chunk(b"VP8L", bytes(99))), 422, "is none"
    )
    yield refused(
        "a WebP that is too short", lambda: forms.riff(forms.riff_chunk(b"VP8 ", b"\0" * 9)), 422, "too short"
    )
    yield refused(
        "a WebP with a frame that lies",
        lambda: forms.riff(moving, loop, forms.webp_frame(0, 0, 8, 8, still)),
        422,
        "announces 8 × 8",
    )
    yield refused(
        "a WebP with a frame outside of it",
        lambda: forms.riff(moving, loop, forms.webp_frame(2, 0, *SIZE, still)),
        422,
        "outside",
    )
    yield refused(
        "a WebP with a frame in a frame",
        lambda: forms.riff(moving, loop, forms.webp_frame(0, 0, *SIZE, still[:4] + b"\xff\xff\0\0")),
        422,
        "larger than its frame",
    )
    yield refused(
        "a WebP with a profile of 5 MB",
        lambda: forms.riff(canvas, forms.riff_chunk(b"ICCP", bytes(5_000_000)), still),
        422,
        "4 MiB",
    )
    yield refused("a WebP that says it is longer", lambda: forms.riff(still, size=100_000), 422, "cut off")


def _broken_gifs() -> Iterator[Entry]:
    dot = [(0, 0, 1, 1)]
    yield refused("a GIF with nothing in it", lambda: forms.gif((1, 1), []), 422, "no picture in it")
    yield refused("a GIF of no size", lambda: forms.gif((0, 0), [(0, 0, 0, 0)]), 422, "nothing")
    yield refused("a GIF that is only a script", lambda: b"GIF89a=1;alert(document.domain);//", 422, "megapixels")
    yield refused("a GIF without its end", lambda: forms.gif((1, 1), dot, tail=b""), 422, "cut off")
    yield refused("a GIF with rubbish in it", lambda: forms.gif((1, 1), dot, tail=forms.noise(99)), 422, "no block")
    yield refused(
        "a GIF of a million comments", lambda: forms.gif((1, 1), dot, tail=b"!\xfe\0" * 1_000_000), 422, "tiny pieces"
    )


def _broken_tiffs() -> Iterator[Entry]:
    tags = forms.tiff_tags(8, 8, place=10, size=64)
    directory = forms.tiff_directory(tags)
    head, data = forms.tiff_header(74), b"\0\0" + bytes(64)
    backwards = forms.tiff_directory(tags, following=10)
    circle = forms.tiff_directory(tags, following=74)
    outside = forms.tiff_directory(forms.tiff_tags(8, 8, place=10, size=2**31))
    yield refused("a TIFF without pages", lambda: forms.tiff_header(0) + bytes(99), 422, "no picture in it")
    yield refused("a TIFF with its pages backwards", lambda: head + data + backwards, 422, "backwards")
    yield refused("a TIFF with its pages in a circle", lambda: head + data + circle, 422, "circle")
    yield refused(
        "a TIFF whose directory is in its header", lambda: forms.tiff_header(4) + data + directory, 422, "backwards"
    )
    yield refused(
        "a TIFF with its directory far beyond", lambda: forms.tiff_header(2**32 - 2) + data + directory, 422, "cut off"
    )
    yield refused(
        "a TIFF with 65,535 entries", lambda: head + data + forms.tiff_directory(tags, count=65_535), 422, "entries"
    )
    yield refused("a TIFF with no entries", lambda: head + data + forms.tiff_directory([]) + bytes(99), 422, "nothing")
    yield refused("a TIFF whose width is kept in its header", lambda: _tiff_lost(256, 257), 422, "nothing")
    yield refused("a TIFF of no width", lambda: _tiff_size(0, 8), 422, "nothing")
    yield refused("a TIFF whose data is not there", lambda: head + data + outside, 422, "cut off")
    yield refused("a TIFF with a profile of 4 GB", lambda: _tiff_with((34675, 7, 2**32 - 1, 8)), 422, "4 MiB")
    yield refused(
        "a BigTIFF with 2⁶⁴ entries", lambda: b"II+\0\x08\0\0\0" + struct.pack("<Q", 16) + b"\xff" * 99, 422, "entries"
    )
    yield refused("a BigTIFF at the end of time", lambda: b"MM\0+\0\x08\0\0" + b"\xff" * 99, 422, "cut off")


def _tiff_with(*extra: forms.Tag) -> bytes:
    tags = [*forms.tiff_tags(8, 8, place=10, size=64), *extra]
    return forms.tiff_header(74) + b"\0\0" + bytes(64) + forms.tiff_directory(tags)


def _dng() -> bytes:
    return _tiff_with((50706, 1, 4, 0x0401))


def _thumbnail_first() -> bytes:
    return _tiff_with((254, 4, 1, 1), (330, 4, 1, 74))


def _broken_avifs() -> Iterator[Entry]:
    plain = saved("AVIF")
    brands, rest = plain[:32], plain[32:]
    meta = rest[: int.from_bytes(rest[:4])]
    yield refused("an AVIF of no size", lambda: _avif_size(0, 64), 422, "nothing")
    yield refused("an AVIF without a size", lambda: plain.replace(b"ispe", b"free"), 422, "nothing")
    yield refused("an AVIF with brands of 4 GB", lambda: b"\xff\xff\xff\xff" + plain[4:], 422, "impossible size")
    yield refused("an AVIF with brands of nothing", lambda: b"\0\0\0\x08" + plain[4:], 422, "impossible size")
    yield refused(
        "an AVIF with headers of 3 bytes", lambda: brands + b"\0\0\0\3meta" + rest[8:], 422, "impossible size"
    )
    yield refused("an AVIF with headers of no end", lambda: brands + b"\0\0\0\0meta" + rest[8:], 422, "impossible size")
    yield refused(
        "an AVIF with headers of 2⁶³ bytes", lambda: brands + b"\0\0\0\1meta" + b"\x7f" * 8 + rest[8:], 422, "cut off"
    )
    yield refused("an AVIF with a box larger than the one it is in", lambda: _avif_box(b"ipco", 2**31), 422, "larger")
    yield refused("an AVIF with a box of no size", lambda: _avif_box(b"ispe", 4), 422, "larger")
    yield refused("an AVIF with a size that is too short", lambda: _avif_box(b"ispe", 12), 422, "too short")
    yield refused("an AVIF with 4 billion associations", lambda: _avif_long_list(b"ipma", 4), 422, "too short")
    yield refused("an AVIF with 65,535 places", lambda: _avif_long_list(b"iloc", 6), 422, "too short")
    yield refused("an AVIF whose data is not there", lambda: brands + meta, 422, "cut off")
    yield refused(
        "an AVIF of a million boxes", lambda: brands + b"\0\0\0\x08free" * 1_000_000 + rest, 422, "tiny pieces"
    )
    yield refused("an AVIF of boxes in boxes in boxes", _avif_nested, 422, "cut off")
    yield refused("an AVIF of 4 billion frames", _avif_frames, 422, "frames")


def _avif_box(name: bytes, size: int) -> bytes:
    plain = saved("AVIF")
    at = plain.index(name) - 4
    return plain[:at] + struct.pack(">I", size) + plain[at + 4 :]


def _avif_long_list(name: bytes, skipped: int) -> bytes:
    plain = saved("AVIF")
    at = plain.index(name) + 4 + skipped
    return plain[:at] + (b"\xff" * 4 if name == b"ipma" else b"\xff\xff") + plain[at + (4 if name == b"ipma" else 2) :]


def _avif_nested() -> bytes:
    depth = 20_000
    opened = b"".join(struct.pack(">I4s", 8 * left, b"stbl") for left in range(depth, 0, -1))
    return saved("AVIF")[:32] + forms.box(b"moov", opened + opened)


def _avif_frames() -> bytes:
    film = animated("AVIF")
    at = film.index(b"stsz") + 12
    return film[:at] + b"\xff\xff\xff\xff" + film[at + 4 :]


def _rubbish_metadata() -> Iterator[Entry]:
    """Give good pictures whose metadata is not: nobody needs it to see the picture."""
    itself = struct.pack("<2sHIH", b"II", 42, 8, 2) + struct.pack("<HHII", 0x8769, 4, 1, 8) * 2 + struct.pack("<I", 8)
    huge = struct.pack("<2sHIH", b"II", 42, 8, 3) + struct.pack("<HHII", 0x010F, 2, 2**32 - 1, 8)
    huge += struct.pack("<HHII", 0x8825, 4, 2**31, 2**32 - 4) + struct.pack("<HHII", 0x9003, 2, 2**32 - 1, 2**32 - 1)
    blocks = {
        "random EXIF": b"Exif\0\0" + forms.noise(2_000),
        "EXIF with random entries": b"Exif\0\0II*\0\x08\0\0\0" + forms.noise(60_000),
        "EXIF that refers to itself": b"Exif\0\0" + itself,
        "EXIF of huge counts": b"Exif\0\0" + huge + bytes(8),
        "EXIF of nothing": b"Exif\0\0",
        "EXIF that points beyond": b"Exif\0\0MM\0*\xff\xff\xff\xff",
    }
    for what, block in blocks.items():
        yield ready(f"jpeg, with {what}", functools.partial(_with_exif, "JPEG", block))
        yield ready(f"webp, with {what}", functools.partial(_with_exif, "WEBP", block))
        yield ready(f"png, with {what}", functools.partial(_with_exif, "PNG", block))
    yield ready("jpeg, with 300 EXIF blocks", lambda: forms.with_jpeg_segments(saved("JPEG"), *[_app1(60_000)] * 300))
    profile = forms.ADOBE_RGB
    profiles = {
        "a random profile": forms.noise(3_000),
        "a profile of random content": profile[:132] + forms.noise(3_000),
        "a profile that is cut off": profile[:200],
        "a profile of 4 billion tags": profile[:128] + b"\xff" * 300,
        "a profile whose tags lie outside": profile[:128] + profile[128:].replace(b"\0\0\0\x14", b"\xff\xff\xff\xf0"),
        "a profile for CMYK": profile[:12] + b"prtrCMYKLab " + profile[24:],
        "a curve of 2³¹ points": profile.replace(b"curv\0\0\0\0\0\0\0\1", b"curv\0\0\0\0\x7f\xff\xff\xff"),
    }
    for what, content in profiles.items():
        yield ready(f"jpeg, with {what}", functools.partial(_with_profile, "JPEG", content))
        yield ready(f"png, with {what}", functools.partial(_with_profile, "PNG", content))
        yield ready(f"webp, with {what}", functools.partial(_with_profile, "WEBP", content))
    yield ready("png, with a profile that is not packed", lambda: _png_with(b"iCCP", b"p\0\0" + forms.noise(500)))
    yield ready("png, with a text that is not packed", lambda: _png_with(b"zTXt", b"p\0\0" + forms.noise(500)))
    yield ready("jpeg, with rubbish XMP", lambda: forms.with_jpeg_segments(saved("JPEG"), _xmp()))


def _app1(size: int) -> bytes:
    return forms.jpeg_segment(0xE1, b"Exif\0\0" + forms.noise(size))


def _xmp() -> bytes:
    bomb = b'<!DOCTYPE a [<!ENTITY b "' + b"c" * 1_000 + b'"><!ENTITY d "' + b"&b;" * 1_000 + b'">]><a>&d;&d;</a>'
    return forms.jpeg_segment(0xE1, b"http://ns.adobe.com/xap/1.0/\0" + bomb)


def _png_with(kind: bytes, content: bytes) -> bytes:
    return forms.with_png_chunk(saved("PNG"), forms.png_chunk(kind, content))


def _with_exif(form: str, block: bytes) -> bytes:
    if form == "PNG":
        return _png_with(b"eXIf", block.removeprefix(b"Exif\0\0"))
    if form == "JPEG":
        return forms.with_jpeg_segments(saved("JPEG"), forms.jpeg_segment(0xE1, block))
    canvas = forms.webp_canvas(*SIZE, flags=0x08)
    return forms.riff(canvas, saved("WEBP")[12:], forms.riff_chunk(b"EXIF", block.removeprefix(b"Exif\0\0")))


def _with_profile(form: str, profile: bytes) -> bytes:
    if form == "PNG":
        return _png_with(b"iCCP", b"profile\0\0" + zlib.compress(profile))
    if form == "JPEG":
        return forms.with_jpeg_segments(saved("JPEG"), *forms.jpeg_profile(profile))
    canvas = forms.webp_canvas(*SIZE, flags=0x20)
    return forms.riff(canvas, forms.riff_chunk(b"ICCP", profile), saved("WEBP")[12:])


def _heavy() -> Iterator[Entry]:
    """Give small files that take long to decode, or much memory, but no more than is allowed."""
    yield ready("jpeg, of 99 megapixels in 64 passes", lambda: forms.jpeg_in_passes(9_992, 9_992), (9_992, 9_992))
    yield ready("png, interlaced, of 99 megapixels", _interlaced, (9_992, 9_992))


def _interlaced() -> bytes:
    rows = [
        (1_249, 1_249),
        (1_249, 1_249),
        (2_498, 1_249),
        (2_498, 2_498),
        (4_996, 2_498),
        (4_996, 4_996),
        (9_992, 4_996),
    ]
    data = b"".join(bytes((width + 1) * height) for width, height in rows)
    header = forms.png_header(9_992, 9_992, color=0, interlace=1)
    return header + forms.png_chunk(b"IDAT", zlib.compress(data)) + forms.png_chunk(b"IEND", b"")


def _undecodable_jpegs() -> Iterator[Entry]:
    """Give JPEGs that are whole on the outside."""
    plain = saved("JPEG")
    scan = plain.index(b"\xff\xda") + 14
    half = (scan + len(plain)) // 2
    yield failed("jpeg, whose second half is zeros", lambda: plain[:half] + bytes(len(plain) - half - 2) + b"\xff\xd9")
    yield failed("jpeg, whose second half is missing", lambda: plain[:half] + b"\xff\xd9")
    yield failed("jpeg, without data", lambda: plain[:scan] + b"\xff\xd9")
    # libjpeg-turbo takes the tables of the standard then, as MJPEG does.
    yield ready("jpeg, without tables", lambda: plain.replace(b"\xff\xc4", b"\xff\xee"))
    yield failed("jpeg, without quantization", lambda: plain.replace(b"\xff\xdb", b"\xff\xee"))
    yield failed("jpeg, that says 90 megapixels", lambda: forms.with_jpeg_size(plain, 10_000, 9_000), (10_000, 9_000))
    yield failed("jpeg, progressive, that says 90 megapixels", _progressive_lie, (10_000, 9_000))
    yield failed("jpeg, in 100 scans that make no sense", lambda: _jpeg_scans(80))


def _undecodable_others() -> Iterator[Entry]:
    packed = zlib.compress(bytes(9 * 8))
    yield failed("png, of too few rows", lambda: forms.png(96, 64, rows=10))
    yield failed(
        "png, of no rows at all, that says 99 megapixels", lambda: forms.png(9_999, 9_900, rows=1), (9_999, 9_900)
    )
    yield failed("png, whose data is not packed", lambda: _png_data(forms.noise(500)), (8, 8))
    yield failed("png, with a wrong checksum", lambda: _png_data(packed, broken=True), (8, 8))
    yield failed("webp, of random data", lambda: _random_behind(saved("WEBP"), 30))
    yield failed("webp, lossless, of too little data", _webp_half)
    # Any bits are some lossless picture, and of a GIF's rows any number may be missing.
    yield ready("webp, lossless, of random data", lambda: _random_behind(saved("WEBP", lossless=True), 25))
    yield failed(
        "gif, of random data", lambda: forms.gif(SIZE, [(0, 0, *SIZE)], data=b"\x08\xff" + forms.noise(255) + b"\0")
    )
    yield ready("gif, of too little data", lambda: forms.gif(SIZE, [(0, 0, *SIZE)]))
    yield failed("tiff, of too little data", lambda: _tiff_size(*SIZE))
    yield failed("tiff, of too little data for 99 megapixels", lambda: _tiff_size(9_999, 9_900), (9_999, 9_900))
    yield failed("tiff, with random data as JPEG", lambda: _tiff_packed(7))
    yield failed("tiff, with random data as LZW", lambda: _tiff_packed(5))
    yield failed("tiff, with random data as Deflate", lambda: _tiff_packed(8))
    yield failed("tiff, of a packing that nobody knows", lambda: _tiff_packed(60_000))
    yield failed("avif, of random data", lambda: _random_behind(saved("AVIF"), saved("AVIF").index(b"mdat") + 4))
    yield failed("avif, that says another size", lambda: _avif_size(960, 640), (960, 640))
    yield failed("heic, without what its decoder needs", lambda: heic().replace(b"hvcC", b"free"))
    yield failed("heic, of random data", lambda: _random_behind(heic(), heic().index(b"mdat") + 4))


def _progressive_lie() -> bytes:
    return forms.with_jpeg_size(saved("JPEG", progressive=True), 10_000, 9_000)


def _png_data(data: bytes, *, broken: bool = False) -> bytes:
    chunk = forms.png_chunk(b"IDAT", data)
    if broken:
        chunk = chunk[:-1] + bytes([chunk[-1] ^ 1])
    return forms.png_header(8, 8, color=0) + chunk + forms.png_chunk(b"IEND", b"")


def _random_behind(picture: bytes, start: int) -> bytes:
    return picture[:start] + forms.noise(len(picture) - start)


def _webp_half() -> bytes:
    data = saved("WEBP", lossless=True)[20:]
    return forms.riff(forms.riff_chunk(b"VP8L", data[: len(data) // 2]))


def _tiff_packed(packing: int) -> bytes:
    tags = [tag for tag in forms.tiff_tags(*SIZE, place=8, size=3_000) if tag[0] != 259] + [(259, 3, 1, packing)]
    return forms.tiff_header(3_008) + forms.noise(3_000) + forms.tiff_directory(tags)
