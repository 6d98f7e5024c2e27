"""A job as a row, and the states it goes through.

               run_at reached
┌───────────┐ ───────────────▶ ┌───────────┐   claim   ┌─────────┐  returned   ┌───────────┐
│ scheduled │                  │ available │ ────────▶ │ running │ ──────────▶ │ completed │
└───────────┘ ◀─ snoozed ──┐   └───────────┘           └─────────┘             └───────────┘
                           │     ▲  ▲    ▲  interrupted,  │ │ │ │
                           │     │  │    └─── crashed ────┘ │ │ └─ crashed 3 × ▶ quarantined
                           └─────┼──┼──────────────────────┤ └─── attempts ───▶ discarded
                run_at reached ┌─┴──┴──────┐    failed     │      used up
                               │ retryable │ ◀─────────────┘
                               └───────────┘
cancelled is reached from every state that is not final; retry leads from
`discarded`, `quarantined`, `cancelled`, `scheduled` and `retryable` back to `available`.
"""

from collections.abc import Mapping
from dataclasses import dataclass
from datetime import datetime
from enum import StrEnum
from typing import Any

from sqlalchemy import JSON, BigInteger, Boolean, Column, Index, Integer, Row, String, Table, Text, text

from tailrace.database import Base, UTCDateTime

CRASHES_TO_QUARANTINE = 3
WHY_CANCELLED = "Cancelled."
"""The error of a job that was cancelled."""


class State(StrEnum):
    """Where a job stands."""

    SCHEDULED = "scheduled"
    AVAILABLE = "available"
    RUNNING = "running"
    RETRYABLE = "retryable"
    COMPLETED = "completed"
    CANCELLED = "cancelled"
    DISCARDED = "discarded"
    QUARANTINED = "quarantined"


FINAL = frozenset({State.COMPLETED, State.CANCELLED, State.DISCARDED, State.QUARANTINED})
FAILED = FINAL - {State.COMPLETED}
WAITING = frozenset({State.SCHEDULED, State.AVAILABLE, State.RETRYABLE})

# From which states each state may be entered. `transitions.move` is the one place that changes a state, and obeys it.
SOURCES: Mapping[State, frozenset[State]] = {
    State.SCHEDULED: frozenset({State.RUNNING}),
    State.AVAILABLE: (FAILED | {State.SCHEDULED, State.RETRYABLE, State.RUNNING}),
    State.RUNNING: frozenset({State.AVAILABLE}),
    State.RETRYABLE: frozenset({State.RUNNING}),
    State.COMPLETED: frozenset({State.RUNNING}),
    State.CANCELLED: WAITING | {State.RUNNING},
    State.DISCARDED: frozenset({State.RUNNING}),
    State.QUARANTINED: frozenset({State.RUNNING}),
}


JOBS = Table(
    "jobs",
    Base.metadata,
    Column("id", String(32), primary_key=True),
    Column("kind", String(100), nullable=False),
    Column("args", JSON, nullable=False),
    Column("queue", String(100), nullable=False),
    Column("priority", Integer, nullable=False),
    Column("state", String(16), nullable=False),
    Column("attempt", Integer, nullable=False),
    Column("failures", Integer, nullable=False),
    Column("crashes", Integer, nullable=False),
    Column("max_attempts", Integer, nullable=False),
    Column("owner", String(100)),
    Column("unique_key", String(255), unique=True),
    Column("run_at", UTCDateTime, nullable=False),
    Column("created_at", UTCDateTime, nullable=False),
    Column("started_at", UTCDateTime),
    Column("finished_at", UTCDateTime),
    Column("claimed_by", String(32)),
    Column("lease_until", UTCDateTime),
    Column("cancel_requested_at", UTCDateTime),
    Column("progress_done", BigInteger),
    Column("progress_total", BigInteger),
    Column("progress_note", Text),
    Column("error", Text),
)
"""The table of jobs: the truth about each of them."""


def _partial(name: str, *columns: str, where: str) -> Index:
    condition = text(where)
    return Index(name, *(JOBS.c[column] for column in columns), sqlite_where=condition, postgresql_where=condition)


# Each serves one query of an engine and holds only the rows that it looks for, so finished jobs cost nothing.
_partial("jobs_to_claim", "priority", "run_at", "id", where="state = 'available'")
_partial("jobs_to_promote", "run_at", where="state IN ('scheduled', 'retryable')")
_partial("jobs_running", "claimed_by", where="state = 'running'")
_partial("jobs_to_prune", "finished_at", where="finished_at IS NOT NULL")
_partial("jobs_of_owner", "owner", "id", where="owner IS NOT NULL")
# Only an engine of many machines looks queue by queue, and only PostgreSQL has one.
_partial("jobs_to_publish", "queue", "priority", "run_at", "id", where="state = 'available'").ddl_if("postgresql")

ENGINES = Table(
    "job_engines",
    Base.metadata,
    Column("id", String(32), primary_key=True),
    Column("host", String(255), nullable=False),
    Column("pid", Integer, nullable=False),
    Column("adapter", String(16), nullable=False),
    Column("workers", Integer, nullable=False),
    Column("queues", JSON, nullable=False),
    Column("leads", Boolean, nullable=False),
    Column("trouble", Text),
    Column("started_at", UTCDateTime, nullable=False),
    Column("seen_at", UTCDateTime, nullable=False),
)
"""The table of engines: who runs jobs, and when each was last heard of."""


@dataclass(frozen=True, slots=True)
class Job:
    """What is known of one job.

    `attempt` counts its claims and is the fencing token of the present run; `failures` counts the runs that raised,
    of which `max_attempts` are allowed; `crashes` counts the worker processes that it took down. A smaller `priority`
    runs first. `progress_total` is None while the end is not known. `error` is the reason of the last failure.
    """

    id: str
    kind: str
    args: Mapping[str, Any]
    queue: str
    priority: int
    state: State
    attempt: int
    failures: int
    crashes: int
    max_attempts: int
    owner: str | None
    unique_key: str | None
    run_at: datetime
    created_at: datetime
    started_at: datetime | None
    finished_at: datetime | None
    cancel_requested_at: datetime | None
    progress_done: int | None
    progress_total: int | None
    progress_note: str | None
    error: str | None

    @property
    def finished(self) -> bool:
        """Whether the job has come to an end; only `retry_job` could move it again."""
        return self.state in FINAL

    @classmethod
    def from_row(cls, row: Row[Any]) -> "Job":
        """Make a job of a row that holds the columns `COLUMNS`, in any order."""
        values = dict(row._mapping)
        return cls(**{**values, "state": State(values["state"])})


COLUMNS = tuple(JOBS.c[name] for name in Job.__dataclass_fields__)


def channel_of(job_id: str) -> str:
    """Return the name of the channel that carries the facts of a job."""
    return f"job:{job_id}"
