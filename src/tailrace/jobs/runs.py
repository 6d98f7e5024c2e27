"""What engines do with the job table: claim, hold, report, and take back.

A run is a job's id and the attempt number of its claim. Every write of a run is fenced by that number: once another
engine has claimed the job, an earlier run can change nothing.
"""

from collections.abc import Collection, Sequence
from datetime import datetime
from typing import Any

from sqlalchemy import ColumnElement, delete, func, or_, select, tuple_, update
from sqlalchemy.orm import Session

from tailrace.database import moment, publish
from tailrace.jobs.errors import LeaseLost
from tailrace.jobs.models import COLUMNS, FINAL, JOBS, WHY_CANCELLED, Job, State, channel_of
from tailrace.jobs.transitions import in_state, move

Run = tuple[str, int]

_AVAILABLE = in_state(State.AVAILABLE)
_RUNNING = in_state(State.RUNNING)
_TO_PROMOTE = in_state(State.SCHEDULED, State.RETRYABLE)
_BATCH = 500


def claim(
    session: Session,
    *,
    engine_id: str,
    kinds: Sequence[str],
    limit: int,
    lease_s: float,
    queues: Sequence[str] | None = None,
) -> list[Job]:
    """Give up to `limit` available jobs, of `queues` or of all, to the engine for `lease_s` seconds, by priority.

    Returns them.
    """
    wanted = [_AVAILABLE, JOBS.c.kind.in_(kinds), *([] if queues is None else [JOBS.c.queue.in_(queues)])]
    chosen = (
        select(JOBS.c.id)
        .where(*wanted)
        .order_by(JOBS.c.priority, JOBS.c.run_at, JOBS.c.id)
        .limit(limit)
        .with_for_update(skip_locked=True)
        # PostgreSQL may run a subquery more than once, and each time lock, and so choose, other rows.
        .cte("chosen")
    )
    return _claim(session, [JOBS.c.id.in_(select(chosen.c.id))], engine_id, lease_s)


def claim_offered(
    session: Session, offered: Collection[Run], *, engine_id: str, kinds: Sequence[str], lease_s: float
) -> list[Job]:
    """Give those of the `offered` jobs to the engine that are still available after just that many attempts.

    The others were claimed by somebody, or came to an end, since they were offered.
    """
    return _claim(session, [*_among(offered), JOBS.c.kind.in_(kinds)], engine_id, lease_s)


def complete(session: Session, runs: Sequence[Run]) -> None:
    """Mark runs as completed; a run that no longer owns its job changes nothing."""
    for start in range(0, len(runs), _BATCH):
        batch = runs[start : start + _BATCH]
        move(session, _among(batch), State.COMPLETED, finished_at=moment(), error=None)


def finish(session: Session, run: Run, to: State, *, error: str | None = None, **values: Any) -> bool:
    """Move the job of a run out of `running`; return whether the run still owned it.

    One that was asked to stop meanwhile does not wait for another run: it is cancelled.
    """
    if to in FINAL:
        values["finished_at"] = moment()
    else:
        asked = *_owned_by(run), JOBS.c.cancel_requested_at.is_not(None)
        if move(session, asked, State.CANCELLED, sources={State.RUNNING}, finished_at=moment(), error=WHY_CANCELLED):
            return True
    return bool(move(session, _owned_by(run), to, sources={State.RUNNING}, error=error, **values))


def give_back(session: Session, runs: Sequence[Run]) -> None:
    """Make the jobs of runs available again, as if these had not been; one that lost its job changes nothing."""
    if runs:
        move(session, _among(runs), State.AVAILABLE, sources={State.RUNNING})


def hold(session: Session, run: Run) -> None:
    """Lock the job of a run until the transaction ends; raises LeaseLost if the run no longer owns it."""
    if session.execute(select(JOBS.c.id).where(*_owned_by(run)).with_for_update()).one_or_none() is None:
        raise LeaseLost(f"Attempt {run[1]} no longer owns job {run[0]}.")


def record_progress(session: Session, run: Run, done: int, total: int | None, note: str) -> None:
    """Keep the last progress of a run and publish it; a run that no longer owns its job changes nothing."""
    values = {"progress_done": done, "progress_total": total, "progress_note": note}
    kept = session.execute(update(JOBS).where(*_owned_by(run)).values(**values).returning(JOBS.c.id)).first()
    if kept is not None:
        publish(session, channel_of(run[0]), "progress", {"done": done, "total": total, "note": note})


def promote_due(session: Session) -> None:
    """Make scheduled and retryable jobs available whose time has come, 500 at most."""
    due = select(JOBS.c.id).where(_TO_PROMOTE, JOBS.c.run_at <= moment()).order_by(JOBS.c.run_at).limit(_BATCH)
    move(session, [JOBS.c.id.in_(due)], State.AVAILABLE, sources={State.SCHEDULED, State.RETRYABLE})


def next_due_in_s(session: Session) -> float | None:
    """Return in how many seconds the next scheduled or retryable job is to be promoted, or None if there is none."""
    earliest, now = session.execute(select(func.min(JOBS.c.run_at), moment()).where(_TO_PROMOTE)).one()
    return None if earliest is None else float((earliest - now).total_seconds())


def any_available(session: Session, kinds: Sequence[str]) -> bool:
    """Return whether there is a job to claim."""
    found = select(JOBS.c.id).where(_AVAILABLE, JOBS.c.kind.in_(kinds)).limit(1)
    return session.execute(found).first() is not None


def queues_with_work(session: Session) -> Sequence[str]:
    """Return the names of the queues in which jobs are available."""
    return session.execute(select(JOBS.c.queue).where(_AVAILABLE).distinct()).scalars().all()


def waits_in_vain(session: Session, queues: Collection[str], kinds: Sequence[str], since_s: float) -> bool:
    """Return whether a job of these kinds has been due in one of the queues for `since_s` seconds, and is unclaimed."""
    overdue = _AVAILABLE, JOBS.c.queue.in_(queues), JOBS.c.kind.in_(kinds), JOBS.c.run_at < moment(-since_s)
    return session.execute(select(JOBS.c.id).where(*overdue).limit(1)).first() is not None


def available_in(session: Session, queue: str, kinds: Sequence[str], limit: int) -> list[Run]:
    """Return up to `limit` available jobs of these kinds in a queue, by priority, each with its attempts so far."""
    first = select(JOBS.c.id, JOBS.c.attempt).where(_AVAILABLE, JOBS.c.queue == queue, JOBS.c.kind.in_(kinds))
    rows = session.execute(first.order_by(JOBS.c.priority, JOBS.c.run_at, JOBS.c.id).limit(limit))
    return [(job_id, attempt) for job_id, attempt in rows]


def cancel_requests(session: Session, engine_id: str) -> Sequence[str]:
    """Return the ids of the engine's running jobs that are asked to stop."""
    asked = _RUNNING, JOBS.c.claimed_by == engine_id, JOBS.c.cancel_requested_at.is_not(None)
    return session.execute(select(JOBS.c.id).where(*asked)).scalars().all()


def extend_leases(session: Session, engine_id: str, lease_s: float) -> set[Run]:
    """Let every lease of the engine end `lease_s` seconds from now; return the runs that it still owns."""
    extended = update(JOBS).where(_RUNNING, JOBS.c.claimed_by == engine_id).values(lease_until=moment(lease_s))
    return {(job_id, attempt) for job_id, attempt in session.execute(extended.returning(JOBS.c.id, JOBS.c.attempt))}


def expired_runs(session: Session) -> list[Job]:
    """Return the running jobs whose lease has ended, held until the transaction ends: their engine hangs or is gone.

    Without those that somebody holds at this moment: their run is about to commit.
    """
    expired = or_(JOBS.c.lease_until < moment(), JOBS.c.lease_until.is_(None))
    query = select(*COLUMNS).where(_RUNNING, expired).with_for_update(skip_locked=True)
    return [Job.from_row(row) for row in session.execute(query)]


def runs_of_others(session: Session, engine_id: str) -> list[Job]:
    """Return the jobs that run under any other engine."""
    others = select(*COLUMNS).where(_RUNNING, JOBS.c.claimed_by != engine_id)
    return [Job.from_row(row) for row in session.execute(others)]


def prune(session: Session, *, finished_before: datetime, limit: int = _BATCH) -> int:
    """Delete up to `limit` jobs that came to an end before that moment, and return how many they were."""
    old = select(JOBS.c.id).where(JOBS.c.finished_at < finished_before).limit(limit)
    return len(session.execute(delete(JOBS).where(JOBS.c.id.in_(old)).returning(JOBS.c.id)).all())


def _claim(session: Session, conditions: Sequence[ColumnElement[bool]], engine_id: str, lease_s: float) -> list[Job]:
    rows = move(
        session,
        conditions,
        State.RUNNING,
        attempt=JOBS.c.attempt + 1,
        claimed_by=engine_id,
        lease_until=moment(lease_s),
        started_at=moment(),
        progress_done=None,
        progress_total=None,
        progress_note=None,
    )
    return sorted(map(Job.from_row, rows), key=lambda job: (job.priority, job.run_at, job.id))


def _owned_by(run: Run) -> Sequence[ColumnElement[bool]]:
    return JOBS.c.id == run[0], JOBS.c.attempt == run[1], _RUNNING


def _among(runs: Collection[Run]) -> Sequence[ColumnElement[bool]]:
    # The first condition finds the rows by the primary key; the second is the fence.
    return JOBS.c.id.in_([job_id for job_id, _ in runs]), tuple_(JOBS.c.id, JOBS.c.attempt).in_(list(runs))
