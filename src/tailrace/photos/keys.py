"""Where the bytes of photos and uploads are in storage. Every key begins with an id that tells its own age."""

import secrets
from datetime import UTC, datetime, timedelta

PHOTOS = "photos"
QUARANTINE = "quarantine"
#: A file that no row knows is removed at this age.
ORPHAN_AGE = timedelta(minutes=20)


def original_key(photo_id: str) -> str:
    """Return the key of a photo as it came."""
    return f"{PHOTOS}/{photo_id}/original"


def rendition_key(photo_id: str, job_id: str, attempt: int, name: str) -> str:
    """Return the key of a rendition; a run that was taken for dead never touches the files of its successor."""
    return f"{PHOTOS}/{photo_id}/{job_id}-{attempt}/{name}.webp"


def segment_key(upload_id: str, start: int) -> str:
    """Return a new key for the bytes of an upload from `start` on; another request's at the same place has another."""
    return f"{QUARANTINE}/{upload_id}/{start:015}-{secrets.token_hex(4)}"


def made_at(identifier: str) -> datetime:
    """Return the moment that an id of `database.new_id` carries (RFC 9562, section 5.7).

    Raises ValueError for what is no such id.
    """
    if len(identifier) != 32:
        raise ValueError(f"{identifier[:50]!r} is no id.")
    return datetime.fromtimestamp(int(identifier[:12], 16) / 1000, UTC)
