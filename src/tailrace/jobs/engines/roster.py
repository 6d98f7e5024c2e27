"""The roster of engines: each writes down that it is there, and how lately it was."""

import os
import socket
from collections.abc import Sequence
from dataclasses import dataclass
from datetime import datetime

from sqlalchemy import delete, insert, select, update
from sqlalchemy.orm import Session

from tailrace.database import moment
from tailrace.jobs.models import ENGINES

SEEN_WITHIN_S = 20
_FORGOTTEN_AFTER_S = 86_400


@dataclass(frozen=True, slots=True)
class Membership:
    """What an engine says of itself: which adapter it is, how many worker processes it keeps, and for which queues.

    No queues at all means every queue.
    """

    engine_id: str
    adapter: str
    workers: int
    queues: Sequence[str] = ()


@dataclass(frozen=True, slots=True)
class EngineInfo:
    """An engine of the roster: its process, what it takes, and when it was last heard of.

    `leads` tells whether it does the upkeep of all, and `trouble` what keeps jobs from it, as a sentence. It is `alive`
    if it was heard of within the last 20 s, which is four of its heartbeats.
    """

    id: str
    host: str
    pid: int
    adapter: str
    workers: int
    queues: Sequence[str]
    leads: bool
    trouble: str | None
    started_at: datetime
    seen_at: datetime
    alive: bool

    def takes(self, queue: str) -> bool:
        """Return whether it takes jobs of that queue."""
        return not self.queues or queue in self.queues


def enrol(session: Session, member: Membership) -> None:
    """Add this process to the roster, and strike out those not heard of for a day."""
    session.execute(delete(ENGINES).where(ENGINES.c.seen_at < moment(-_FORGOTTEN_AFTER_S)))
    row = {
        "id": member.engine_id,
        "host": socket.gethostname(),
        "pid": os.getpid(),
        "adapter": member.adapter,
        "workers": member.workers,
        "queues": list(member.queues),
        "leads": False,
    }
    session.execute(insert(ENGINES).values(started_at=moment(), seen_at=moment()), row)


def report_alive(session: Session, member: Membership, *, leads: bool = False, trouble: str | None = None) -> None:
    """Note that the engine was heard of now; one that was struck out is added again."""
    this = update(ENGINES).where(ENGINES.c.id == member.engine_id)
    values = {"seen_at": moment(), "leads": leads, "trouble": trouble}
    if session.execute(this.values(**values).returning(ENGINES.c.id)).first() is None:
        enrol(session, member)


def sign_off(session: Session, engine_id: str) -> None:
    """Strike out an engine that stops."""
    session.execute(delete(ENGINES).where(ENGINES.c.id == engine_id))


def list_engines(session: Session) -> Sequence[EngineInfo]:
    """Return the engines of the roster, the one heard of last first."""
    alive = (ENGINES.c.seen_at > moment(-SEEN_WITHIN_S)).label("alive")
    rows = session.execute(select(*ENGINES.c, alive).order_by(ENGINES.c.seen_at.desc()))
    return [EngineInfo(**row._mapping) for row in rows]
