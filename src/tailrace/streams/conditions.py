"""Conditional and range requests (RFC 9110, sections 13 and 14) for a file whose validator is strong."""

import re
from dataclasses import dataclass
from datetime import UTC, datetime
from email.utils import parsedate_to_datetime

from starlette.datastructures import Headers

_RANGE = re.compile(r"bytes=\s*([0-9]*)-([0-9]*)\s*", re.IGNORECASE)
_MOST_DIGITS = 18


class PreconditionFailed(Exception):
    """The file is not the one that the client has in mind (412)."""


class NotModified(Exception):
    """The client has the file already (304)."""


class RangeNotSatisfiable(Exception):
    """The file ends before the range begins (416)."""


@dataclass(frozen=True, slots=True)
class Validators:
    """What tells one version of a file from another."""

    etag: str
    last_modified: datetime | None

    def check(self, headers: Headers) -> None:
        """Heed the preconditions of a GET or HEAD, in the order of RFC 9110, section 13.2.2.

        Raises PreconditionFailed or NotModified.
        """
        if "if-match" in headers:
            if not self._listed(headers["if-match"], weak=False):
                raise PreconditionFailed
        elif self._modified_since(headers.get("if-unmodified-since")) is True:
            raise PreconditionFailed
        if "if-none-match" in headers:
            if self._listed(headers["if-none-match"], weak=True):
                raise NotModified
        elif self._modified_since(headers.get("if-modified-since")) is False:
            raise NotModified

    def allow_range(self, headers: Headers) -> bool:
        """Return whether `If-Range`, if there is one, names this version; a date never does, for it is not strong."""
        return headers.get("if-range", self.etag).strip() == self.etag

    def _listed(self, header: str, *, weak: bool) -> bool:
        tags = [tag.strip() for tag in header.split(",")]
        if weak:
            tags = [tag.removeprefix("W/") for tag in tags]
        return self.etag in tags or tags == ["*"]

    def _modified_since(self, header: str | None) -> bool | None:
        """Return None when the header is missing or is no date, or the file has none."""
        if header is None or self.last_modified is None:
            return None
        try:
            moment = parsedate_to_datetime(header)
        except (ValueError, OverflowError):
            return None
        moment = moment if moment.tzinfo else moment.replace(tzinfo=UTC)
        return self.last_modified.replace(microsecond=0) > moment


def choose_range(header: str | None, size: int) -> tuple[int, int] | None:
    """Return (start, stop) of the single range asked for, or None for the whole file; raises RangeNotSatisfiable.

    Several ranges, and what is not understood, are ignored, as RFC 9110, section 14.2, allows.
    """
    match = _RANGE.fullmatch(header or "")
    if match is None or not (match[1] or match[2]) or max(map(len, match.groups())) > _MOST_DIGITS:
        return None
    if not match[1]:
        start, stop = max(size - int(match[2]), 0), size
    else:
        start = int(match[1])
        if match[2] and int(match[2]) < start:
            return None
        stop = min(int(match[2]) + 1, size) if match[2] else size
    if start >= stop:
        raise RangeNotSatisfiable
    return start, stop
