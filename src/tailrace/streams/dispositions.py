"""What a browser is to do with a file: the header Content-Disposition (RFC 6266, RFC 8187)."""

import re
import unicodedata
from urllib.parse import quote

_ATTR_CHARS = "!#$&+-.^_`|~"  # what RFC 8187, section 3.2.1, leaves bare besides letters and digits
_UNSAFE = re.compile(r'[\x00-\x1f\x7f-\x9f/\\:*?"<>|\u200e\u200f\u202a-\u202e\u2066-\u2069]')
_LONGEST = 150


def content_disposition(filename: str, *, inline: bool = False) -> str:
    """Return the header's value for a file to be saved as `filename`, or with `inline` to be shown.

    What would lead out of a folder, means something to a file system, or hides a name's real ending is replaced by `_`.
    """
    name = _safe(filename)
    plain = _plain(name)
    kind = "inline" if inline else "attachment"
    if plain == name:
        return f'{kind}; filename="{plain}"'
    return f"{kind}; filename=\"{plain}\"; filename*=UTF-8''{quote(name, safe=_ATTR_CHARS)}"


def _safe(filename: str) -> str:
    printable = filename.encode("utf-8", "replace").decode()
    name = _UNSAFE.sub("_", unicodedata.normalize("NFC", printable)).strip(" .")
    stem, dot, ending = name.rpartition(".")
    if len(name) > _LONGEST and dot and len(ending) < _LONGEST // 2:
        return f"{stem[: _LONGEST - len(ending) - 1]}.{ending}"
    return name[:_LONGEST] or "file"


def _plain(name: str) -> str:
    """Return a stand-in for clients that know no UTF-8 here."""
    plain = unicodedata.normalize("NFKD", name).encode("ascii", "ignore").decode().replace("%", "_").strip()
    plain = _UNSAFE.sub("_", plain)
    return "file" + plain if plain.startswith(".") else plain or "file"
