"""Upkeep of the job table, done by one engine at a time: cron ticks, rescue of lost runs, pruning."""

from collections.abc import Sequence
from datetime import UTC, datetime, timedelta

from croniter import croniter
from sqlalchemy.orm import Session

from tailrace.database import present
from tailrace.jobs import runs, store
from tailrace.jobs.kinds import JobKind
from tailrace.jobs.settlement import EndedRun, settle
from tailrace.jobs.worker import Ending, Outcome

MISSED_TICK = timedelta(hours=1)


def enqueue_ticks(session: Session, kinds: Sequence[JobKind], *, now: datetime | None = None) -> None:
    """Enqueue each scheduled kind for its last tick, unless that was done; a tick missed by over an hour is left out.

    The tick is the job's unique key, so it does not matter how often, or from how many engines, this is called.
    """
    now = now or present(session)
    for kind in kinds:
        if kind.schedule is None:
            continue
        tick: datetime = croniter(kind.schedule, now).get_prev(datetime)
        if now - tick <= MISSED_TICK:
            store.enqueue(session, kind, unique_key=f"tick:{kind.name}:{tick.astimezone(UTC):%Y-%m-%dT%H:%MZ}")


def next_tick(kinds: Sequence[JobKind], now: datetime) -> datetime | None:
    """Return when the next scheduled kind is due, or None if no kind is scheduled."""
    return min((croniter(kind.schedule, now).get_next(datetime) for kind in kinds if kind.schedule), default=None)


def rescue_expired(session: Session) -> int:
    """Take back the jobs whose lease has ended, as crashes of their worker, and return how many they were."""
    lost = runs.expired_runs(session)
    why = Outcome(Ending.CRASHED, "Its worker was not heard of for as long as the lease allows.")
    settle(session, [EndedRun(job, why) for job in lost])
    return len(lost)


def take_back_from_others(session: Session, engine_id: str) -> int:
    """Take back, as interrupted, the jobs of every other engine, and return how many they were.

    Only for an engine that holds the database's one engine lock: then no other can be alive, and a job cannot have
    brought its engine down, since it runs in a process apart.
    """
    orphans = runs.runs_of_others(session, engine_id)
    settle(session, [EndedRun(job, Outcome(Ending.INTERRUPTED)) for job in orphans])
    return len(orphans)


def prune_finished(session: Session, *, keep: timedelta) -> int:
    """Delete a batch of the jobs that ended longer ago than `keep`, and return how many they were."""
    return runs.prune(session, finished_before=present(session) - keep)
