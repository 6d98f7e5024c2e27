"""Keeps a claim to an upload alive for as long as a request is at it, and gives it back at the end."""

import asyncio
import logging
from types import TracebackType
from typing import Self

from sqlalchemy.exc import SQLAlchemyError
from starlette.concurrency import run_in_threadpool

from tailrace.database import Database, DatabaseBusy
from tailrace.errors import TailraceError
from tailrace.photos import resumable
from tailrace.photos.resumable import Claim
from tailrace.streams import UploadRefused, in_upload_thread

RENEW_EVERY_S = 5.0
_log = logging.getLogger(__name__)


class Hold:
    """A claim in use. However slow the client or the disk, it does not run out while this process is at it."""

    def __init__(self, database: Database, claim: Claim) -> None:
        self.claim = claim
        #: Set by whoever ended the claim in a transaction of theirs, which saves another one.
        self.ended = False
        self._database = database

    async def __aenter__(self) -> Self:
        self._renewing = asyncio.create_task(self._renew())
        return self

    async def __aexit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        self._renewing.cancel()
        await asyncio.wait((self._renewing,))
        if not self.ended:
            await in_upload_thread(self._release)

    async def _renew(self) -> None:
        while True:
            await asyncio.sleep(RENEW_EVERY_S)
            try:
                await run_in_threadpool(self._keep)
            except (TailraceError, UploadRefused):
                return  # The upload was ended; whoever books the next segment is told.
            except (SQLAlchemyError, DatabaseBusy) as error:
                _log.warning("The claim to upload %s could not be renewed: %s", self.claim.upload_id, error)

    def _keep(self) -> None:
        with self._database.write() as session:
            resumable.keep_claim(session, self.claim)

    def _release(self) -> None:
        with self._database.write() as session:
            resumable.release(session, self.claim)
