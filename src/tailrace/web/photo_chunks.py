"""The chunks of a photo grid, so that one of any length stays quick.

A chunk is a stretch of the time line: whole days, or sixty photos of one day that has more, which fill the rows of any
width. The browser holds those near its window; the others it empties and keeps their height, and asks for again by
their address (`static/photos.js`). A chunk is read by a short walk along an index, so nothing here grows with the
project: neither a page, nor what is sent, nor what the browser holds.
"""

from collections.abc import Sequence
from dataclasses import dataclass
from datetime import date, datetime, timedelta
from itertools import groupby
from urllib.parse import urlencode
from zoneinfo import ZoneInfo

from tailrace.photos.schemas import PhotoPage, PhotoQuery, PhotoSummary
from tailrace.photos.timeline import Place

#: A multiple of every number of columns, so that a chunk inside a day ends with a full row.
SIZE = 60
# What came into a chunk since makes it longer, up to this; then it is divided.
_SIZE_MAX = 2 * SIZE


@dataclass(frozen=True, slots=True)
class Span:
    """Which photos: those behind the place `after`, up to and with the place `until`; an empty one is the line's end.

    `day` is the day of the photo before them.
    """

    after: str = ""
    until: str = ""
    day: str = ""

    @property
    def key(self) -> str:
        """What names the chunk in its page, however it grows."""
        return self.after or "newest"

    def address(self, base: str) -> str:
        """Return the address of this chunk of the grid at `base`, which may have a query already."""
        known = {"after": self.after, "until": self.until, "day": self.day}
        query = urlencode({name: value for name, value in known.items() if value})
        return f"{base}{'&' if '?' in base else '?'}{query}" if query else base

    def query(self) -> PhotoQuery:
        """Return what to ask for, so that `arrange` has enough; raises pydantic's ValidationError."""
        return PhotoQuery(after=self.after or None, limit=_SIZE_MAX if self.until else SIZE)


@dataclass(frozen=True, slots=True)
class Day:
    """The photos of one day; it goes on if the chunk before ended with it. `narrow` is how many columns it needs."""

    day: date
    photos: Sequence[PhotoSummary]
    goes_on: bool

    @property
    def narrow(self) -> int:
        """How many columns are enough for it, if a few are; else 0."""
        return len(self.photos) if len(self.photos) < 6 and not self.goes_on else 0


@dataclass(frozen=True, slots=True)
class Chunk:
    """What is shown of a span, and the span that is left."""

    span: Span
    days: Sequence[Day]
    rest: Span | None


def arrange(page: PhotoPage, span: Span, zone: ZoneInfo) -> Chunk:
    """Return the chunk for the answer to `span.query()`, by days in `zone`; raises Invalid for a wrong `until`."""
    inside = _inside(page.items, span.until)
    if page.next is None or len(inside) < len(page.items):
        return Chunk(span, _days(inside, span, zone), None)
    shown = _whole_days(inside[:SIZE], zone)
    end = Place(shown[-1].shown_at, shown[-1].id).encode()
    rest = Span(end, span.until, str(_day_of(shown[-1], zone)))
    return Chunk(Span(span.after, end, span.day), _days(shown, span, zone), rest)


def start_of(day: date, zone: ZoneInfo) -> str:
    """Return the place from which a grid begins with this day, or with the last one before that has photos."""
    # Far from the ends of the calendar, where a midnight may not exist in UTC.
    near = min(max(day, date(1000, 1, 1)), date(9000, 1, 1))
    return Place(datetime.combine(near + timedelta(days=1), datetime.min.time(), zone), "0").encode()


def _inside(photos: Sequence[PhotoSummary], until: str) -> Sequence[PhotoSummary]:
    if not until:
        return photos
    last = Place.decode(until)
    return [photo for photo in photos if (photo.shown_at, photo.id) >= (last.shown_at, last.id)]


def _whole_days(photos: Sequence[PhotoSummary], zone: ZoneInfo) -> Sequence[PhotoSummary]:
    last = _day_of(photos[-1], zone)
    return [photo for photo in photos if _day_of(photo, zone) != last] or photos


def _days(photos: Sequence[PhotoSummary], span: Span, zone: ZoneInfo) -> Sequence[Day]:
    grouped = groupby(photos, key=lambda photo: _day_of(photo, zone))
    return [Day(day, list(some), goes_on=str(day) == span.day) for day, some in grouped]


def _day_of(photo: PhotoSummary, zone: ZoneInfo) -> date:
    return photo.shown_at.astimezone(zone).date()
