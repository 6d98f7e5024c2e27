"""Takes the body of one request into an upload: segment by segment, each durable before the offset moves past it.

What came before a connection was lost, fell silent, or had to end because the server stops, is kept. A chunk that
carries a checksum is one segment, for it counts whole or not at all.
"""

import asyncio
from collections.abc import AsyncGenerator, AsyncIterator
from contextlib import aclosing, suppress

from sqlalchemy.orm import Session
from starlette.requests import Request

from tailrace.accounts.principal import Principal
from tailrace.database import new_id
from tailrace.errors import TailraceError
from tailrace.http.limits import open_body
from tailrace.photos import resumable
from tailrace.photos.errors import PictureRefused
from tailrace.photos.holding import Hold
from tailrace.photos.inspection import Inspector, PictureLimits
from tailrace.photos.receiving import NewPhoto, finish
from tailrace.photos.resumable import Claim
from tailrace.photos.schemas import PhotoStarted
from tailrace.photos.segments import Draft, Segment, join, remove_segments
from tailrace.photos.workshop import Workshop
from tailrace.storage import ObjectMissing, Storage, StorageError
from tailrace.streams import (
    ClientGone,
    ClientTooSlow,
    Incoming,
    Intake,
    ServerStopping,
    UploadRefused,
    in_upload_thread,
    store,
    tus,
)

SEGMENT_BYTES = 8 * 1024 * 1024
# What a slow client has sent is at risk for no longer than this.
SEGMENT_S = 15.0
# A client whose network has gone without a word finds its upload free again after so long.
PATIENCE_S = 10.0
LEAST_RATE = 64
_INTERRUPTIONS = (ClientGone, ClientTooSlow, ServerStopping)
_LOST = "Bytes of this upload were lost in the storage: send the file again."


async def receive(
    workshop: Workshop, principal: Principal, claim: Claim, request: Request, checksum: tus.Checksum | None
) -> None:
    """Take a request's body into the upload that `claim` is for, and give the claim back in any case.

    With the last byte of the upload the photo exists. Raises a PictureRefused, by which the upload ends; whatever
    interrupted the body, after keeping what came; ChecksumMismatch, BodyTooLarge, StorageError and what
    `resumable.advance` and `receiving.finish` raise, without moving the offset further.
    """
    async with Hold(workshop.database, claim) as hold:
        intake = Intake(claim.length - claim.offset, PATIENCE_S, LEAST_RATE)
        body = _Body(workshop, principal, hold, open_body(request, intake), checksum)
        try:
            await body.take()
        except PictureRefused as refusal:
            await in_upload_thread(_refuse, workshop, hold, refusal.detail)
            raise


class _Body:
    """One request's bytes, on their way into an upload."""

    def __init__(
        self, workshop: Workshop, principal: Principal, hold: Hold, incoming: Incoming, checksum: tus.Checksum | None
    ) -> None:
        self._workshop = workshop
        self._principal = principal
        self._hold = hold
        self._incoming = incoming
        self._checksum = checksum
        # From the first byte on, a refusal is known while the rest still comes; else when all is here. Bytes that a
        # checksum may prove to be damaged on their way are no reason to refuse the file.
        self._live = _Glance(workshop.limits) if hold.claim.offset == 0 and checksum is None else None
        self._whole = False
        self._interruption: Exception | None = None

    async def take(self) -> None:
        """Take every byte; raises what interrupted it, if anything did before the upload was whole."""
        while not self._ended:
            async with aclosing(self._pieces()) as pieces:
                first = await anext(pieces, b"")
                if first:
                    await self._keep(await self._write(_chain(first, pieces)))
        if self._interruption is not None and not self._whole:
            raise self._interruption
        if self._checksum is not None and not self._incoming.received:
            self._checksum.finish()

    @property
    def _ended(self) -> bool:
        return self._incoming.ended or self._whole or self._interruption is not None

    async def _pieces(self) -> AsyncGenerator[bytes]:
        """Yield what shall become one segment."""
        loop = asyncio.get_running_loop()
        until = loop.time() + SEGMENT_S
        at_most = SEGMENT_BYTES if self._checksum is None else None
        async with aclosing(self._incoming.pieces(at_most)) as pieces:
            async for piece in pieces:
                yield piece
                if self._checksum is None and loop.time() > until:
                    return

    async def _write(self, pieces: AsyncIterator[bytes]) -> Segment:
        claim = self._hold.claim
        draft = Draft(self._workshop.storage, claim.upload_id, claim.offset)
        inspectors = [each for each in (self._checksum, self._live) if each is not None]
        keep_on = _INTERRUPTIONS if self._checksum is None else ()
        try:
            await store(pieces, draft.writing(), inspectors=inspectors, keep_on=keep_on)
        except keep_on as interruption:
            self._interruption = interruption
        assert draft.segment is not None
        return draft.segment

    async def _keep(self, segment: Segment) -> None:
        """Book a segment that is durable; where that is refused, nothing of it stays."""
        try:
            if segment.stop < self._hold.claim.length:
                await in_upload_thread(self._advance, segment)
            else:
                await self._expect_end()
                await in_upload_thread(self._finish, segment)
        except (TailraceError, UploadRefused, StorageError):
            # Only after these is it sure that no transaction has booked it; the upkeep removes what else is left over.
            await in_upload_thread(_discard, self._workshop.storage, segment)
            raise

    async def _expect_end(self) -> None:
        """Read on to the end of the body, now that the upload is whole; raises BodyTooLarge if there is more."""
        if self._interruption is None:
            with suppress(*_INTERRUPTIONS):
                async for _ in self._incoming.pieces():
                    pass

    def _advance(self, segment: Segment) -> None:
        hold, releasing = self._hold, self._ended
        with self._workshop.database.write() as session:
            claim = resumable.advance(
                session, hold.claim, segment, lifetime=self._workshop.lifetime, releasing=releasing
            )
        hold.claim, hold.ended = claim, releasing

    def _finish(self, last: Segment) -> None:
        workshop, claim = self._workshop, self._hold.claim
        with workshop.database.read() as session:
            segments = [*resumable.list_segments(session, claim), last]
        photo_id = new_id()
        try:
            joined = join(workshop.storage, segments, photo_id, workshop.limits)
        except ObjectMissing as error:
            raise PictureRefused(_LOST) from error
        new = NewPhoto(
            photo_id, claim.task_id, claim.name, joined.picture, joined.bytes, joined.sha256, caption=claim.caption
        )
        finish(workshop.database, workshop.storage, self._principal, new, keep=self._complete)
        self._hold.ended = self._whole = True
        remove_segments(workshop.storage, claim.upload_id)

    def _complete(self, session: Session, started: PhotoStarted) -> None:
        resumable.complete(session, self._hold.claim, started.id)


class _Glance:
    """Inspects bytes as they come; the end of a segment is not the end of the picture."""

    def __init__(self, limits: PictureLimits) -> None:
        self._inspector = Inspector(limits)

    def feed(self, data: bytes) -> None:
        self._inspector.feed(data)

    def finish(self) -> None:
        pass


async def _chain(first: bytes, rest: AsyncIterator[bytes]) -> AsyncIterator[bytes]:
    yield first
    async for piece in rest:
        yield piece


def _refuse(workshop: Workshop, hold: Hold, reason: str) -> None:
    with workshop.database.write() as session:
        resumable.refuse(session, hold.claim, reason)
    hold.ended = True
    remove_segments(workshop.storage, hold.claim.upload_id)


def _discard(storage: Storage, segment: Segment) -> None:
    with suppress(StorageError):
        storage.delete(segment.key)
