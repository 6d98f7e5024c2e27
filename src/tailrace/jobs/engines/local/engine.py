"""The local engine: the only one of its database, so what another left is taken back at once."""

import contextlib
import logging
from collections.abc import Iterator
from contextlib import contextmanager
from datetime import timedelta
from typing import Any

from sqlalchemy.exc import SQLAlchemyError

from tailrace.database import DatabaseBusy, new_id
from tailrace.jobs import maintenance
from tailrace.jobs.engines import roster
from tailrace.jobs.engines.contract import Duty, Timing
from tailrace.jobs.engines.heartbeat import Heartbeat
from tailrace.jobs.engines.local.intake import Intake
from tailrace.jobs.engines.local.sole import SoleEngine
from tailrace.jobs.engines.supervisor import Supervisor
from tailrace.jobs.engines.upkeep import Upkeep
from tailrace.jobs.engines.wakeups import listening
from tailrace.jobs.worker import JobApp

_LOOK_EVERY_S = 0.02

logger = logging.getLogger(__name__)


class LocalEngine:
    """Runs the jobs of one database in worker processes of this machine."""

    def __init__(self, app: JobApp[Any], spec: str, *, workers: int = 2, keep: timedelta = timedelta(days=7)) -> None:
        """Prepare an engine with `workers` processes that each load `spec`; finished jobs are kept for `keep`.

        Raises UnregisteredKind if a kind hands its failures to one that this engine would not run.
        """
        self.id = new_id()
        self._database = app.database
        self._member = roster.Membership(self.id, "local", workers)
        timing = Timing()
        intake = Intake(app.database, self.id, [kind.name for kind in app.kinds], lease_s=timing.lease_s)
        self._supervisor = Supervisor(app, spec, intake, workers=workers, look_every_s=_LOOK_EVERY_S, fence_s=None)
        self._sole = SoleEngine(app.database)
        # The heartbeat comes before the rescue: this engine may itself have been asleep for longer than its leases.
        heartbeat = Heartbeat(app.database, self._member, self._supervisor, timing)
        self._duties: list[Duty] = [self._sole, heartbeat, Upkeep(app, keep=keep, rescue_every_s=timing.heartbeat_s)]

    def run(self, *, parent: int | None = None) -> None:
        """Run jobs until SIGTERM or SIGINT, or the end of the pipe `parent`; then give back what is unfinished.

        Raises EngineRunning if another engine has held this database for 10 s.
        """
        with contextlib.ExitStack() as stack:
            stack.callback(self._sole.release)
            self._sole.acquire()
            wakeups = stack.enter_context(listening(self._supervisor.selector, self._database, parent))
            stack.enter_context(self._enrolled())
            logger.info("Engine %s runs jobs in %d worker processes", self.id, self._member.workers)
            self._supervisor.run(wakeups, self._duties)
        logger.info("Engine %s has stopped", self.id)

    @contextmanager
    def _enrolled(self) -> Iterator[None]:
        with self._database.write() as session:
            roster.enrol(session, self._member)
            taken = maintenance.take_back_from_others(session, self.id)
        if taken:
            logger.warning("Took back %d jobs of an engine that is gone", taken)
        yield
        try:
            with self._database.write() as session:
                roster.sign_off(session, self.id)
        except (SQLAlchemyError, DatabaseBusy) as error:
            logger.error("This engine stays on the roster for a while: %s", error)
