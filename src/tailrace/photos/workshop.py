"""What routes that take files in are given."""

from dataclasses import dataclass
from datetime import timedelta
from typing import Annotated

from fastapi import Depends
from starlette.requests import HTTPConnection

from tailrace.database import Database
from tailrace.photos.inspection import PictureLimits
from tailrace.photos.settings import PhotoSettings
from tailrace.storage import Storage


@dataclass(frozen=True, slots=True)
class Workshop:
    """What photos and uploads are made of: where their rows and bytes go, and what the operator allows."""

    database: Database
    storage: Storage
    settings: PhotoSettings

    @property
    def lifetime(self) -> timedelta:
        """How long an upload waits for its client."""
        return timedelta(hours=self.settings.upload_hours)

    @property
    def limits(self) -> PictureLimits:
        """What is allowed of a picture."""
        allowed = self.settings
        return PictureLimits(allowed.max_bytes, allowed.max_pixels, allowed.max_frames)


async def _workshop(connection: HTTPConnection) -> Workshop:
    state = connection.app.state
    return Workshop(state.database, state.storage, state.photos)


WorkshopDep = Annotated[Workshop, Depends(_workshop)]
