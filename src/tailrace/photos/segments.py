"""The bytes of resumable uploads in storage: written a segment at a time, and joined to the original of a photo."""

from collections.abc import Iterable, Iterator
from contextlib import contextmanager, suppress
from dataclasses import dataclass

from tailrace.photos.inspection import Inspector, Picture, PictureLimits
from tailrace.photos.keys import QUARANTINE, original_key, segment_key
from tailrace.storage import Storage, StorageError, Writer


@dataclass(frozen=True, slots=True)
class Segment:
    """Some bytes of an upload, durable under `key`: as many as `bytes`, from offset `start` on."""

    key: str
    start: int
    bytes: int

    @property
    def stop(self) -> int:
        """The offset after its last byte."""
        return self.start + self.bytes


@dataclass(frozen=True, slots=True)
class Joined:
    """The original of a photo that nobody knows yet."""

    picture: Picture
    bytes: int
    sha256: str


class Draft:
    """A segment that is being written."""

    def __init__(self, storage: Storage, upload_id: str, start: int) -> None:
        """Make a draft of the bytes of an upload from `start` on; nothing is stored yet."""
        self._storage = storage
        self._key = segment_key(upload_id, start)
        self._start = start
        #: The segment, once it is durable; there is none while it is written, and if its writing failed.
        self.segment: Segment | None = None

    @contextmanager
    def writing(self) -> Iterator[Writer]:
        """Give the writer; when the block has ended well, `segment` is durable. Raises as `Storage.write` does."""
        with self._storage.write(self._key) as writer:
            yield writer
        self.segment = Segment(self._key, self._start, writer.size)


def join(storage: Storage, segments: Iterable[Segment], photo_id: str, limits: PictureLimits) -> Joined:
    """Write the segments as the original of a photo, looked at on the way; blocks.

    Raises a PictureRefused, which leaves no original, and StorageError; ObjectMissing if a segment was lost.
    """
    inspector = Inspector(limits)
    with storage.write(original_key(photo_id)) as writer:
        for segment in segments:
            for chunk in storage.read(segment.key, 0, segment.bytes):
                inspector.feed(chunk)
                writer.write(chunk)
        picture = inspector.finish()
    return Joined(picture, writer.size, writer.sha256)


def remove_segments(storage: Storage, upload_id: str) -> None:
    """Remove every segment of an upload that needs none any more; the upkeep removes those that cannot be now."""
    with suppress(StorageError):
        for key in list(storage.keys(f"{QUARANTINE}/{upload_id}")):
            storage.delete(key)
