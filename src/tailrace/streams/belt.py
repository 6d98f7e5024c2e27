"""Carries pieces to where they are put, in a thread, while the next ones are being received.

To give each piece to a thread, and to wait for it, costs as much as to hash it. So the thread that put one goes on with
the next if that has come by then; with none to put it is given back, so that any number of slow uploads may be open.
"""

import asyncio
import threading
from collections.abc import AsyncIterable, Callable
from contextlib import suppress

from tailrace.streams.threads import outlast, start_in_upload_thread


class Belt:
    """Calls `put` with one piece after the other; besides the one that is being put, one may wait."""

    def __init__(self, put: Callable[[bytes], object]) -> None:
        """Put by calling `put`, which may block."""
        self._put = put
        self._loop = asyncio.get_running_loop()
        self._call: asyncio.Future[None] | None = None
        self._receiving: asyncio.Timeout | None = None
        self._taken = asyncio.Event()
        # Guards the two below: whether a thread looks for a next piece must be known by who brings it.
        self._lock = threading.Lock()
        self._running = False
        self._waiting: bytes | None = None

    async def carry(self, pieces: AsyncIterable[bytes]) -> None:
        """Put all `pieces`; when this returns, or raises, no thread is at it any more.

        Raises what `put` raises, as soon as it does, also where the next piece is waited for; else what `pieces`
        raises, and then all that came before has been put. One who is cancelled is told nothing of `put`.
        """
        try:
            await self._receive(pieces)
        except asyncio.CancelledError:
            with self._lock:
                self._waiting = None
            with suppress(Exception):
                await self._settle()
            raise
        except Exception:
            await self._settle()
            raise
        await self._settle()

    async def _receive(self, pieces: AsyncIterable[bytes]) -> None:
        try:
            async with asyncio.timeout(None) as self._receiving:
                async for piece in pieces:
                    await self._hand_over(piece)
                    del piece  # or it would stay until the next one has come
        finally:
            self._receiving = None

    async def _hand_over(self, piece: bytes) -> None:
        """Return when a thread has taken the piece, so that the next one waits here while this one is put."""
        with self._lock:
            self._waiting = piece
            self._taken.clear()
            idle, self._running = not self._running, True
        if idle:
            await self._settle()
            self._call = start_in_upload_thread(self._run)
            self._call.add_done_callback(self._look)
        del piece
        await self._taken.wait()

    def _run(self) -> None:
        while (piece := self._next()) is not None:
            self._loop.call_soon_threadsafe(self._taken.set)
            self._put(piece)
            del piece

    def _next(self) -> bytes | None:
        with self._lock:
            piece, self._waiting = self._waiting, None
            self._running = piece is not None
            return piece

    def _look(self, call: asyncio.Future[None]) -> None:
        # The time is up for whoever waits for another piece: it would not be put.
        if call.exception() is not None and self._receiving is not None:
            self._receiving.reschedule(self._loop.time())

    async def _settle(self) -> None:
        if self._call is not None:
            await outlast(self._call)
