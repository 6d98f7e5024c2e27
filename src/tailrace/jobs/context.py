"""What a job's function is given: its resources, its transactions, and a way to tell how far it has come."""

from collections.abc import Callable, Iterator
from contextlib import contextmanager
from contextvars import ContextVar
from typing import Generic, NoReturn, Protocol, TypeVar

from sqlalchemy.orm import Session

from tailrace.database import Database
from tailrace.jobs import runs
from tailrace.jobs.errors import JobStopped, Snoozed

R = TypeVar("R")

_TEXT_LENGTH = 2_000
_GREATEST = 2**63 - 1

current_job_id: ContextVar[str | None] = ContextVar("current_job_id", default=None)
"""The job that this process is running, for log formatters."""


def storable(text: str) -> str:
    """Return at most 2,000 characters of `text`, as every database takes them: no NUL, no half of a surrogate pair.

    What one run says is written together with what others say, and must not be refused. Names of files and answers of
    servers may have either.
    """
    return text[:_TEXT_LENGTH].encode(errors="replace").decode().replace("\0", "\N{REPLACEMENT CHARACTER}")


class Reporter(Protocol):
    """Carries what a run tells to whoever started it."""

    def progress(self, done: int, total: int | None, note: str) -> None:
        """Take note of how far the run has come."""


class JobContext(Generic[R]):
    """One run of one job."""

    def __init__(
        self,
        *,
        job_id: str,
        attempt: int,
        resources: R,
        database: Database,
        reporter: Reporter,
        stop_reason: Callable[[], JobStopped | None],
    ) -> None:
        """Only an engine makes one. `stop_reason` tells why the run should end, if it should."""
        self.job_id = job_id
        self.attempt = attempt
        self.resources = resources
        self.database = database
        self._reporter = reporter
        self._stop_reason = stop_reason

    def progress(self, done: int, total: int | None = None, note: str = "") -> None:
        """Tell that `done` of `total` units are done; call it as often as you like. `total` may be unknown.

        Raises JobCancelled or JobInterrupted if the run is to end, and ValueError for numbers beyond 63 bits.
        """
        if not (0 <= done <= _GREATEST and 0 <= (total or 0) <= _GREATEST):
            raise ValueError(f"Progress is counted from 0 to {_GREATEST}, not {done} of {total}.")
        self._reporter.progress(int(done), None if total is None else int(total), storable(note))
        self.check()

    def check(self) -> None:
        """Raise JobCancelled or JobInterrupted if the run is to end."""
        reason = self._stop_reason()
        if reason is not None:
            raise reason

    @contextmanager
    def transaction(self) -> Iterator[Session]:
        """Give a session to write with; its transaction commits only if this run still owns the job.

        Raises LeaseLost at its end, and writes nothing, if another run has taken over.
        """
        with self.database.write() as session:
            yield session
            # At the end and no sooner: as long as the job's row is locked, the engine cannot extend its lease.
            runs.hold(session, (self.job_id, self.attempt))

    def snooze(self, delay_s: float) -> NoReturn:
        """End this run; the job runs again in `delay_s` seconds, which counts as no failure."""
        raise Snoozed(delay_s)
