"""What a file is by its first bytes: a picture to look into, or something else that a refusal can name."""

import re
from collections.abc import Callable

from tailrace.photos.errors import UnsupportedPicture
from tailrace.photos.inspection.findings import Findings
from tailrace.photos.inspection.gif import scan_gif
from tailrace.photos.inspection.heif import scan_heif
from tailrace.photos.inspection.jpeg import scan_jpeg
from tailrace.photos.inspection.png import scan_png
from tailrace.photos.inspection.tiff import scan_tiff
from tailrace.photos.inspection.wants import Scan
from tailrace.photos.inspection.webp import scan_webp

HEAD = 512  # bytes after which there is no doubt; the `<svg` of an SVG may stand behind a declaration and a comment

SCANS: dict[str, Callable[[Findings], Scan[None]]] = {
    "jpeg": scan_jpeg,
    "png": scan_png,
    "webp": scan_webp,
    "gif": scan_gif,
    "tiff": scan_tiff,
    "heif": scan_heif,
}

# The shortest first, so that the choice is the same whether the bytes come one by one or all at once.
_PICTURES = {
    "jpeg": re.compile(rb"\xff\xd8\xff"),
    "tiff": re.compile(rb"II[*+]\0|MM\0[*+]"),
    "gif": re.compile(rb"GIF8[79]a"),
    "png": re.compile(rb"\x89PNG\r\n\x1a\n"),
    "heif": re.compile(rb".{4}ftyp", re.DOTALL),
    "webp": re.compile(rb"RIFF.{4}WEBP", re.DOTALL),
}
_OTHERS = [
    (re.compile(pattern, re.DOTALL | re.IGNORECASE), what)
    for pattern, what in (
        (rb"%PDF-", "a PDF"),
        (rb"PK(\x03\x04|\x05\x06|\x07\x08)", "a ZIP archive, or an office document"),
        (rb"\x1f\x8b|BZh|\xfd7zXZ|7z\xbc\xaf|Rar!|\x28\xb5\x2f\xfd", "a compressed archive"),
        (rb"\x7fELF|MZ|\xcf\xfa\xed\xfe|\xca\xfe\xba\xbe", "a program"),
        (rb"#!", "a script"),
        (rb"BM.{4}\0\0\0\0", "a BMP"),
        (rb"\0\0[\x01\x02]\0", "an icon"),
        (rb"8BPS", "a Photoshop document"),
        (rb"\xff\x0a|\0\0\0\x0cJXL ", "a JPEG XL picture"),
        (rb"\0\0\0\x0cjP  |\xff\x4f\xff\x51", "a JPEG 2000 picture"),
        (rb"FUJIFILM|IIR[OS]|MMOR|IIU\0", "a camera's raw picture"),
        (rb"RIFF.{4}AVI |\x1aE\xdf\xa3|FLV\x01|\0\0\x01[\xb3\xba]", "a video"),
        (rb"RIFF.{4}WAVE|ID3|OggS|fLaC|\xff[\xf2-\xfb]", "a sound recording"),
        (rb"<\?php", "a script"),
        (rb"(\xef\xbb\xbf)?\s*(<\?xml.*|<!--.*|<!DOCTYPE\s+)?<?svg\b", "an SVG"),
        (rb"(\xef\xbb\xbf)?\s*(<!--.*)?<(!DOCTYPE\s+html|html|head|body|script)\b", "an HTML page"),
        (rb"(\xef\xbb\xbf)?\s*<\?xml", "an XML document"),
        (rb"[\t\n\r\x20-\x7e\x80-\xff]+\Z", "text"),
    )
]


def recognize(head: bytes) -> str | None:
    """Return which of SCANS to look with; None if these first bytes belong to none of them, or are too few to tell."""
    return next((name for name, pattern in _PICTURES.items() if pattern.match(head)), None)


def unsupported(head: bytes) -> UnsupportedPicture:
    """Make the refusal of a file that begins with `head` and is no picture, naming what it is."""
    what = next((what for pattern, what in _OTHERS if pattern.match(head)), "no picture")
    return UnsupportedPicture(f"This is {what}, whatever its name says. Send a JPEG, PNG, WebP, AVIF, GIF or TIFF.")
