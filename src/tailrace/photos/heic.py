"""HEIC, whose codec libvips comes without. Needs the extra `tailrace[heic]`."""

import io
from typing import Any

import pyvips  # type: ignore[import-untyped]  # the library has no annotations

from tailrace.photos.errors import BrokenPicture, UnsupportedPicture

_BANDS = {"L": 1, "LA": 2, "La": 2, "RGB": 3, "RGBA": 4, "RGBa": 4}


def load(data: bytes) -> Any:
    """Return the picture in `data`, upright as the file's own boxes say, with its EXIF block and colour profile.

    Raises BrokenPicture, MemoryError, or UnsupportedPicture where the extra is not installed.
    """
    try:
        import pillow_heif
    except ModuleNotFoundError as error:
        raise UnsupportedPicture("HEIC pictures need the extra `heic` (pillow-heif) on the server.") from error
    try:
        heif = pillow_heif.open_heif(io.BytesIO(data))
        rows, info = heif.data, heif.info
        bands = _BANDS[heif.mode]
    except OSError as error:
        raise MemoryError(str(error)) from error  # By which the library means just that.
    except (ValueError, EOFError, RuntimeError, SyntaxError, LookupError) as error:
        raise BrokenPicture(f"This HEIC is damaged or cut off, and cannot be decoded ({error}).") from error
    image = pyvips.Image.new_from_memory(rows, *heif.size, bands, "uchar")
    image = image.copy(interpretation="b-w" if bands < 3 else "srgb")
    if heif.mode.endswith("a"):
        image = image.unpremultiply().cast("uchar")
    return _with_metadata(image, {"exif-data": info.get("exif"), "icc-profile-data": info.get("icc_profile")})


def _with_metadata(image: Any, blocks: dict[str, bytes | None]) -> Any:
    image = image.copy()
    for name, block in blocks.items():
        if block:
            image.set_type(pyvips.GValue.blob_type, name, block)
    # libvips has read it from the block; the file's boxes, which say the same, were obeyed already.
    image.remove("orientation")
    return image
