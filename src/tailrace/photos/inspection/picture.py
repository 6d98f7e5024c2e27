"""What is known of a picture, and what is allowed of one."""

import functools
import importlib.util
from dataclasses import dataclass, field

MEDIA_TYPES = {
    "jpeg": "image/jpeg",
    "png": "image/png",
    "webp": "image/webp",
    "avif": "image/avif",
    "gif": "image/gif",
    "tiff": "image/tiff",
    "heic": "image/heic",
}
TITLES = {name: "WebP" if name == "webp" else name.upper() for name in MEDIA_TYPES}


@functools.cache
def taken_formats() -> frozenset[str]:
    """Return the formats whose pixels can be read here: HEIC only where the extra `heic` is installed."""
    heic = importlib.util.find_spec("pillow_heif") is not None
    return frozenset(name for name in MEDIA_TYPES if heic or name != "heic")


@dataclass(frozen=True, slots=True)
class Picture:
    """What the header of a picture says; `width` and `height` in pixels, before an EXIF orientation is applied."""

    format: str
    media_type: str
    width: int
    height: int
    frames: int


@dataclass(frozen=True, slots=True)
class PictureLimits:
    """What is taken at most: bytes of the file, pixels (width × height × frames), frames, and of which formats."""

    max_bytes: int = 50 * 1024 * 1024
    max_pixels: int = 100_000_000
    max_frames: int = 1000
    formats: frozenset[str] = field(default_factory=taken_formats)
