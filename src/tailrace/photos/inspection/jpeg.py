"""JPEG (ITU-T T.81, Annex B): marker segments up to the scans, markers between them, and the end-of-image marker.

What phones append behind that marker (a second picture, a short film) is not looked at: it is no part of the picture.
Garbage between segments is skipped, as decoders do. A colour profile is cut into APP2 segments (ICC.1, Annex B.4).

A progressive JPEG is followed through all its scans. Of others, as cameras make them, the data is nearly all there is,
and to search it for markers is half as much work as to hash it: there the end is looked at, when it has come.
"""

import re
from dataclasses import dataclass

from tailrace.photos.errors import UnsupportedPicture
from tailrace.photos.inspection.findings import Findings
from tailrace.photos.inspection.wants import Find, Read, Rest, Scan, Skip

_MARKER = Find(re.compile(rb"\xff[^\x00\xff]"))
# Within a scan 0xFF00 is a byte of data, and a restart marker (D0 to D7) no end of it.
_MARKER_AFTER_DATA = Find(re.compile(rb"\xff[^\x00\xd0-\xd7\xff]"))
_EOI, _SOS, _APP2 = 0xD9, 0xDA, 0xE2
_STUFFED, _END = b"\xff\x00", b"\xff\xd9"
_TAIL = 16 * 1024
_NO_DATA = re.compile(rb"\xff[^\x00\xd0-\xd7]")
_ZEROS, _MOST_ZEROS = b"\0\0", 64
_ALONE = {0x01, *range(0xD0, 0xD9)}  # TEM, RSTn and SOI have no length
_FRAME_HEADERS = {*range(0xC0, 0xD0)} - {0xC4, 0xC8, 0xCC}  # without DHT, JPG and DAC
_PROGRESSIVE = 0xC2
_DECODED = {0xC0, 0xC1, _PROGRESSIVE}  # baseline, extended and progressive; lossless and arithmetic ones are no photos
_MAX_SCANS = 100  # libvips decodes no more either
_ICC = b"ICC_PROFILE\0"


@dataclass(slots=True)
class _Seen:
    frame: int | None = None
    scans: int = 0
    profile: int = 0


def scan_jpeg(found: Findings) -> Scan[None]:
    """Look through a JPEG."""
    found.is_a("jpeg")
    seen = _Seen()
    yield Skip(2)
    marker = (yield _MARKER)[1]
    while marker != _EOI:
        if marker not in _ALONE:
            yield from _segment(found, seen, marker)
        if marker == _SOS and seen.frame != _PROGRESSIVE:
            found.cut_off = _is_cut_off((yield Rest(_TAIL)))
            return
        marker = (yield _MARKER_AFTER_DATA if marker == _SOS else _MARKER)[1]
    if not seen.scans:
        raise found.broken("has no picture in it")


def _is_cut_off(tail: bytes) -> bool:
    """Return whether a picture is without its end, by the last bytes behind the header of its scan.

    Within data there is no marker, often a stuffed byte, and seldom a zero behind another. Something else may stand
    behind the picture, which hides the end: where that cannot be told from data, the decoder will tell.
    """
    if _END in tail:
        return False
    is_data = _STUFFED in tail and _NO_DATA.search(tail) is None and tail.count(_ZEROS) < _MOST_ZEROS
    return len(tail) < _TAIL or is_data


def _segment(found: Findings, seen: _Seen, marker: int) -> Scan[None]:
    length = int.from_bytes((yield Read(2))) - 2
    if length < 0:
        raise found.broken("has a segment that is shorter than its own length")
    if marker in _FRAME_HEADERS:
        _frame_header(found, seen, marker, (yield Read(length)))
        return
    if marker == _SOS:
        _count_scan(found, seen)
    if marker == _APP2:
        name = yield Read(min(length, len(_ICC)))
        length -= len(name)
        if name == _ICC:
            seen.profile += length
            found.profile(seen.profile)
    yield Skip(length)


def _frame_header(found: Findings, seen: _Seen, marker: int, content: bytes) -> None:
    if seen.frame is not None:
        raise found.broken("has two frame headers")
    if len(content) < 6 or len(content) != 6 + 3 * content[5]:
        raise found.broken("has a frame header of a wrong length")
    precision, components = content[0], content[5]
    if marker not in _DECODED or precision != 8 or components not in {1, 3, 4}:
        raise UnsupportedPicture(
            "This JPEG is of a kind that no camera makes: lossless, arithmetic, or of 12 bits. Save it as a usual one."
        )
    seen.frame = marker
    found.size(int.from_bytes(content[3:5]), int.from_bytes(content[1:3]))


def _count_scan(found: Findings, seen: _Seen) -> None:
    if seen.frame is None:
        raise found.broken("has picture data before its frame header")
    seen.scans += 1
    if seen.scans > _MAX_SCANS:
        raise found.broken(f"is drawn in more than {_MAX_SCANS} passes")
