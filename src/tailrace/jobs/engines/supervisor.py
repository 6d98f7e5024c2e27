"""The supervisor: one loop that listens to its workers, feeds them, and writes to the database in batches."""

import logging
import math
import selectors
import time
from collections.abc import Callable, Collection, Sequence
from typing import Any

from sqlalchemy.exc import SQLAlchemyError

from tailrace.database import DatabaseBusy
from tailrace.jobs.engines.contract import Duty, Intake
from tailrace.jobs.engines.journal import AWAY, Journal
from tailrace.jobs.engines.processes.pool import WorkerPool
from tailrace.jobs.engines.processes.process import CANCEL
from tailrace.jobs.engines.wakeups import Wakeups
from tailrace.jobs.kinds import check_kinds
from tailrace.jobs.models import Job
from tailrace.jobs.runs import Run
from tailrace.jobs.worker import JobApp

_WRITE_EVERY_S = 0.01  # A commit is not worth its while right after another one.
_STOP_STEP_S = 0.05
_DATABASE_PAUSE_S = 0.5
_GIVE_UP_AFTER_S = 8.0

logger = logging.getLogger(__name__)


class Supervisor:
    """Runs what an intake claims in worker processes of this machine, and writes down how that ends."""

    def __init__(
        self, app: JobApp[Any], spec: str, intake: Intake, *, workers: int, look_every_s: float, fence_s: float | None
    ) -> None:
        """Prepare `workers` processes that each load `spec`; the database is looked into every `look_every_s` at most.

        A run that could not be told for `fence_s` seconds that it still owns its job gives up; None where no other
        engine could take the job. Raises UnregisteredKind if a kind hands its failures to one that nobody would run.
        """
        check_kinds(app.kinds)
        self.selector = selectors.DefaultSelector()
        self.journal = Journal()
        kinds = {kind.name: kind for kind in app.kinds}
        self.pool = WorkerPool(spec, workers, kinds, self.journal, self.selector)
        self._database = app.database
        self._intake = intake
        self._look_every_s = look_every_s
        self._fence_s = fence_s
        self._looked_at = 0.0
        self._wrote_at = 0.0
        self._draining = False
        self._give_up_at = math.inf
        self._on_stop: Callable[[], None] | None = None

    def run(self, wakeups: Wakeups, duties: Sequence[Duty], *, on_stop: Callable[[], None] | None = None) -> None:
        """Run jobs until told to stop; call `on_stop` then, and give back what is unfinished.

        Attends to `duties`, in their order, all the while.
        """
        self._on_stop = on_stop
        while not self._finished(wakeups):
            wakeups.wait(min([self._patience_s(wakeups), *(duty.due_in_s for duty in duties)]))
            self._turn(wakeups, duties)
        self.pool.close()

    def keep_until(self, lease_until: float, *, lost: Collection[Run]) -> None:
        """Let the runs go on until `lease_until`, on the monotonic clock, but for those that `lost` their jobs."""
        self.pool.lose(lost)
        if self._fence_s is not None:
            self.pool.limit_to(lease_until)

    def _turn(self, wakeups: Wakeups, duties: Sequence[Duty]) -> None:
        now = time.monotonic()
        if wakeups.told_to_stop:
            self._drain()
        else:
            self.pool.fill(now)
        self.pool.collect()
        self.pool.enforce(now)
        try:
            self._look(wakeups, now)
            self._write(now)
            for duty in duties:
                duty.attend()
        except (SQLAlchemyError, DatabaseBusy) as error:
            # Nothing is lost: the journal keeps what was not committed.
            logger.error("Nothing can be written at the moment; trying again: %s", error)
            time.sleep(_DATABASE_PAUSE_S)

    def _look(self, wakeups: Wakeups, now: float) -> None:
        if wakeups.rung and now - self._looked_at >= self._look_every_s:
            wakeups.forget_ring()
            self._looked_at = now
            for job_id in self._intake.look():
                self.pool.stop_run(job_id, CANCEL)

    def _write(self, now: float) -> None:
        hungry = self.pool.has_idle and not self._draining
        wanted = now >= self.journal.due_at or (hungry and (self._intake.due_in_s == 0 or self.journal.has_endings))
        if not wanted or now - self._wrote_at < _WRITE_EVERY_S:
            return
        self._wrote_at = now
        self._intake.learn(self.pool.mean_run_s)
        room = 0 if self._draining else self.pool.room(self._intake.depth)
        claimed = self._commit(room)
        self._intake.committed(self.journal.ended)
        self.journal.clear()
        for job in claimed:
            self.pool.give(job, None if self._fence_s is None else now + self._fence_s)

    def _commit(self, room: int) -> list[Job]:
        """Write down what was reported, and claim up to `room` jobs in the same transaction; return those."""
        try:
            with self._database.write() as session:
                self.journal.write(session)
                return self._intake.claim(session, room)
        except AWAY:
            raise
        except Exception:
            logger.exception("What the workers reported cannot be written as one")
            self.journal.write_one_by_one(self._database)
            return []

    def _patience_s(self, wakeups: Wakeups) -> float:
        now = time.monotonic()
        to_write = self.journal.due_at - now
        if self.pool.has_idle:
            to_write = min(to_write, self._intake.due_in_s)
        waits = [max(to_write, self._wrote_at + _WRITE_EVERY_S - now)]
        if wakeups.rung:
            waits.append(self._looked_at + self._look_every_s - now)
        if self.pool.stopping:
            waits.append(_STOP_STEP_S)
        return min(waits)

    def _drain(self) -> None:
        if not self._draining:
            self._draining = True
            self._give_up_at = time.monotonic() + _GIVE_UP_AFTER_S
            if self._on_stop is not None:
                self._on_stop()
            self.pool.interrupt_all()

    def _finished(self, wakeups: Wakeups) -> bool:
        if not (wakeups.told_to_stop and self._draining):
            return False
        if time.monotonic() > self._give_up_at:
            logger.error("Jobs could not be given back for %g s: others will take them over", _GIVE_UP_AFTER_S)
            return True
        return self.pool.is_empty and self.journal.is_empty
