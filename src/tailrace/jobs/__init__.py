"""Durable background jobs for any application on SQLAlchemy.

A job is a row, inserted in the caller's own transaction, so it exists if and only if its cause was committed. An engine
claims it, runs it in a process of its own with limits on time and memory, and writes down how it ended; killing any
process at any moment loses nothing.

    @job("reports.build", timeout_s=600)
    def build_report(ctx: JobContext[Resources], report_id: str) -> None: ...

    with database.write() as session:
        enqueue(session, build_report, {"report_id": "…"})
"""

from tailrace.jobs.context import JobContext, current_job_id
from tailrace.jobs.engines.roster import EngineInfo, list_engines
from tailrace.jobs.errors import (
    BadArguments,
    DoNotRetry,
    DuplicateKind,
    EngineRunning,
    JobCancelled,
    JobError,
    JobInterrupted,
    JobStopped,
    LeaseLost,
    Snoozed,
    TimeLimitExceeded,
    UnknownJob,
    UnregisteredKind,
    WrongState,
)
from tailrace.jobs.kinds import JobKind, check_kinds, discover_kinds, job
from tailrace.jobs.models import FAILED, FINAL, WAITING, Job, State, channel_of
from tailrace.jobs.store import (
    JobCount,
    adopt,
    cancel_job,
    count_jobs,
    enqueue,
    enqueue_many,
    get_job,
    list_jobs,
    list_queues,
    retry_job,
)
from tailrace.jobs.worker import JobApp

__all__ = [
    "FAILED",
    "FINAL",
    "WAITING",
    "BadArguments",
    "DoNotRetry",
    "DuplicateKind",
    "EngineInfo",
    "EngineRunning",
    "Job",
    "JobApp",
    "JobCancelled",
    "JobContext",
    "JobCount",
    "JobError",
    "JobInterrupted",
    "JobKind",
    "JobStopped",
    "LeaseLost",
    "Snoozed",
    "State",
    "TimeLimitExceeded",
    "UnknownJob",
    "UnregisteredKind",
    "WrongState",
    "adopt",
    "cancel_job",
    "channel_of",
    "check_kinds",
    "count_jobs",
    "current_job_id",
    "discover_kinds",
    "enqueue",
    "enqueue_many",
    "get_job",
    "job",
    "list_engines",
    "list_jobs",
    "list_queues",
    "retry_job",
]
