"""What workers reported and the database does not know yet, written in one transaction at a time."""

import logging
import math
import time
from collections.abc import Mapping
from typing import Any

from sqlalchemy.exc import InterfaceError, OperationalError
from sqlalchemy.exc import TimeoutError as PoolTimeout
from sqlalchemy.orm import Session

from tailrace.database import Database, DatabaseBusy, publish
from tailrace.jobs import runs
from tailrace.jobs.models import Job, channel_of
from tailrace.jobs.runs import Run
from tailrace.jobs.settlement import EndedRun, settle
from tailrace.jobs.worker import Ending, Outcome

_ENDINGS_WITHIN_S = 0.005
_PROGRESS_WITHIN_S = 0.1
_LOG_LINES_PER_RUN = 10_000
AWAY = (OperationalError, InterfaceError, PoolTimeout, DatabaseBusy)
"""What is raised while the database does not answer, whatever it is asked."""

logger = logging.getLogger(__name__)


class Journal:
    """Collects reports, and says by when they are to be written."""

    def __init__(self) -> None:
        self._ended: list[EndedRun] = []
        self._progress: dict[Run, tuple[int, int | None, str]] = {}
        self._lines: list[tuple[str, Mapping[str, Any]]] = []
        self._counts: dict[Run, int] = {}
        self.due_at = math.inf
        """When, on the monotonic clock, this must be written; infinity while it is empty."""

    @property
    def is_empty(self) -> bool:
        """Whether there is nothing to write."""
        return self.due_at == math.inf

    @property
    def ended(self) -> set[Run]:
        """The runs that have ended."""
        return {run.key for run in self._ended}

    @property
    def has_endings(self) -> bool:
        """Whether a run has ended; the worker that ended it may be waiting for its next one."""
        return bool(self._ended)

    def end(self, job: Job, outcome: Outcome) -> None:
        """Note how a run ended."""
        self._ended.append(EndedRun(job, outcome))
        self._counts.pop((job.id, job.attempt), None)
        self._due_within(_ENDINGS_WITHIN_S)

    def progress(self, job: Job, done: int, total: int | None, note: str) -> None:
        """Note how far a run has come; only the last value is kept."""
        self._progress[job.id, job.attempt] = (done, total, note)
        self._due_within(_PROGRESS_WITHIN_S)

    def log(self, job: Job, line: Mapping[str, Any]) -> None:
        """Note a line that a run logged. Beyond 10,000 of one run they are only in the service's own log."""
        run = job.id, job.attempt
        count = self._counts[run] = self._counts.get(run, 0) + 1
        if count == _LOG_LINES_PER_RUN:
            line = {**line, "message": "Too many lines: the rest of them is in the service's own log."}
        if count <= _LOG_LINES_PER_RUN:
            self._lines.append((job.id, line))
            self._due_within(_PROGRESS_WITHIN_S)

    def write(self, session: Session) -> None:
        """Write everything; the caller commits, and only then calls `clear`."""
        for job_id, line in self._lines:
            publish(session, channel_of(job_id), "log", line)
        for run, (done, total, note) in self._progress.items():
            runs.record_progress(session, run, done, total, note)
        settle(session, self._to_settle())

    def write_one_by_one(self, database: Database) -> None:
        """Write the end of each run in a transaction of its own, and forget everything else.

        For when the whole is refused: one run must not keep the others from ending. Where its end cannot be written,
        the job is given up with a sentence that can.
        """
        for run in self._to_settle():
            try:
                with database.write() as session:
                    settle(session, [run])
            except AWAY:
                raise
            except Exception as error:
                logger.exception("The end of job %s cannot be written", run.job.id)
                why = Outcome(Ending.HOPELESS, f"How it ended cannot be written down ({type(error).__name__}).")
                with database.write() as session:
                    settle(session, [EndedRun(run.job, why)])

    def clear(self) -> None:
        """Forget what was written."""
        self._ended.clear()
        self._progress.clear()
        self._lines.clear()
        self.due_at = math.inf

    def _to_settle(self) -> list[EndedRun]:
        return [run for run in self._ended if run.outcome.ending is not Ending.LOST]

    def _due_within(self, seconds: float) -> None:
        self.due_at = min(self.due_at, time.monotonic() + seconds)
