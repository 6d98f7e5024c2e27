"""What is told of uploads: of a form's files, and of a resumable upload."""

from datetime import datetime
from enum import StrEnum
from typing import Any

from pydantic import Field

from tailrace.http.fields import View
from tailrace.photos.schemas import PhotoStarted


class PhotoRefused(View):
    """A file that was not taken, with the problem document that says why; without a name, the rest of the form."""

    name: str | None
    error: dict[str, Any]


class FormTaken(View):
    """What became of each file of a form, in order; at least one was taken."""

    photos: list[PhotoStarted | PhotoRefused]


class UploadState(StrEnum):
    """Where an upload stands; `waiting` for its client to go on, `receiving` while a request brings bytes."""

    WAITING = "waiting"
    RECEIVING = "receiving"
    FINISHED = "finished"
    REFUSED = "refused"
    EXPIRED = "expired"


class UploadView(View):
    """A resumable upload: `offset` of its `length` bytes are safely here; they are equal once it is a photo."""

    id: str
    url: str
    state: UploadState
    name: str
    caption: str
    task: int | None = Field(description="the id of the task that the photo is for")
    length: int
    offset: int
    photo: str | None = Field(description="the address of the photo, once it is one")
    error: str | None = Field(description="why it was refused")
    created_at: datetime
    expires_at: datetime


class UploadList(View):
    """Uploads, the newest first."""

    items: list[UploadView]
