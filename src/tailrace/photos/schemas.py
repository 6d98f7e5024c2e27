"""What requests about photos carry, and what is answered."""

from datetime import datetime
from typing import Annotated, Self

from pydantic import Field, model_validator

from tailrace.accounts.schemas import Person
from tailrace.http.fields import Input, Text, View
from tailrace.photos.models import PhotoState, RenditionName

PhotoId = Annotated[str, Field(pattern="^[0-9a-f]{32}$")]
Caption = Annotated[Text, Field(max_length=2000)]


class PhotoStarted(View):
    """A photo that was taken in: `events` tells how its processing goes.

    `first` is false if the same bytes were there already; then this is the photo that they became the first time.
    """

    id: str
    name: str
    state: PhotoState
    url: str
    events: str
    first: bool


class Rendition(View):
    """A smaller WebP of a photo; sizes in pixels and bytes."""

    url: str
    width: int
    height: int
    bytes: int


class Pair(View):
    """Two photos of the same thing, before and after the work, by id."""

    before: str
    after: str


class Location(View):
    """Where a photo was taken: degrees of WGS 84, metres above sea level."""

    latitude: float
    longitude: float
    altitude: float | None


class PhotoSummary(View):
    """A photo as it stands in a list.

    `placeholder` is a thumbhash in base64, to be shown until the renditions are there. `taken_at` is the camera's own
    text, without an offset where the camera knew none; `shown_at` is the moment by which lists are ordered. `error`
    says why processing failed. `events` is where news of the photo can be followed.
    """

    id: str
    project: int | None
    task: int | None
    user: Person
    name: str
    caption: str
    state: PhotoState
    error: str | None
    placeholder: str | None
    format: str
    media_type: str
    width: int
    height: int
    frames: int
    bytes: int
    camera: str | None
    taken_at: str | None
    shown_at: datetime
    created_at: datetime
    url: str
    original: str
    renditions: dict[RenditionName, Rendition]
    pair: Pair | None
    events: str


class PhotoView(PhotoSummary):
    """A photo by itself, with the SHA-256 of its original, and where it was taken if the camera told."""

    sha256: str
    location: Location | None


class PhotoPage(View):
    """A page of photos, the newest first; `next` goes into `after` of the next request."""

    items: list[PhotoSummary]
    next: str | None


class TrashedPhoto(PhotoSummary):
    """A deleted photo that can still be restored; its files are not to be had before that."""

    deleted_at: datetime


class PhotoQuery(Input):
    """Which page of photos."""

    after: Annotated[str, Field(max_length=200)] | None = Field(default=None, description="`next` of the page before")
    limit: Annotated[int, Field(ge=1, le=200)] = 50


class PhotoChanges(Input):
    """What may change of a photo."""

    caption: Caption


class PairInput(Input):
    """The other photo of a pair: the one that shows the same thing before, or after, this one."""

    before: PhotoId | None = None
    after: PhotoId | None = None

    @model_validator(mode="after")
    def _one_of_them(self) -> Self:
        if (self.before is None) == (self.after is None):
            raise ValueError("name the other photo as either before or after")
        return self
