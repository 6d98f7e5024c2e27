"""Reads the event log once for all connections of this process and hands every event to those that subscribed to it.

An event is encoded once, and a batch of them is joined once for each distinct set of channels; the connections share
the bytes. While nobody subscribes, nothing listens and nothing reads.
"""

import asyncio
import logging
from collections.abc import Callable, Collection, Iterable
from concurrent.futures import ThreadPoolExecutor
from contextlib import suppress
from dataclasses import dataclass
from functools import partial
from typing import Self, TypeVar

from sqlalchemy.orm import Session

from tailrace.database import Database, Listener
from tailrace.streams.cursors import START, Cursor
from tailrace.streams.events import Event, latest, read_events
from tailrace.streams.messages import encode_event
from tailrace.streams.subscriptions import Batch, Subscription

T = TypeVar("T")

BATCH = 500
BACKLOG_BYTES = 1 << 20
_FIRST_RETRY_S = 0.1
_LAST_RETRY_S = 1.0
_logger = logging.getLogger("tailrace.streams")


@dataclass(slots=True)
class _Group:
    """The subscriptions to one set of channels."""

    channels: frozenset[str]
    members: set[Subscription]


class Broker:
    """The tailer of the event log; make one for each process, and use it as an asynchronous context manager.

    A database that is locked or away for a while only delays events: the broker logs the error and tries again.
    """

    def __init__(self, database: Database, *, backlog_bytes: int = BACKLOG_BYTES) -> None:
        """Make a broker that lets each subscription fall `backlog_bytes` behind before it gives up on it."""
        self._database = database
        self._backlog_bytes = backlog_bytes
        self._groups: dict[frozenset[str], _Group] = {}
        self._by_channel: dict[str, list[_Group]] = {}
        self._listener: Listener | None = None
        self._position: Cursor | None = None
        self._retry_s = _FIRST_RETRY_S
        self._opening = asyncio.Lock()
        self._wanted = asyncio.Event()
        self._rung = asyncio.Event()

    @property
    def is_reading(self) -> bool:
        """Whether anybody makes this broker read the log."""
        return self._position is not None

    async def __aenter__(self) -> Self:
        await self.start()
        return self

    async def __aexit__(self, *_error: object) -> None:
        await self.stop()

    async def start(self) -> None:
        """Begin to serve subscriptions, on the running event loop."""
        self._loop = asyncio.get_running_loop()
        # Replays have threads of their own, so that a thousand clients that come back delay neither the tailer nor
        # the endpoints.
        self._tailing = ThreadPoolExecutor(1, "tailrace-tailer")
        self._reading = ThreadPoolExecutor(4, "tailrace-replay")
        self._tailer = asyncio.create_task(self._tail(), name="tailrace-tailer")

    async def stop(self) -> None:
        """Stop reading; subscriptions get nothing more."""
        self._tailer.cancel()
        await asyncio.wait((self._tailer,))
        await self._stop_listening()
        self._tailing.shutdown(wait=False)
        self._reading.shutdown(wait=False)

    async def subscribe(self, channels: Collection[str], *, after: Cursor | None = None) -> Subscription:
        """Return a subscription that receives every event on `channels` after its `start`, and after `after`, in order.

        Events between `after` and `start` are in the log: read them with `read` before the subscription's own.
        Raises what the database raises when it is unavailable.
        """
        async with self._opening:
            start = self._position or await self._open()
            subscription = Subscription(frozenset(channels), start, after=after, backlog_bytes=self._backlog_bytes)
            self._add(subscription)
        return subscription

    def unsubscribe(self, subscription: Subscription) -> None:
        """Hand nothing more to `subscription`."""
        group = self._groups.get(subscription.channels)
        if group is None:
            return
        group.members.discard(subscription)
        if group.members:
            return
        del self._groups[group.channels]
        for channel in group.channels:
            self._by_channel[channel].remove(group)
            if not self._by_channel[channel]:
                del self._by_channel[channel]
        if not self._groups:
            self._wanted.clear()
            self._rung.set()

    async def read(self, reading: Callable[[Session], T]) -> T:
        """Return what `reading` returns, run with a session of its own in a thread of the broker."""
        return await self.run(partial(self._with_session, reading))

    async def run(self, blocking: Callable[[], T]) -> T:
        """Return what `blocking` returns, run in a thread of the broker."""
        return await self._loop.run_in_executor(self._reading, blocking)

    def _with_session(self, reading: Callable[[Session], T]) -> T:
        with self._database.read() as session:
            return reading(session)

    def _add(self, subscription: Subscription) -> None:
        group = self._groups.get(subscription.channels)
        if group is None:
            group = self._groups[subscription.channels] = _Group(subscription.channels, set())
            for channel in group.channels:
                self._by_channel.setdefault(channel, []).append(group)
        group.members.add(subscription)
        self._wanted.set()

    async def _tail(self) -> None:
        while True:
            await self._close_if_idle()
            await self._wanted.wait()
            try:
                await self._serve()
            except Exception:
                _logger.exception("The event log cannot be read; trying again in %.1f s", self._retry_s)
                await self._stop_listening()
                await asyncio.sleep(self._retry_s)
                self._retry_s = min(2 * self._retry_s, _LAST_RETRY_S)

    async def _serve(self) -> None:
        """Hand out events until nobody wants any."""
        while self._groups:
            listener = self._listener or await self._listen()
            self._rung.clear()
            if await self._deliver_next() < BATCH:
                with suppress(TimeoutError):
                    await asyncio.wait_for(self._rung.wait(), listener.patience_s)

    async def _deliver_next(self) -> int:
        encoded = await self._loop.run_in_executor(self._tailing, self._read_batch, self._position or START)
        self._retry_s = _FIRST_RETRY_S
        if encoded:
            self._position = encoded[-1][0].cursor
            self._deliver(encoded)
        return len(encoded)

    def _deliver(self, encoded: Iterable[tuple[Event, bytes]]) -> None:
        chosen: dict[int, tuple[_Group, list[tuple[Event, bytes]]]] = {}
        for event, data in encoded:
            for group in self._by_channel.get(event.channel, ()):
                chosen.setdefault(id(group), (group, []))[1].append((event, data))
        for group, parts in chosen.values():
            batch = Batch.of(parts)
            for subscription in group.members:
                subscription.offer(batch)

    def _read_batch(self, after: Cursor) -> list[tuple[Event, bytes]]:
        with self._database.read() as session:
            return [(event, encode_event(event)) for event in read_events(session, after=after, limit=BATCH)]

    async def _open(self) -> Cursor:
        if self._listener is None:
            await self._listen()
        # From here on a commit rings, so none can slip in between this look and the first read.
        self._position = await self._loop.run_in_executor(self._tailing, self._with_session, latest)
        return self._position

    async def _listen(self) -> Listener:
        opening = self._loop.run_in_executor(self._tailing, self._database.listen)
        try:
            listener = await asyncio.shield(opening)
        except asyncio.CancelledError:
            opening.add_done_callback(_close_unused)
            raise
        if listener.fileno() >= 0:
            self._loop.add_reader(listener.fileno(), self._heard, listener, listener.fileno())
        self._listener = listener
        return listener

    def _heard(self, listener: Listener, descriptor: int) -> None:
        try:
            listener.drain()
        except Exception as error:  # noqa: BLE001 - whatever a driver raises: it hears nothing any more
            _logger.warning("The listener of the event log failed, and another is opened: %s", error)
            self._loop.remove_reader(descriptor)
            self._listener = None
            self._loop.run_in_executor(self._tailing, listener.close)
        self._rung.set()

    async def _close_if_idle(self) -> None:
        async with self._opening:
            if not self._groups:
                self._position = None
                await self._stop_listening()

    async def _stop_listening(self) -> None:
        listener, self._listener = self._listener, None
        if listener is not None:
            with suppress(Exception):
                self._loop.remove_reader(listener.fileno())
            await self._loop.run_in_executor(self._tailing, listener.close)


def _close_unused(opening: asyncio.Future[Listener]) -> None:
    if opening.exception() is None:
        opening.result().close()
