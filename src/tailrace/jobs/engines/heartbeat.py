"""The heartbeat: tells that the engine lives, keeps its claims, and notices those that were taken or left over."""

import logging
import time
from collections.abc import Callable

from tailrace.database import Database
from tailrace.jobs import runs
from tailrace.jobs.engines import roster
from tailrace.jobs.engines.contract import Timing
from tailrace.jobs.engines.roster import Membership
from tailrace.jobs.engines.supervisor import Supervisor

logger = logging.getLogger(__name__)


def _does_not_lead() -> bool:
    return False


def _has_no_trouble() -> None:
    return None


class Heartbeat:
    """The duty of every engine."""

    def __init__(
        self,
        database: Database,
        member: Membership,
        supervisor: Supervisor,
        timing: Timing,
        *,
        leads: Callable[[], bool] = _does_not_lead,
        trouble: Callable[[], str | None] = _has_no_trouble,
    ) -> None:
        """Prepare to beat for `member`, whose runs `supervisor` has; the roster gets what `leads` and `trouble` say."""
        self._database = database
        self._member = member
        self._supervisor = supervisor
        self._timing = timing
        self._leads = leads
        self._trouble = trouble
        self._at = 0.0

    @property
    def due_in_s(self) -> float:
        return self._at - time.monotonic()

    def attend(self) -> None:
        now = time.monotonic()
        if now < self._at:
            return
        ours = self._supervisor.pool.runs
        with self._database.write() as session:
            roster.report_alive(session, self._member, leads=self._leads(), trouble=self._trouble())
            owned = runs.extend_leases(session, self._member.engine_id, self._timing.lease_s)
            # A claim whose commit succeeded while its answer was lost: nobody runs it.
            strays = owned - ours - self._supervisor.journal.ended
            runs.give_back(session, sorted(strays))
        self._at = now + self._timing.heartbeat_s
        self._supervisor.keep_until(now + self._timing.lease_s, lost=ours - owned)
        for job_id, attempt in strays:
            logger.warning("Attempt %d of job %s was claimed without our knowing, and is given back", attempt, job_id)
