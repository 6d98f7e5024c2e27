"""Good pictures of each type, as cameras, phones and programs write them; made by Pillow, libvips, and by hand."""

import functools
import io
import struct
from collections.abc import Iterator
from typing import Any

import pillow_heif
import pyvips  # type: ignore[import-untyped]  # the library has no annotations
from PIL import Image, ImageCms

from tests.photos import byte_forms as forms
from tests.photos.entries import Entry, ready

SIZE = (96, 64)
DETAILED = (400, 300)
ANIMATED = 4


@functools.cache
def scene(mode: str = "RGB", shift: int = 0) -> Image.Image:
    """Return a picture with slopes, edges and noise in it; another one for another `shift`."""
    width, height = SIZE
    slopes = Image.linear_gradient("L").resize(SIZE), Image.radial_gradient("L").resize(SIZE)
    grain = Image.frombytes("L", SIZE, forms.noise(width * height, seed=shift))
    picture = Image.merge("RGB", (*slopes, grain))
    picture.paste((200, 30 + shift, 30), (10 + shift, 10, 40 + shift, 30))
    if mode == "RGBA":
        picture.putalpha(slopes[1])
        return picture
    if mode == "I;16":
        return Image.frombytes("I;16", SIZE, forms.noise(2 * width * height))
    return picture.convert(mode)


def saved(form: str, mode: str = "RGB", **options: Any) -> bytes:
    """Return the scene as Pillow saves it."""
    file = io.BytesIO()
    scene(mode).save(file, form, **options)
    return file.getvalue()


def animated(form: str, mode: str = "RGB", **options: Any) -> bytes:
    """Return an animation of scenes."""
    others = [scene(mode, shift) for shift in range(1, ANIMATED)]
    return saved(form, mode, save_all=True, append_images=others, duration=100, **options)


def vips(form: str, mode: str = "RGB", **options: Any) -> bytes:
    """Return the scene as libvips saves it."""
    picture = scene(mode)
    kind = "ushort" if mode == "I;16" else "uchar"
    bands = 1 if mode == "I;16" else len(picture.getbands())
    image = pyvips.Image.new_from_memory(picture.tobytes(), *SIZE, bands, kind)
    image = image.copy(interpretation={"I;16": "grey16", "L": "b-w"}.get(mode, "srgb"))
    return bytes(image.write_to_buffer(f".{form}", **options))


def heic(mode: str = "RGB", **options: Any) -> bytes:
    file = io.BytesIO()
    pillow_heif.from_pillow(scene(mode)).save(file, quality=80, **options)
    return file.getvalue()


def tiny(form: str) -> bytes:
    """Return a picture of one pixel."""
    file = io.BytesIO()
    Image.new("RGB", (1, 1), (200, 100, 50)).save(file, form)
    return file.getvalue()


def exif(orientation: int = 1, *, place: bool = False) -> bytes:
    """Return an EXIF block: a camera, a moment, an orientation and, if wanted, a place."""
    block = Image.Exif()
    block[0x010F], block[0x0110], block[0x0112] = "Tailrace", "Model 1", orientation
    block.get_ifd(0x8769)[0x9003] = "2026:05:04 03:02:01"
    if place:
        block.get_ifd(0x8825).update({1: "N", 2: (47.0, 22.0, 30.0), 3: "E", 4: (8.0, 32.0, 24.0)})
    return block.tobytes()


def srgb_profile() -> bytes:
    return ImageCms.ImageCmsProfile(ImageCms.createProfile("sRGB")).tobytes()


def good_pictures() -> Iterator[Entry]:
    """Give every good picture."""
    yield from _jpegs()
    yield from _jpegs_of_phones()
    yield from _with_much_behind_them()
    yield from _pngs()
    yield from _webps()
    yield from _gifs()
    yield from _tiffs()
    yield from _avifs()
    yield from _heics()
    yield from _polyglots()


def _jpegs() -> Iterator[Entry]:
    yield ready("jpeg", lambda: saved("JPEG"))
    yield ready("jpeg, progressive", lambda: saved("JPEG", progressive=True))
    yield ready("jpeg, with restart markers", lambda: saved("JPEG", restart_marker_blocks=1))
    yield ready(
        "jpeg, progressive with restart markers", lambda: saved("JPEG", progressive=True, restart_marker_rows=1)
    )
    yield ready("jpeg, 4:4:4 of the best quality", lambda: saved("JPEG", quality=100, subsampling=0))
    yield ready("jpeg, of noise", lambda: saved("JPEG", "L", quality=100))
    yield ready("jpeg, CMYK", lambda: saved("JPEG", "CMYK"))
    yield ready("jpeg, grey", lambda: saved("JPEG", "L"))
    yield ready("jpeg, by libvips", lambda: vips("jpg", interlace=True))
    yield ready("jpeg, of one pixel", lambda: tiny("JPEG"), (1, 1))
    yield ready("jpeg, like Display P3", lambda: saved("JPEG", icc_profile=forms.DISPLAY_P3))
    yield ready("jpeg, like Adobe RGB", lambda: saved("JPEG", icc_profile=forms.ADOBE_RGB))
    yield ready("jpeg, with a place", lambda: saved("JPEG", exif=exif(place=True)))
    for orientation in range(1, 9):
        yield ready(
            f"jpeg, orientation {orientation}", functools.partial(_oriented, orientation), on_its_side=orientation > 4
        )


def _oriented(orientation: int) -> bytes:
    return saved("JPEG", exif=exif(orientation))


def _jpegs_of_phones() -> Iterator[Entry]:
    plain = saved("JPEG")
    thumbnail = exif()[:-4] + b"\0" * 8 + plain
    big = [forms.jpeg_segment(0xE1, b"http://ns.adobe.com/xmp/extension/\0" + bytes(65_000)) for _ in range(40)]
    yield ready("jpeg, with a JPEG as its thumbnail", lambda: forms.with_jpeg_segments(plain, _app1(thumbnail)))
    yield ready("jpeg, with 2.6 MB of metadata", lambda: forms.with_jpeg_segments(plain, *big))
    yield ready("jpeg, with fill bytes", lambda: plain.replace(b"\xff\xdb", b"\xff\xff\xff\xff\xdb", 1))
    yield ready("jpeg, and a second one behind it", lambda: plain + plain)
    yield ready(
        "jpeg, and a Samsung trailer", lambda: plain + b"\0\0\1\x0a\x0e\0\0\0Image_UTC_Data1700000000000SEFHSEFT"
    )
    yield ready(
        "jpeg, and a film behind it", lambda: plain + forms.box(b"ftyp", b"mp42" + bytes(4)) + forms.noise(30_000)
    )


def detailed(**options: Any) -> bytes:
    """Return a JPEG of which every part is data that hardly repeats: 300 KB."""
    file = io.BytesIO()
    Image.frombytes("RGB", DETAILED, forms.noise(3 * DETAILED[0] * DETAILED[1])).save(
        file, "JPEG", quality=90, **options
    )
    return file.getvalue()


def _with_much_behind_them() -> Iterator[Entry]:
    trailers = {
        "a long film": forms.box(b"ftyp", b"mp42" + bytes(4)) + forms.noise(300_000),
        "a large picture": detailed(),
        "padding": bytes(64_000),
        "other padding": b"\xff" * 60_000 + bytes(5_000),
        "a long text": b"What else there is to say. " * 3_000,
        "a mask": (b"\xff" * 50 + bytes(100)) * 500,
        "black pixels": b"\0\0\0\xff" * 16_000,
        "a table of a film": b"".join(struct.pack(">I", 230 + number % 170) for number in range(8_000)),
    }
    for name, trailer in trailers.items():
        yield ready(f"jpeg, detailed, and {name} behind it", functools.partial(_joined, trailer), DETAILED)
    yield ready("jpeg, detailed, with restart markers", lambda: detailed(restart_marker_rows=1), DETAILED)
    yield ready("jpeg, detailed and progressive", lambda: detailed(progressive=True), DETAILED)


def _joined(trailer: bytes) -> bytes:
    return detailed() + trailer


def _app1(content: bytes) -> bytes:
    return forms.jpeg_segment(0xE1, content)


def _pngs() -> Iterator[Entry]:
    yield ready("png", lambda: saved("PNG"))
    yield ready("png, transparent", lambda: saved("PNG", "RGBA"))
    yield ready("png, grey of 16 bits", lambda: saved("PNG", "I;16"))
    yield ready("png, of 16 bits by libvips", lambda: vips("png", "I;16", bitdepth=16))
    yield ready("png, with a palette", lambda: saved("PNG", "P"))
    yield ready("png, of one bit", lambda: saved("PNG", "1"))
    yield ready("png, interlaced", lambda: vips("png", interlace=True))
    yield ready("png, of one pixel", lambda: tiny("PNG"), (1, 1))
    yield ready("png, like Display P3", lambda: saved("PNG", icc_profile=forms.DISPLAY_P3))
    yield ready("png, sRGB", lambda: saved("PNG", icc_profile=srgb_profile()))
    yield ready("png, orientation 6", lambda: saved("PNG", exif=exif(6)), on_its_side=True)
    yield ready("png, and something behind it", lambda: saved("PNG") + b"<!-- made by a screenshot program -->")
    yield ready("png, animated", lambda: animated("PNG"), frames=ANIMATED)
    yield ready("png, animated behind a picture of its own", lambda: animated("PNG", default_image=True), frames=3)


def _webps() -> Iterator[Entry]:
    yield ready("webp", lambda: saved("WEBP"))
    yield ready("webp, lossless", lambda: saved("WEBP", lossless=True))
    yield ready("webp, transparent", lambda: saved("WEBP", "RGBA"))
    yield ready("webp, lossless and transparent", lambda: saved("WEBP", "RGBA", lossless=True))
    yield ready("webp, with metadata", lambda: saved("WEBP", exif=exif(place=True), icc_profile=forms.ADOBE_RGB))
    yield ready("webp, of one pixel", lambda: tiny("WEBP"), (1, 1))
    yield ready("webp, by libvips", lambda: vips("webp"))
    yield ready("webp, animated", lambda: animated("WEBP"), frames=ANIMATED)
    yield ready("webp, animated and lossless", lambda: animated("WEBP", "RGBA", lossless=True), frames=ANIMATED)
    yield ready("webp, and something behind it", lambda: saved("WEBP") + b"rest")


def _gifs() -> Iterator[Entry]:
    yield ready("gif", lambda: saved("GIF"))
    yield ready("gif, transparent", lambda: saved("GIF", "RGBA"))
    yield ready("gif, interlaced", lambda: saved("GIF", interlace=True))
    yield ready("gif, with a comment", lambda: saved("GIF", comment=b"a long story " * 100))
    yield ready("gif, animated", lambda: animated("GIF"), frames=ANIMATED)
    yield ready("gif, with a screen of no size", lambda: forms.gif((0, 0), [(0, 0, 1, 1)]), (1, 1))
    yield ready("gif, and something behind it", lambda: saved("GIF") + b"rest")


def _tiffs() -> Iterator[Entry]:
    yield ready("tiff, with its directory first", lambda: saved("TIFF"))
    yield ready("tiff, with its directory last", lambda: vips("tif"))
    yield ready("tiff, LZW", lambda: saved("TIFF", compression="tiff_lzw"))
    yield ready("tiff, Deflate with a predictor", lambda: vips("tif", compression="deflate", predictor="horizontal"))
    yield ready("tiff, with a JPEG in it", lambda: vips("tif", compression="jpeg"))
    yield ready("tiff, of tiles", lambda: vips("tif", tile=True, tile_width=16, tile_height=16))
    yield ready(
        "tiff, with smaller copies", lambda: vips("tif", tile=True, tile_width=16, tile_height=16, pyramid=True)
    )
    yield ready("tiff, BigTIFF", lambda: vips("tif", bigtiff=True))
    yield ready("tiff, BigTIFF with its directory first", lambda: saved("TIFF", big_tiff=True))
    yield ready("tiff, big-endian", _big_endian_tiff)
    yield ready("tiff, grey of 16 bits", lambda: saved("TIFF", "I;16"))
    yield ready("tiff, CMYK", lambda: saved("TIFF", "CMYK"))
    yield ready("tiff, transparent", lambda: saved("TIFF", "RGBA"))
    yield ready("tiff, like Adobe RGB", lambda: saved("TIFF", icc_profile=forms.ADOBE_RGB))
    yield ready("tiff, of many pages", lambda: animated("TIFF"), frames=ANIMATED)
    yield ready("tiff, of many strips", lambda: saved("TIFF", strip_size=96 * 3))


def _big_endian_tiff() -> bytes:
    tags = forms.tiff_tags(*SIZE, place=8, size=96 * 64)
    return forms.tiff_header(8 + 96 * 64, order=">") + bytes(range(96)) * 64 + forms.tiff_directory(tags, order=">")


def _avifs() -> Iterator[Entry]:
    yield ready("avif", lambda: saved("AVIF"))
    yield ready("avif, transparent", lambda: saved("AVIF", "RGBA"))
    yield ready("avif, with metadata", lambda: saved("AVIF", exif=exif(place=True), icc_profile=forms.DISPLAY_P3))
    yield ready("avif, turned", lambda: saved("AVIF", exif=exif(6)), (64, 96))
    yield ready("avif, by libvips", lambda: vips("avif"))
    yield ready("avif, a sequence", lambda: animated("AVIF"), frames=ANIMATED)
    yield ready("avif, with its data in a wide box", lambda: with_other_mdat(saved("AVIF"), wide=True))
    yield ready("avif, with its data up to the end", lambda: with_other_mdat(saved("AVIF"), size=0))
    yield ready("avif, and a film behind it", lambda: saved("AVIF") + forms.box(b"mpvd", forms.noise(5_000)))
    yield ready("avif, and rubbish behind it", lambda: saved("AVIF") + forms.noise(5_000))


def with_other_mdat(picture: bytes, *, wide: bool = False, size: int | None = None) -> bytes:
    """Write the box with the data of an AVIF in another way, and the place of that data accordingly."""
    at = picture.index(b"mdat") - 4
    head = forms.box(b"mdat", b"", wide=wide, size=size)
    if wide:
        head = forms.box(b"mdat", b"", wide=True, size=16 + len(picture) - at - 8)
    place = struct.pack(">I", at + 8)
    assert picture.count(place, 0, at) == 1
    moved = picture[:at].replace(place, struct.pack(">I", at + len(head)))
    return moved + head + picture[at + 8 :]


def _heics() -> Iterator[Entry]:
    yield ready("heic", heic)
    yield ready("heic, transparent", lambda: heic("RGBA"))
    yield ready("heic, with metadata", lambda: heic(exif=exif(place=True), icc_profile=forms.DISPLAY_P3))


def _polyglots() -> Iterator[Entry]:
    """Give pictures that are something else as well: they come in, for they are only ever served as pictures."""
    page = b"<html><script>alert(1)</script></html>"
    # As a script: a variable `GIF89a`, a comment from the width on, and an assignment behind the trailer.
    script = forms.gif((0x2A2F, 1), [(0, 0, 1, 1)], tail=b";*/=1;alert(1)//")
    plain = saved("JPEG")
    yield ready(
        "jpeg, with a page in a comment", lambda: forms.with_jpeg_segments(plain, forms.jpeg_segment(0xFE, page))
    )
    yield ready("jpeg, and a ZIP behind it", lambda: plain + b"PK\x03\x04" + bytes(26) + b"PK\x05\x06" + bytes(18))
    yield ready(
        "png, with a page in a text",
        lambda: forms.with_png_chunk(saved("PNG"), forms.png_chunk(b"tEXt", b"a\0" + page)),
    )
    yield ready("gif, that is also a script", lambda: script, (0x2A2F, 1))
