"""Renditions of a picture: one decode, then ever smaller WebPs, upright, in sRGB, without any metadata.

libvips decodes in strips, and a JPEG straight to a fraction of its size, so memory and time follow the rendition rather
than the original. That every byte was read is still noticed: the JPEG library reads the whole file at any scale. For
what is hostile enough to take time, memory or the process itself, see `decoding`.
"""

import base64
import re
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from typing import Any

import pyvips  # type: ignore[import-untyped]  # the library has no annotations
import thumbhash  # type: ignore[import-untyped]  # nor has this one

from tailrace.photos import heic
from tailrace.photos.errors import BrokenPicture, TooManyPixels
from tailrace.photos.inspection.picture import TITLES

_LOADERS = {
    "jpeg": "jpegload_buffer",
    "png": "pngload_buffer",
    "webp": "webpload_buffer",
    "avif": "heifload_buffer",
    "gif": "gifload_buffer",
    "tiff": "tiffload_buffer",
}
# Where numbers mean what the picture's own profile says; from the others libvips has converted already.
_DEVICE_SPACES = {"srgb", "rgb", "rgb16", "b-w", "grey16"}
_SHRINKS = (8, 4, 2)
_PLACEHOLDER_EDGE = 24
_MUCH_RUBBISH = 2048
_NO_MEMORY = re.compile("out of memory|insufficient memory|memory allocation|unable to allocate", re.IGNORECASE)
_CUT_OFF = re.compile(r"premature|truncated|end of (?:file|stream)|unexpected eof", re.IGNORECASE)

# A picture comes once: a cache would only hold its memory, and mistake a file for another one of the same name.
pyvips.cache_set_max(0)
pyvips.concurrency_set(1)
pyvips.block_untrusted_set(True)


@dataclass(frozen=True, slots=True)
class Decoded:
    """A picture's pixels, upright, 8 bits of sRGB with or without alpha, and the EXIF block that came with them."""

    image: Any
    exif: bytes | None


@dataclass(frozen=True, slots=True)
class Encoded:
    """A WebP and its size in pixels."""

    width: int
    height: int
    data: bytes


def decode(data: bytes | bytearray, form: str, *, longest: int, max_pixels: int) -> Decoded:
    """Decode the picture in `data`, of the format `form`, to the last byte; of several frames, the first.

    The result is no larger than `longest` pixels on its longest edge, and never larger than the picture.
    Raises BrokenPicture for one that cannot be decoded or is cut off, TooManyPixels for one that has more than
    `max_pixels`, whatever its header made of it before, MemoryError when there is too little.
    """
    with _explained(form):
        image = _load(data, form, longest)
        _check_size(image, form, max_pixels)
        exif = _exif(image, data, form)
        pixels = _read(image.thumbnail_image(longest, height=longest, size="down", no_rotate=True), form)
        if image.interpretation in _DEVICE_SPACES:
            pixels = _to_srgb(pixels)
        return Decoded(_plain(_upright(pixels)), exif)


def fit(image: Any, longest: int) -> Any:
    """Return a decoded image with at most `longest` pixels on its longest edge, itself if it is that small."""
    if max(image.width, image.height) <= longest:
        return image
    return image.thumbnail_image(longest, height=longest).copy_memory()


def encode(image: Any, *, quality: int, effort: int) -> Encoded:
    """Return a decoded image as a WebP with no metadata at all.

    `quality` is from 1 to 100, `effort` from 0 to 6: more makes a smaller file, slowly.
    """
    return Encoded(image.width, image.height, image.webpsave_buffer(Q=quality, effort=effort, keep="none"))


def placeholder(image: Any) -> str:
    """Return the thumbhash of a decoded image in base64: some 25 bytes, a blur to be shown until there is more.

    Any rendition of a picture gives the same, the smallest one in the least time.
    """
    # Transparent parts become white: the library fails on alpha.
    opaque = image.flatten(background=255) if image.hasalpha() else image
    small = opaque.thumbnail_image(_PLACEHOLDER_EDGE, height=_PLACEHOLDER_EDGE, size="down").bandjoin(255)
    pixels = list(bytes(small.write_to_memory()))
    return base64.b64encode(bytes(thumbhash.rgba_to_thumb_hash(small.width, small.height, pixels))).decode()


def _load(data: bytes | bytearray, form: str, longest: int) -> Any:
    if form == "heic":
        return heic.load(bytes(data))
    load = getattr(pyvips.Image, _LOADERS[form])
    options = {"access": "sequential", "fail_on": "error"}
    image = load(data, **options)
    if form == "jpeg":
        edge = max(image.width, image.height)
        shrink = next((factor for factor in _SHRINKS if edge // factor >= longest), 1)
        return load(data, **options, shrink=shrink)
    return image


def _check_size(image: Any, form: str, max_pixels: int) -> None:
    # The inspector read the same from the header; a file made to show the two something different ends here.
    if image.width * image.height > max_pixels:
        raise TooManyPixels(f"This {TITLES[form]} decodes to {image.width:,} × {image.height:,} pixels, too many.")


def _exif(image: Any, data: bytes | bytearray, form: str) -> bytes | None:
    if form == "tiff":
        return bytes(data)  # EXIF is a TIFF file without a picture.
    return bytes(image.get("exif-data")) if image.get_typeof("exif-data") else None


def _read(image: Any, form: str) -> Any:
    """Decode to the end, which also means that no part is missing."""
    pyvips.vips_lib.vips_error_clear()
    pixels = image.copy_memory()
    warnings = pyvips.ffi.string(pyvips.vips_lib.vips_error_buffer()).decode(errors="replace")
    if form == "jpeg" and _tells_of_a_gap(warnings):
        raise _broken(form, "premature end")
    return pixels


def _tells_of_a_gap(warnings: str) -> bool:
    # Where the rest of a file was never written, or is zeros, there may be an end marker all the same. libjpeg fills
    # the gap with grey and goes on; a few bytes too many before a marker are a habit of some cameras.
    rubbish = re.search(r"(\d+) extraneous bytes before marker 0xd9", warnings)
    return "premature end" in warnings or (rubbish is not None and int(rubbish[1]) > _MUCH_RUBBISH)


def _to_srgb(image: Any) -> Any:
    """Apply the colour profile that came with the picture, if there is one and it makes sense."""
    if not image.get_typeof("icc-profile-data"):
        return image
    try:
        return image.icc_transform("srgb", embedded=True).copy_memory()
    except pyvips.Error:
        return image


def _upright(image: Any) -> Any:
    """Turn the picture as its EXIF block says."""
    turned = image.get_typeof("orientation") and image.get("orientation") != 1
    return image.autorot().copy_memory() if turned else image


def _plain(image: Any) -> Any:
    """Make what libvips passes through as it is, such as grey or many bands, RGB or RGBA of 8 bits."""
    if image.interpretation == "srgb" and image.format == "uchar" and image.bands <= 4:
        return image
    image = image.colourspace("srgb") if image.interpretation != "srgb" else image
    image = image.extract_band(0, n=3) if image.bands > 4 else image
    return image.cast("uchar").copy_memory()


@contextmanager
def _explained(form: str) -> Iterator[None]:
    """Turn what libvips says when it gives up into a sentence."""
    try:
        yield
    except pyvips.Error as error:
        told = f"{error.message} {error.detail}"
        if _NO_MEMORY.search(told):
            raise MemoryError(told) from error
        raise _broken(form, told) from error


def _broken(form: str, told: str) -> BrokenPicture:
    if _CUT_OFF.search(told):
        return BrokenPicture(f"This {TITLES[form]} is cut off: a part of the picture is missing. Send it again.")
    reason = " ".join(re.sub(r"unable to \w+ to memory|[^\x20-\x7e]+", " ", told).split())[:200]
    return BrokenPicture(
        f"This {TITLES[form]} is damaged and cannot be decoded ({reason}). "
        "Save it again with another program, or send another one."
    )
