"""One run of a job, in the process that does the work: call the function, and say how it ended."""

import logging
import traceback
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from enum import StrEnum
from typing import Any, Generic, TypeVar

from tailrace.database import Database
from tailrace.jobs.context import JobContext, current_job_id, storable
from tailrace.jobs.errors import (
    DoNotRetry,
    JobCancelled,
    JobInterrupted,
    JobStopped,
    LeaseLost,
    Snoozed,
    TimeLimitExceeded,
)
from tailrace.jobs.kinds import JobKind

R = TypeVar("R")
logger = logging.getLogger(__name__)


@dataclass(frozen=True, slots=True)
class JobApp(Generic[R]):
    """What a worker process needs to do its work: the database, the kinds of job it can run, and what these use."""

    database: Database
    kinds: Sequence[JobKind]
    resources: R


class Ending(StrEnum):
    """How a run ended."""

    COMPLETED = "completed"
    FAILED = "failed"
    HOPELESS = "hopeless"
    SNOOZED = "snoozed"
    CANCELLED = "cancelled"
    INTERRUPTED = "interrupted"
    LOST = "lost"
    CRASHED = "crashed"


@dataclass(frozen=True, slots=True)
class Outcome:
    """How a run ended, why, and for a snoozed job after how many seconds it wants to run again."""

    ending: Ending
    error: str | None = None
    delay_s: float = 0


def run(kind: JobKind, context: JobContext[Any], args: Mapping[str, Any]) -> Outcome:
    """Call the kind's function and return how that ended; what it raises becomes the outcome."""
    token = current_job_id.set(context.job_id)
    try:
        return _call(kind, context, args)
    finally:
        current_job_id.reset(token)


def describe(error: BaseException) -> str:
    """Return an exception's type and message on one line, as a person would quote it."""
    return storable("".join(traceback.format_exception_only(error)).strip())


def _call(kind: JobKind, context: JobContext[Any], args: Mapping[str, Any]) -> Outcome:
    try:
        kind.function(context, **args)
    except JobStopped as stopped:
        return _stopped(stopped)
    except DoNotRetry as error:
        logger.error("Gave up: %s", error)
        return Outcome(Ending.HOPELESS, storable(str(error)))
    except MemoryError:
        return Outcome(Ending.FAILED, f"It needed more than the {kind.memory_mb:,} MB of memory it may use.")
    except Exception as error:
        logger.exception("Attempt %d failed", context.attempt)
        return Outcome(Ending.FAILED, describe(error))
    return Outcome(Ending.COMPLETED)


def _stopped(stopped: JobStopped) -> Outcome:
    match stopped:
        case Snoozed(delay_s=delay_s):
            return Outcome(Ending.SNOOZED, delay_s=delay_s)
        case JobCancelled():
            return Outcome(Ending.CANCELLED)
        case JobInterrupted():
            return Outcome(Ending.INTERRUPTED)
        case LeaseLost():
            return Outcome(Ending.LOST)
        case TimeLimitExceeded():
            return Outcome(Ending.FAILED, storable(str(stopped)))
        case _:
            return Outcome(Ending.FAILED, describe(stopped))
