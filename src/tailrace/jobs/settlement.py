"""What becomes of a job when a run has ended: the rules of retries, crashes and interruptions."""

import random
from collections.abc import Sequence
from dataclasses import dataclass

from sqlalchemy.orm import Session

from tailrace.database import moment
from tailrace.jobs import runs
from tailrace.jobs.models import CRASHES_TO_QUARANTINE, WHY_CANCELLED, Job, State
from tailrace.jobs.worker import Ending, Outcome

LONGEST_BACKOFF_S = 900.0


@dataclass(frozen=True, slots=True)
class EndedRun:
    """A job as it was claimed, and how that run ended."""

    job: Job
    outcome: Outcome

    @property
    def key(self) -> runs.Run:
        """The job's id and the attempt that fences the run."""
        return self.job.id, self.job.attempt


def settle(session: Session, ended: Sequence[EndedRun]) -> None:
    """Move each job to where the end of its run leads; a run that no longer owns its job changes nothing."""
    runs.complete(session, [run.key for run in ended if run.outcome.ending is Ending.COMPLETED])
    for run in ended:
        if run.outcome.ending is not Ending.COMPLETED:
            _settle(session, run)


def backoff_s(failures: int) -> float:
    """Return the seconds to wait after that many failures: 2, 4, 8 … at most 900, give or take a tenth.

    The jitter keeps jobs that failed together, for one reason, from coming back together.
    """
    return min(2.0 ** min(failures, 10), LONGEST_BACKOFF_S) * random.uniform(0.9, 1.1)  # noqa: S311 - no secret


def _settle(session: Session, run: EndedRun) -> None:
    outcome = run.outcome
    match outcome.ending:
        case Ending.FAILED:
            _fail(session, run)
        case Ending.CRASHED:
            _crash(session, run)
        case Ending.HOPELESS:
            runs.finish(session, run.key, State.DISCARDED, error=outcome.error, failures=run.job.failures + 1)
        case Ending.SNOOZED:
            runs.finish(session, run.key, State.SCHEDULED, run_at=moment(outcome.delay_s))
        case Ending.CANCELLED:
            runs.finish(session, run.key, State.CANCELLED, error=WHY_CANCELLED)
        case Ending.INTERRUPTED:
            runs.finish(session, run.key, State.AVAILABLE, error=run.job.error)


def _fail(session: Session, run: EndedRun) -> None:
    failures = run.job.failures + 1
    if failures >= run.job.max_attempts:
        runs.finish(session, run.key, State.DISCARDED, error=run.outcome.error, failures=failures)
        return
    later = moment(backoff_s(failures))
    runs.finish(session, run.key, State.RETRYABLE, error=run.outcome.error, failures=failures, run_at=later)


def _crash(session: Session, run: EndedRun) -> None:
    crashes = run.job.crashes + 1
    to = State.QUARANTINED if crashes >= CRASHES_TO_QUARANTINE else State.AVAILABLE
    runs.finish(session, run.key, to, error=run.outcome.error, crashes=crashes)
