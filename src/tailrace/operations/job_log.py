"""What a job logged, as lines of text: what the event log holds already, and what comes."""

import asyncio
import json
import time
from collections.abc import AsyncGenerator, Callable, Sequence
from contextlib import suppress

from sqlalchemy.orm import Session

from tailrace.jobs import FINAL, channel_of, get_job
from tailrace.streams import Broker, Cursor, Event, StreamBroken, read_events

_PAGE = 500
_RECHECK_EVERY_S = 5.0


async def read_log(broker: Broker, job_id: str) -> AsyncGenerator[bytes, None]:
    """Yield the lines that the job has logged so far."""
    reader = _Reader(job_id)
    while not reader.caught_up:
        yield as_text(await broker.read(reader.read_page))


async def follow_log(broker: Broker, job_id: str, *, authorize: Callable[[], bool]) -> AsyncGenerator[bytes, None]:
    """Yield the lines that the job has logged so far, then each new one, until the job has ended.

    `authorize` is called in a thread now and then; when it returns False, StreamBroken is raised.
    """
    reader = _Reader(job_id)
    # The subscription only tells when to look again: what to send is read from the log, which has it in order.
    subscription = await broker.subscribe([channel_of(job_id)])
    checked_at = time.monotonic()
    try:
        while not reader.ended:
            if lines := as_text(await broker.read(reader.read_page)):
                yield lines
            if time.monotonic() - checked_at > _RECHECK_EVERY_S:
                if not await broker.run(authorize):
                    raise StreamBroken("the reader may no longer see this job")
                checked_at = time.monotonic()
            if reader.caught_up and not reader.ended:
                with suppress(TimeoutError):
                    await asyncio.wait_for(subscription.take(), _RECHECK_EVERY_S)
    finally:
        broker.unsubscribe(subscription)


def as_text(events: Sequence[Event]) -> bytes:
    """Return the log lines among the events, each with its moment and level."""
    lines = [json.loads(event.data) for event in events if event.name == "log"]
    return "".join(f"{line['at']} {line['level'].lower():<7} {line['message']}\n" for line in lines).encode()


class _Reader:
    """Where one reader stands in a job's events."""

    def __init__(self, job_id: str) -> None:
        self.caught_up = False
        self.ended = False
        self._job_id = job_id
        self._cursor: Cursor | None = None
        self._last_state: str | None = None

    def read_page(self, session: Session) -> list[Event]:
        """Return the next events, and note whether they were the last for now, and for ever."""
        page = read_events(session, channels=[channel_of(self._job_id)], after=self._cursor, limit=_PAGE)
        for event in page:
            self._cursor = event.cursor
            if event.name == "state":
                self._last_state = json.loads(event.data)["state"]
        self.caught_up = len(page) < _PAGE
        # A job whose events are pruned has no last state to show, but its row knows.
        is_over = self._last_state in FINAL or (self._cursor is None and get_job(session, self._job_id).finished)
        self.ended = self.caught_up and is_over
        return page
