"""The words of tus 1.0.0, the protocol of resumable uploads (https://tus.io/protocols/resumable-upload): its headers.

    TusRefused
    ├── BadTusHeader      400   a header is missing or cannot be understood
    ├── UnknownChecksum   400   a checksum of a kind that is not offered
    ├── OffsetMismatch    409   the client goes on elsewhere than where the upload stands
    ├── WrongVersion      412   another version of the protocol, or none
    ├── NotOffsetStream   415   not the media type of an upload's bytes
    ├── UploadLocked      423   another request writes to this upload
    └── ChecksumMismatch  460   the bytes that came are not those that were sent

Where an upload is kept, and how far it has come, is the application's own matter. Each function takes the request's
headers, or the value of one of them.
"""

import base64
import binascii
import hashlib
import re
from collections.abc import Mapping
from datetime import UTC, datetime
from email.utils import format_datetime

from tailrace.streams.refusals import UploadRefused

VERSION = "1.0.0"
MEDIA_TYPE = "application/offset+octet-stream"
#: For the header Tus-Checksum-Algorithm; the protocol asks for sha1 at least.
ALGORITHMS = ("sha1", "sha256", "md5")
_RESUMABLE = {"Tus-Resumable": VERSION}
_NUMBER = re.compile(r"[0-9]{1,18}")
_KEY = re.compile(r"[\x21-\x2b\x2d-\x7e]+")


class TusRefused(UploadRefused):
    """The upload was not accepted."""

    title = "Bad request"
    headers: Mapping[str, str] = _RESUMABLE


class BadTusHeader(TusRefused):
    """A header of the resumable upload is missing or cannot be understood."""


class UnknownChecksum(TusRefused):
    """Checksums of this kind are not offered; use sha1, sha256 or md5."""

    title = "Unknown checksum"


class OffsetMismatch(TusRefused):
    """The upload stands elsewhere; ask with HEAD for its offset, and go on there."""

    status = 409
    title = "Conflict"


class WrongVersion(TusRefused):
    """Resumable uploads speak tus 1.0.0 here: send Tus-Resumable: 1.0.0."""

    status = 412
    title = "Wrong version"
    headers: Mapping[str, str] = {**_RESUMABLE, "Tus-Version": VERSION}


class NotOffsetStream(TusRefused):
    """Send the bytes with Content-Type: application/offset+octet-stream."""

    status = 415
    title = "Unsupported media type"


class UploadLocked(TusRefused):
    """Another request is writing to this upload; try again when it has ended."""

    status = 423
    title = "Locked"


class ChecksumMismatch(TusRefused):
    """The bytes that came do not have the checksum that was announced; nothing of them was kept, send them again."""

    status = 460
    title = "Checksum mismatch"


def check_version(headers: Mapping[str, str]) -> None:
    """Raise WrongVersion unless the request says that it speaks tus 1.0.0."""
    if headers.get("tus-resumable") != VERSION:
        raise WrongVersion


def check_media_type(headers: Mapping[str, str]) -> None:
    """Raise NotOffsetStream unless the body is declared as an upload's bytes."""
    if headers.get("content-type", "").strip().lower() != MEDIA_TYPE:
        raise NotOffsetStream


def parse_length(headers: Mapping[str, str]) -> int:
    """Return the size in bytes of the whole upload, from Upload-Length; raises BadTusHeader."""
    return _number(headers, "Upload-Length")


def parse_offset(headers: Mapping[str, str]) -> int:
    """Return where the client goes on, in bytes, from Upload-Offset; raises BadTusHeader."""
    return _number(headers, "Upload-Offset")


def parse_metadata(value: str | None) -> dict[str, str]:
    """Return what Upload-Metadata says; a key without a value has the empty text. Raises BadTusHeader."""
    found: dict[str, str] = {}
    if not value:
        return found
    for pair in value.split(","):
        key, _, encoded = pair.strip().partition(" ")
        if _KEY.fullmatch(key) is None or key in found:
            raise BadTusHeader("Upload-Metadata is a list of keys and Base64 values, each key once.")
        found[key] = _decode(encoded)
    return found


def format_metadata(metadata: Mapping[str, str]) -> str:
    """Return the value of Upload-Metadata that says `metadata`, whose keys are ASCII without spaces and commas."""
    pairs = ((key, base64.b64encode(value.encode()).decode()) for key, value in metadata.items())
    return ",".join(f"{key} {value}".rstrip() for key, value in pairs)


def format_expires(moment: datetime) -> str:
    """Return the value of Upload-Expires for an aware `moment`."""
    return format_datetime(moment.astimezone(UTC), usegmt=True)


def parse_checksum(value: str | None) -> "Checksum | None":
    """Return the checksum that Upload-Checksum announces, if any; raises UnknownChecksum or BadTusHeader."""
    if value is None:
        return None
    algorithm, _, encoded = value.strip().partition(" ")
    if algorithm.lower() not in ALGORITHMS:
        raise UnknownChecksum
    return Checksum(algorithm.lower(), _decode_bytes(encoded))


class Checksum:
    """Compares what is fed to it with what was announced; an Inspector."""

    def __init__(self, algorithm: str, expected: bytes) -> None:
        """Raise BadTusHeader if `expected` has not the length of a digest."""
        self._hash = hashlib.new(algorithm, usedforsecurity=False)
        self._expected = expected
        if len(expected) != self._hash.digest_size:
            raise BadTusHeader(f"The Upload-Checksum is no {algorithm} digest in Base64.")

    def feed(self, data: bytes, /) -> None:
        """Look at the next bytes."""
        self._hash.update(data)

    def finish(self) -> None:
        """Raise ChecksumMismatch unless all bytes together have the announced digest."""
        if self._hash.digest() != self._expected:
            raise ChecksumMismatch


def _number(headers: Mapping[str, str], name: str) -> int:
    value = headers.get(name.lower(), "")
    if _NUMBER.fullmatch(value) is None:
        raise BadTusHeader(f"The header {name} must be a number of bytes.")
    return int(value)


def _decode(encoded: str) -> str:
    try:
        return _decode_bytes(encoded).decode()
    except UnicodeDecodeError:
        raise BadTusHeader("A value in Upload-Metadata is no UTF-8 text.") from None


def _decode_bytes(encoded: str) -> bytes:
    try:
        return base64.b64decode(encoded.strip(), validate=True)
    except (binascii.Error, ValueError):
        raise BadTusHeader("A value in the headers of the upload is no Base64.") from None
