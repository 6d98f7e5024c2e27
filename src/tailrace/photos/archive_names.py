"""Names for files in an archive: safe to unpack on Windows, macOS and Linux, and none twice.

What a system forbids, hides, or gives a meaning of its own is replaced. Two names that only differ in case, or in how
their letters are composed, are one file on some systems, so they count as the same.

https://learn.microsoft.com/windows/win32/fileio/naming-a-file
"""

import re
import unicodedata

# 255 bytes are a name's most on Linux; Windows, without further ado, takes paths of 260 characters.
NAME_BYTES = 100
_FORBIDDEN = re.compile(r'[\x00-\x1f\x7f-\x9f/\\:*?"<>|\u200e\u200f\u2028-\u202e\u2066-\u2069\ud800-\udfff]')
_DEVICE = re.compile(r"(con|prn|aux|nul|conin\$|conout\$|com[0-9¹²³]|lpt[0-9¹²³])\s*(\..*)?", re.IGNORECASE)


def safe_name(name: str) -> str:
    """Return a name of at most 100 bytes that every system takes for that of a plain, visible file or folder."""
    clean = _FORBIDDEN.sub("_", unicodedata.normalize("NFC", name)).strip(" .")
    clean = f"_{clean}" if _DEVICE.fullmatch(clean) or not clean or clean.startswith(("-", "~")) else clean
    stem, dot, ending = clean.rpartition(".")
    if not dot or not stem or len(ending.encode()) > 10:
        return _cut(clean, NAME_BYTES)
    return f"{_cut(stem, NAME_BYTES - len(ending.encode()) - 1)}.{ending}"


class Folder:
    """The names given in one folder so far."""

    def __init__(self) -> None:
        self._taken: set[str] = set()
        self._next: dict[str, int] = {}

    def name(self, wanted: str) -> str:
        """Return a safe name like `wanted` that no other file in the folder has: `a.jpg`, then `a (2).jpg`."""
        safe = safe_name(wanted)
        name, number = safe, self._next.get(_fold(safe), 2)
        while _fold(name) in self._taken:
            name = _numbered(safe, number)
            number += 1
        self._next[_fold(safe)] = number
        self._taken.add(_fold(name))
        return name


def _numbered(name: str, number: int) -> str:
    stem, dot, ending = name.rpartition(".")
    return f"{stem} ({number}).{ending}" if dot and stem else f"{name} ({number})"


def _fold(name: str) -> str:
    return unicodedata.normalize("NFKC", name.casefold())


def _cut(text: str, most_bytes: int) -> str:
    return text.encode()[:most_bytes].decode(errors="ignore").rstrip(" .")
