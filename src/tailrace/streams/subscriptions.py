"""What one connection has been handed and has not sent yet."""

import asyncio
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from typing import Self

from tailrace.streams.cursors import Cursor
from tailrace.streams.events import Event


class ReaderTooSlow(Exception):
    """The reader fell too far behind; it can come back with the id of its last event and catch up from the log."""


@dataclass(frozen=True, slots=True)
class Batch:
    """Events and their bytes, shared by all connections that receive the same ones."""

    parts: Sequence[tuple[Event, bytes]]
    data: bytes

    @classmethod
    def of(cls, parts: Sequence[tuple[Event, bytes]]) -> Self:
        """Return the batch of events that are encoded already."""
        return cls(parts, b"".join([data for _, data in parts]))

    def after(self, cursor: Cursor) -> Self:
        """Return the part of this batch that comes after `cursor`."""
        return self.of([part for part in self.parts if part[0].cursor > cursor])


class Subscription:
    """One connection's share of the log from `start` on.

    A connection that waits for its client to read cannot look here, so `on_too_slow` is called when it is given up.
    """

    on_too_slow: Callable[[], None] | None = None

    def __init__(self, channels: frozenset[str], start: Cursor, *, after: Cursor | None, backlog_bytes: int) -> None:
        self.channels = channels
        self.start = start
        self._after = max(start, after or start)
        self._backlog_bytes = backlog_bytes
        self._pending: list[Batch] = []
        self._bytes = 0
        self._too_slow = False
        self._waiting: asyncio.Future[None] | None = None

    def offer(self, batch: Batch) -> None:
        """Add `batch` to what is to be sent."""
        if batch.parts[0][0].cursor <= self._after:
            batch = batch.after(self._after)
        if not batch.parts or self._too_slow:
            return
        # One batch alone is nobody's fault: after an outage the first may be large.
        if self._pending and self._bytes + len(batch.data) > self._backlog_bytes:
            self._too_slow = True
            self._pending.clear()
            if self.on_too_slow is not None:
                self.on_too_slow()
        else:
            self._pending.append(batch)
            self._bytes += len(batch.data)
        self.wake()

    def wake(self) -> None:
        """Have `take` return, with nothing if nothing has come."""
        if self._waiting is not None and not self._waiting.done():
            self._waiting.set_result(None)

    async def take(self) -> list[Batch]:
        """Wait for events and return all that have come, or nothing after `wake`; raises ReaderTooSlow."""
        if not self._pending and not self._too_slow:
            self._waiting = asyncio.get_running_loop().create_future()
            await self._waiting
            self._waiting = None
        if self._too_slow:
            raise ReaderTooSlow(ReaderTooSlow.__doc__)
        taken, self._pending = self._pending, []
        self._bytes = 0
        return taken
