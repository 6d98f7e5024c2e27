"""The names of photos: what clients call their files, made safe to store, to show and to save under."""

import re

NAME_MAX = 255
_CONTROLS = re.compile(r"[\x00-\x1f\x7f-\x9f\u2028\u2029\ud800-\udfff]+")
_ENDINGS = {
    "jpeg": ("jpg", "jpeg", "jpe", "jfif"),
    "png": ("png", "apng"),
    "webp": ("webp",),
    "avif": ("avif",),
    "gif": ("gif",),
    "tiff": ("tif", "tiff"),
    "heic": ("heic", "heif"),
}


def clean_name(filename: str | None) -> str:
    """Return a client's file name as one line of at most 255 characters, without the folders some clients send."""
    name = _CONTROLS.sub("", re.split(r"[/\\]", filename or "")[-1]).strip()
    stem, dot, ending = name.rpartition(".")
    if dot and len(ending) <= 10:
        return f"{stem[: NAME_MAX - len(ending) - 1]}.{ending}"
    return name[:NAME_MAX] or "photo"


def saved_name(name: str, picture_format: str) -> str:
    """Return the name to save a photo under: its own, with an ending that says what it is, whatever it was called."""
    endings = _ENDINGS[picture_format]
    _, dot, ending = name.rpartition(".")
    return name if dot and ending.lower() in endings else f"{name}.{endings[0]}"


def stem_of(name: str) -> str:
    """Return a name without its ending."""
    stem, dot, _ = name.rpartition(".")
    return stem if dot and stem else name
