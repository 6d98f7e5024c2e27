"""What an application does with jobs: enqueue, find, count, cancel and retry them, in its own transaction."""

from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass
from datetime import datetime
from typing import Any

from sqlalchemy import delete, func, select, update
from sqlalchemy.orm import Session
from typing_extensions import Unpack

from tailrace.database import moment
from tailrace.jobs import runs
from tailrace.jobs.errors import UnknownJob, WrongState
from tailrace.jobs.kinds import JobKind
from tailrace.jobs.models import COLUMNS, ENGINES, JOBS, SOURCES, WAITING, WHY_CANCELLED, Job, State
from tailrace.jobs.transitions import EnqueueOptions, create, create_many, in_state, move


@dataclass(frozen=True, slots=True)
class JobCount:
    """How many jobs of a kind in a queue are in a state, and when the oldest of them was due."""

    queue: str
    kind: str
    state: State
    count: int
    oldest_run_at: datetime


def enqueue(
    session: Session,
    kind: JobKind,
    args: Mapping[str, Any] | None = None,
    **options: Unpack[EnqueueOptions],
) -> Job:
    """Insert a job within the caller's transaction, so that it exists if and only if its cause is committed.

    The options `queue`, `priority` (a smaller number runs first), `run_at` and `max_attempts` come from the kind where
    they are not given. `unique_key` allows one job ever, until it is pruned: a second call returns the first job
    unchanged. `owner` is opaque to this package.

    Raises BadArguments if the kind's function could not be called with `args`.
    """
    return Job.from_row(create(session, kind, args or {}, **options))


def enqueue_many(
    session: Session, kind: JobKind, args: Iterable[Mapping[str, Any]], **options: Unpack[EnqueueOptions]
) -> list[str]:
    """Insert one job for each of `args`, with the options of `enqueue` for all of them, and return their ids in order.

    Raises BadArguments.
    """
    return create_many(session, kind, args, **options)


def get_job(session: Session, job_id: str) -> Job:
    """Return the job; raises UnknownJob."""
    row = session.execute(select(*COLUMNS).where(JOBS.c.id == job_id)).one_or_none()
    if row is None:
        raise UnknownJob(f"There is no job {job_id!r}.")
    return Job.from_row(row)


def list_jobs(
    session: Session,
    *,
    states: Sequence[State] | None = None,
    kinds: Sequence[str] | None = None,
    owner: str | None = None,
    after: str | None = None,
    limit: int = 50,
) -> list[Job]:
    """Return up to `limit` jobs, the newest first; `after` is the id of the last one of the page before."""
    query = select(*COLUMNS).order_by(JOBS.c.id.desc()).limit(limit)
    if states is not None:
        query = query.where(JOBS.c.state.in_(states))
    if kinds is not None:
        query = query.where(JOBS.c.kind.in_(kinds))
    if owner is not None:
        query = query.where(JOBS.c.owner == owner)
    if after is not None:
        query = query.where(JOBS.c.id < after)
    return [Job.from_row(row) for row in session.execute(query)]


def count_jobs(session: Session) -> list[JobCount]:
    """Count all jobs by queue, kind and state."""
    by = (JOBS.c.queue, JOBS.c.kind, JOBS.c.state)
    rows = session.execute(select(*by, func.count(), func.min(JOBS.c.run_at)).group_by(*by))
    return [JobCount(queue, kind, State(state), count, due) for queue, kind, state, count, due in rows]


def list_queues(session: Session) -> list[str]:
    """Return the names of the queues in which jobs are available, in alphabetical order."""
    return sorted(runs.queues_with_work(session))


def cancel_job(session: Session, job_id: str) -> Job:
    """Cancel a waiting job at once; ask a running one to stop, which its engine enforces. Returns it as it is then.

    Raises UnknownJob, or WrongState if it has already come to an end.
    """
    # Held: between two looks its run might end, and be followed by another one that nobody asked to stop.
    session.execute(select(JOBS.c.id).where(JOBS.c.id == job_id).with_for_update())
    job = get_job(session, job_id)
    if job.finished:
        raise WrongState(f"This job is {job.state} already.")
    this = JOBS.c.id == job_id
    if not move(session, [this], State.CANCELLED, sources=WAITING, finished_at=moment(), error=WHY_CANCELLED):
        running = this, in_state(State.RUNNING), JOBS.c.cancel_requested_at.is_(None)
        session.execute(update(JOBS).where(*running).values(cancel_requested_at=moment()))
    return get_job(session, job_id)


def retry_job(session: Session, job_id: str) -> Job:
    """Make a failed, cancelled or waiting job available now, with all its attempts before it. Returns the job.

    Raises UnknownJob, or WrongState if it runs, is available already, or has completed.
    """
    job = get_job(session, job_id)
    fresh = {"failures": 0, "crashes": 0, "finished_at": None, "cancel_requested_at": None, "run_at": moment()}
    sources = SOURCES[State.AVAILABLE] - {State.RUNNING}
    if not move(session, [JOBS.c.id == job_id], State.AVAILABLE, sources=sources, **fresh):
        raise WrongState(f"This job is {job.state}; only one that failed, was cancelled or waits can be retried.")
    return get_job(session, job_id)


def adopt(session: Session) -> None:
    """Make every running job available and strike out every engine: for a database whose engines are all gone.

    Such is a copy of another, or one restored from a backup. It is no crash of the jobs, and none of their attempts.
    """
    move(session, [], State.AVAILABLE, sources={State.RUNNING})
    session.execute(delete(ENGINES))
