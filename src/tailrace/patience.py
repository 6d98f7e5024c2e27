"""How often the service's jobs are tried: for a day while something they need is away, a few times after a bug. And
whether the failure of one still stands when it is answered.

    @job("photos.process", max_attempts=FOR_A_DAY)
    def process_photo(ctx: JobContext[Resources], photo_id: str) -> None:
        with patient(ctx):
            ...

Attempts are of no use as the one measure of both: a day has a hundred of them, and a bug would be met a hundred times.
"""

from collections.abc import Iterator
from contextlib import contextmanager
from typing import Any

from sqlalchemy.exc import OperationalError
from sqlalchemy.orm import Session

from tailrace.database import DatabaseBusy
from tailrace.jobs import DoNotRetry, JobContext, UnknownJob, get_job
from tailrace.storage import StorageFull, StorageUnavailable

#: Attempts. The waits between them grow to a quarter of an hour, so this many last for about a day.
FOR_A_DAY = 100
_TRIES_AFTER_A_BUG = 4


@contextmanager
def patient(ctx: JobContext[Any]) -> Iterator[None]:
    """Let what is raised count by who can mend it.

    A full disk, and a storage or database that is away, are raised as they are: somebody mends them, and the job's
    own attempts wait for that. Any other error is likely to be a mistake of ours: after four more tries it becomes a
    DoNotRetry. A job counts its failures of all kinds together, so after a night in which the storage was away the
    first such mistake is the last.
    """
    try:
        yield
    except (DoNotRetry, StorageFull, StorageUnavailable, DatabaseBusy, OperationalError):
        raise
    except Exception as error:
        with ctx.database.read() as session:
            failures = get_job(session, ctx.job_id).failures
        if failures < _TRIES_AFTER_A_BUG:
            raise
        raise DoNotRetry(f"{type(error).__name__}: {error}") from error


def still_ended(session: Session, job_id: str, state: str) -> bool:
    """Return whether a job that ended in `state` is in it still: whoever answers a failure asks, and else leaves it.

    A job that was taken up again is at work on what would be called failed. If it has ended otherwise since, another
    answer tells that, and it may have come before this one.
    """
    try:
        return get_job(session, job_id).state == state
    except UnknownJob:
        # Only what has ended is forgotten.
        return True
