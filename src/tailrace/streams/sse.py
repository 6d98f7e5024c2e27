"""Server-sent events straight from the event log.

    catch up from the log ──▶ subscribe ──▶ read the rest up to the subscription's start ──▶ live

A client that was away replays what it missed in short reads, then subscribes, reads what was committed meanwhile, and
goes on live: it gets every event once and in order. The stream says at its beginning where it stands, so a client whose
connection breaks before its first event misses nothing either.
"""

import asyncio
import json
import random
from collections.abc import Callable, Collection, Sequence
from dataclasses import dataclass
from functools import partial

from sqlalchemy.orm import Session
from starlette.datastructures import MutableHeaders

from tailrace.streams.broker import Broker
from tailrace.streams.cursors import START, Cursor
from tailrace.streams.drain import Drain
from tailrace.streams.endings import Ending
from tailrace.streams.events import Event, last_events, latest, oldest, read_events
from tailrace.streams.exchange import STALL_S, EndNow, Stream, Writer
from tailrace.streams.guard import StreamBroken
from tailrace.streams.messages import HEARTBEAT, encode_event, encode_message
from tailrace.streams.subscriptions import Batch, Subscription
from tailrace.streams.text import LIVE_HEADERS

PAGE = 500
HISTORY = 200


@dataclass(frozen=True, slots=True)
class Pace:
    """What an event stream does how often, in seconds."""

    heartbeat_s: float = 15.0
    authorize_every_s: float = 5.0
    #: For how long nobody need be able to answer, as while the database restarts, before the stream breaks.
    unanswered_s: float = 15.0
    #: A stream lives for a random time between the two, so that connections spread over servers again after a deploy.
    least_age_s: float = 900.0
    greatest_age_s: float = 1800.0
    stall_s: float = STALL_S

    def choose_age_s(self) -> float:
        """Return how long one stream is to live."""
        return random.uniform(self.least_age_s, self.greatest_age_s)  # noqa: S311 - it protects nothing


class EventStream(Stream):
    """The events of some channels as server-sent events.

    The stream ends cleanly after a message that says why, which is no event of the log and has no id:
    `drain` (the server stops), `reconnect` (the connection has reached its age), `denied` (no longer authorized), or,
    with `until`, without a message after the final event. The message `reset` tells a client that events it has not
    seen were pruned: it should load afresh what it shows. Anything else breaks the transfer; a client that comes back
    with the id of its last event misses nothing.
    """

    def __init__(
        self,
        *,
        broker: Broker,
        channels: Collection[str],
        last_event_id: Cursor | str | None = None,
        replay_all: bool = False,
        authorize: Callable[[], bool] | None = None,
        until: Callable[[Event], bool] | None = None,
        drain: Drain | None = None,
        pace: Pace = Pace(),
    ) -> None:
        """Raise MalformedCursor for a `last_event_id` that is none.

        Without `last_event_id` the stream begins with the next event; with `replay_all`, with the oldest in the log.
        `authorize` is called in a thread now and then; when it returns False the stream ends, and when it goes on to
        raise for `pace.unanswered_s` the stream breaks. `until` tells the final event; it is heeded only when the
        stream has caught up with the log, and a later event of the same name on the same channel takes it back. A
        client that comes back after the final event is answered 204, which tells browsers to stop.
        """
        super().__init__(media_type="text/event-stream", headers=LIVE_HEADERS, drain=drain, stall_s=pace.stall_s)
        self._broker = broker
        self._channels = frozenset(channels)
        self._cursor = Cursor.parse(last_event_id) if isinstance(last_event_id, str) else last_event_id
        self._returns = self._cursor is not None
        if replay_all and self._cursor is None:
            self._cursor = START
        self._missed = False
        self._subscription: Subscription | None = None
        self._authorize = authorize
        self._ending = Ending(until)
        self._pace = pace

    def on_drain(self) -> None:
        """End with a hint to come back, spread over a few seconds so that the next server is not overrun."""
        self.interrupt(EndNow(_hint("drain", "shutdown")))

    async def produce(self, writer: Writer) -> None:
        """Send the past, then the present."""
        if writer.scope["method"] == "HEAD":
            await writer.start(200, self.headers)
            await writer.finish()
            return
        ageing = self._loop.call_later(self._pace.choose_age_s(), self.interrupt, EndNow(_hint("reconnect", "age")))
        authorizing = asyncio.create_task(self._keep_authorized(self._authorize)) if self._authorize else None
        try:
            await self._send_all(writer)
        finally:
            ageing.cancel()
            if authorizing is not None:
                authorizing.cancel()
            if self._subscription is not None:
                self._broker.unsubscribe(self._subscription)

    async def _send_all(self, writer: Writer) -> None:
        if self._cursor is None:
            self._cursor = (await self._subscribe()).start
        page = await self._broker.read(self._first_page) if self._looks_back else []
        if self._returns and self._ending.reached and not page and not self._missed:
            await writer.start(204, MutableHeaders(LIVE_HEADERS))
            await writer.finish()
            return
        await writer.start(self.status_code, self.headers)
        await writer.write(encode_message(message_id=str(self._cursor), retry_ms=_retry_ms()))
        subscription = await self._replay(writer, page)
        if not self._ending.reached:
            await self._go_live(writer, subscription)
        await writer.finish()

    @property
    def _looks_back(self) -> bool:
        return self._subscription is None or self._ending.awaited

    def _first_page(self, session: Session) -> list[Event]:
        assert self._cursor is not None
        if self._cursor != START and not oldest(session) <= self._cursor <= latest(session):
            self._missed, self._cursor = True, latest(session)
        if self._ending.awaited:
            self._ending.look_at(last_events(session, channels=self._channels, upto=self._cursor, limit=HISTORY))
        return [] if self._subscription else self._page(session)

    def _page(self, session: Session) -> list[Event]:
        assert self._cursor is not None
        upto = self._subscription.start if self._subscription else None
        page = read_events(session, channels=self._channels, after=self._cursor, upto=upto, limit=PAGE)
        # Looked at after the page: while a client takes its pages, the log is pruned, perhaps beyond where it stands.
        # On PostgreSQL that may happen between the two; a reset too many does no harm, one too few would.
        if self._cursor != START and oldest(session) > self._cursor:
            self._missed = True
        return page

    async def _replay(self, writer: Writer, page: list[Event]) -> Subscription:
        """Send `page` and all after it up to the start of the subscription, and return that."""
        while True:
            if self._missed:
                self._missed = False
                await writer.write(encode_message(name="reset", data=_reason("pruned")))
            if page:
                await writer.write(b"".join([encode_event(event) for event in page]))
                self._ending.look_at(page)
                self._cursor = page[-1].cursor
            if len(page) < PAGE:
                if self._subscription is not None:
                    return self._subscription
                await self._subscribe()
            page = await self._broker.read(self._page)

    async def _subscribe(self) -> Subscription:
        subscription = await self._broker.subscribe(self._channels, after=self._cursor)
        subscription.on_too_slow = partial(self.interrupt, StreamBroken("the reader fell too far behind"))
        self._subscription = subscription
        return subscription

    async def _go_live(self, writer: Writer, subscription: Subscription) -> None:
        self._beat(subscription)
        try:
            while not self._ending.reached:
                batches = await subscription.take()
                await writer.write(_joined(batches) or HEARTBEAT)
                if self._ending.awaited:
                    self._ending.look_at(event for batch in batches for event, _ in batch.parts)
        finally:
            self._beating.cancel()

    def _beat(self, subscription: Subscription) -> None:
        subscription.wake()
        self._beating = self._loop.call_later(self._pace.heartbeat_s, self._beat, subscription)

    async def _keep_authorized(self, authorize: Callable[[], bool]) -> None:
        answered = self._loop.time()
        while True:
            await asyncio.sleep(self._pace.authorize_every_s)
            try:
                allowed = await self._broker.run(authorize)
            except Exception as error:  # noqa: BLE001 - whoever may not be asked about is not served for long
                if self._loop.time() - answered > self._pace.unanswered_s:
                    self.interrupt(error)
                    return
                continue
            if not allowed:
                self.interrupt(EndNow(_hint("denied", "authorization")))
                return
            answered = self._loop.time()


def _joined(batches: Sequence[Batch]) -> bytes:
    # One batch is the common case, and its bytes are shared by all connections.
    return batches[0].data if len(batches) == 1 else b"".join([batch.data for batch in batches])


def _hint(name: str, reason: str) -> bytes:
    return encode_message(name=name, data=_reason(reason), retry_ms=_retry_ms())


def _reason(reason: str) -> str:
    return json.dumps({"reason": reason})


def _retry_ms() -> int:
    # Spread, so that all the clients of a server that restarts do not come back in the same instant.
    return random.randint(500, 3000)  # noqa: S311 - it protects nothing
