"""The desk between Celery's threads and the supervisor: what was delivered lies here until it is dealt with."""

import contextlib
import selectors
import socket
import threading
import time
from collections import deque
from collections.abc import Collection, Sequence
from dataclasses import dataclass, field
from math import inf

from sqlalchemy.orm import Session

from tailrace.database import Database
from tailrace.jobs import runs
from tailrace.jobs.engines.handful import handful
from tailrace.jobs.models import Job
from tailrace.jobs.runs import Run

_REMEMBERED = 10_000


@dataclass(eq=False, slots=True)
class _Ticket:
    """One delivery, and the thread that waits for it."""

    run: Run
    served: threading.Event = field(default_factory=threading.Event)
    dealt_with: bool = False

    def close(self, *, dealt_with: bool) -> None:
        self.dealt_with = dealt_with
        self.served.set()


class Desk:
    """The intake of the Celery engine: it claims what was delivered, if nobody else has.

    While jobs are so short that claiming them one by one would take longer than running them, it claims a handful more
    from the same queues with each, and lets their messages pass when they come.
    """

    def __init__(
        self, database: Database, engine_id: str, kinds: Sequence[str], queues: Sequence[str], *, lease_s: float
    ) -> None:
        """Prepare to claim jobs of these kinds and queues for the engine, for `lease_s` seconds at a time."""
        self.depth = 1
        self.heard_at = time.monotonic()
        """When the last delivery came, on the monotonic clock."""
        self._database = database
        self._engine_id = engine_id
        self._kinds = kinds
        self._queues = queues
        self._lease_s = lease_s
        self._delivered: deque[_Ticket] = deque()
        self._running: set[Run] = set()
        self._waiting: dict[Run, _Ticket] = {}
        self._ahead: dict[Run, None] = {}  # in the order of their claims
        self._more = False
        self._last = _Claim()
        self._closed = False
        self._lock = threading.Lock()
        self._hears, self._rings = socket.socketpair()
        self._rings.setblocking(False)

    def serve(self, run: Run) -> bool:
        """Lay a delivery down and wait, in a thread of Celery's, until its job has ended or was found claimed.

        Returns False if the engine stops before that: the message is for others then.
        """
        ticket = _Ticket(run)
        self.heard_at = time.monotonic()
        with self._lock:
            if self._closed:
                return False
            if run in self._ahead:
                del self._ahead[run]
                return True
            self._delivered.append(ticket)
        with contextlib.suppress(OSError):  # It rings already, or the engine has ended.
            self._rings.send(b"!")
        ticket.served.wait()
        return ticket.dealt_with

    def wake(self, selector: selectors.BaseSelector) -> None:
        """Let every delivery wake the loop that waits on `selector`."""
        selector.register(self._hears, selectors.EVENT_READ, lambda _: self._hears.recv(4096))

    def close(self) -> None:
        """Return what is not claimed yet, and take nothing more."""
        with self._lock:
            self._closed = True
            returned = list(self._delivered)
            self._delivered.clear()
        for ticket in returned:
            ticket.close(dealt_with=False)

    def abandon(self) -> None:
        """Let the threads go whose jobs have not ended, for good: nobody deals with them any more."""
        self.close()
        for end in (self._hears, self._rings):
            end.close()
        for ticket in self._waiting.values():
            ticket.close(dealt_with=False)

    @property
    def due_in_s(self) -> float:
        return 0.0 if self._delivered or self._more else inf

    @property
    def is_busy(self) -> bool:
        """Whether a job that it claimed has not ended, or a delivery waits to be claimed."""
        return bool(self._running or self._delivered)

    def look(self) -> Sequence[str]:
        if not self._running:
            return []
        with self._database.read() as session:
            return runs.cancel_requests(session, self._engine_id)

    def claim(self, session: Session, limit: int) -> list[Job]:
        with self._lock:
            tickets = [self._delivered[index] for index in range(min(limit, len(self._delivered)))]
        claim = self._last = _Claim(tickets)
        if tickets:
            offered = {ticket.run for ticket in tickets}
            claim.offered = runs.claim_offered(
                session, offered, engine_id=self._engine_id, kinds=self._kinds, lease_s=self._lease_s
            )
        room = limit - len(claim.offered)
        if self.depth > 1 and room > 0 and (tickets or self._more):
            claim.ahead = self._claim_ahead(session, room)
            claim.more = len(claim.ahead) == room
        return [*claim.offered, *claim.ahead]

    def committed(self, ended: Collection[Run]) -> None:
        claim, self._last = self._last, _Claim()
        self._more = claim.more
        with self._lock:
            for _ in claim.tickets:
                self._delivered.popleft()
            self._ahead.update(dict.fromkeys((job.id, job.attempt - 1) for job in claim.ahead))
            for run in list(self._ahead)[: max(0, len(self._ahead) - _REMEMBERED)]:
                del self._ahead[run]
        began = {(job.id, job.attempt) for job in claim.offered}
        for ticket in claim.tickets:
            self._begin(ticket, began)
        self._running.update((job.id, job.attempt) for job in (*claim.offered, *claim.ahead))
        self._running.difference_update(ended)
        for run in ended:
            if run in self._waiting:
                self._waiting.pop(run).close(dealt_with=True)

    def learn(self, mean_run_s: float) -> None:
        self.depth = handful(mean_run_s)

    def _claim_ahead(self, session: Session, room: int) -> list[Job]:
        return runs.claim(
            session,
            engine_id=self._engine_id,
            kinds=self._kinds,
            queues=self._queues,
            limit=room,
            lease_s=self._lease_s,
        )

    def _begin(self, ticket: _Ticket, began: Collection[Run]) -> None:
        job_id, attempt = ticket.run
        run = (job_id, attempt + 1)
        if run in began and run not in self._waiting:
            self._waiting[run] = ticket
        else:
            ticket.close(dealt_with=True)


@dataclass(slots=True)
class _Claim:
    """What one transaction claims: for which tickets, and what beyond them."""

    tickets: Sequence[_Ticket] = ()
    offered: Sequence[Job] = ()
    ahead: Sequence[Job] = ()
    more: bool = False
