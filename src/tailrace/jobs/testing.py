"""For the tests of applications: run what is due, here and now, through the real table."""

from collections.abc import Sequence
from typing import Any

from tailrace.database import Database, new_id
from tailrace.jobs import runs, store
from tailrace.jobs.context import JobContext
from tailrace.jobs.errors import JobCancelled, JobStopped
from tailrace.jobs.kinds import JobKind
from tailrace.jobs.models import Job
from tailrace.jobs.settlement import EndedRun, settle
from tailrace.jobs.worker import Outcome, run


def run_jobs(database: Database, kinds: Sequence[JobKind], resources: Any = None) -> list[Job]:
    """Run every job of these kinds that is due, and those that they enqueue, one after the other in this process.

    Each is claimed and settled as an engine does it, without isolation, limits or heartbeats. Jobs that wait for a
    later moment (a retry, a schedule) are left waiting. Returns the jobs as they ended.
    """
    ended: list[Job] = []
    while job := _claim_one(database, kinds):
        kind = next(kind for kind in kinds if kind.name == job.kind)
        outcome = _run_one(database, kind, job, resources)
        with database.write() as session:
            settle(session, [EndedRun(job, outcome)])
            ended.append(store.get_job(session, job.id))
    return ended


def _claim_one(database: Database, kinds: Sequence[JobKind]) -> Job | None:
    with database.write() as session:
        runs.promote_due(session)
        names = [kind.name for kind in kinds]
        claimed = runs.claim(session, engine_id=new_id(), kinds=names, limit=1, lease_s=60)
    return claimed[0] if claimed else None


def _run_one(database: Database, kind: JobKind, job: Job, resources: Any) -> Outcome:
    def stop_reason() -> JobStopped | None:
        with database.read() as session:
            return JobCancelled() if store.get_job(session, job.id).cancel_requested_at else None

    context = JobContext(
        job_id=job.id,
        attempt=job.attempt,
        resources=resources,
        database=database,
        reporter=_Recorder(database, (job.id, job.attempt)),
        stop_reason=stop_reason,
    )
    return run(kind, context, job.args)


class _Recorder:
    """Writes every progress at once."""

    def __init__(self, database: Database, run: runs.Run) -> None:
        self._database = database
        self._run = run

    def progress(self, done: int, total: int | None, note: str) -> None:
        with self._database.write() as session:
            runs.record_progress(session, self._run, done, total, note)
