"""What becomes of a photo, told to those who follow its project, or its uploader alone if it has none."""

from typing import Any

from sqlalchemy.orm import Session

from tailrace.accounts.principal import Principal
from tailrace.database import publish
from tailrace.photos.models import Photo


def tell(session: Session, photo: Photo, what: str, **data: Any) -> None:
    """Publish `photo.{what}` with the photo's id, task and state, and `data`, when the transaction commits."""
    about = {"photo": photo.id, "task": photo.task_id, "state": photo.state}
    publish(session, channel_of(photo), f"photo.{what}", about | data)


def channel_of(photo: Photo) -> str:
    """Return the channel on which those who may see a photo hear of it."""
    return f"user:{photo.user_id}" if photo.project_id is None else f"project:{photo.project_id}"


def events_of(principal: Principal, photo: Photo) -> str:
    """Return where the caller can follow what becomes of a photo."""
    # A job's events are for whoever caused it; everybody else hears of the photo on its channel.
    if principal.is_admin or principal.user_id == photo.user_id:
        return f"/jobs/{photo.job_id or ''}/events"
    return f"/events?channel={channel_of(photo)}"
