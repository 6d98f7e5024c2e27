"""The Celery engine: one of any number, on any machine, that run the jobs of a database."""

import contextlib
import logging
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from datetime import timedelta
from typing import Any

from sqlalchemy.exc import SQLAlchemyError

from tailrace.database import DatabaseBusy, new_id
from tailrace.jobs.engines import roster
from tailrace.jobs.engines.celery.desk import Desk
from tailrace.jobs.engines.celery.ear import Ear
from tailrace.jobs.engines.celery.leader import Leader
from tailrace.jobs.engines.celery.outbox import LOST_AFTER_S, Outbox
from tailrace.jobs.engines.celery.transport import Broker, Consumer
from tailrace.jobs.engines.contract import Timing
from tailrace.jobs.engines.heartbeat import Heartbeat
from tailrace.jobs.engines.supervisor import Supervisor
from tailrace.jobs.engines.upkeep import Upkeep
from tailrace.jobs.engines.wakeups import listening
from tailrace.jobs.worker import JobApp

_LOOK_EVERY_S = 0.25
_END_WITHIN_S = 1.0

logger = logging.getLogger(__name__)


class CeleryEngine:
    """Runs jobs that Celery delivers, in worker processes of this machine; competes to lead all engines."""

    def __init__(
        self,
        app: JobApp[Any],
        spec: str,
        *,
        broker_url: str,
        prefix: str = "tailrace",
        queues: Sequence[str] = (),
        workers: int = 2,
        keep: timedelta = timedelta(days=7),
        timing: Timing | None = None,
    ) -> None:
        """Prepare an engine with `workers` processes that each load `spec`, for jobs of `queues` (else of all kinds').

        The names of the broker's queues begin with `prefix`, which all engines of a database share. Finished jobs are
        kept for `keep`. Raises UnregisteredKind if a kind hands its failures to one that nobody would run.
        """
        timing = timing or Timing()
        self.id = new_id()
        self._database = app.database
        kinds = [kind.name for kind in app.kinds]
        every_queue = sorted({kind.queue for kind in app.kinds} | {"default"})
        self._queues = sorted(set(queues)) or every_queue
        self._member = roster.Membership(self.id, "celery", workers, self._queues)
        self._desk = Desk(app.database, self.id, kinds, self._queues, lease_s=timing.lease_s)
        self._supervisor = Supervisor(
            app, spec, self._desk, workers=workers, look_every_s=_LOOK_EVERY_S, fence_s=timing.lease_s
        )
        self._desk.wake(self._supervisor.selector)
        self._broker = Broker(broker_url, prefix=prefix)
        self._consumer = Consumer(broker_url, prefix=prefix, queues=self._queues, slots=workers, serve=self._desk.serve)
        self._ear = Ear(app.database, self._desk, self._consumer, self._broker, queues=self._queues, kinds=kinds)
        lost_after_s = min(LOST_AFTER_S, timing.lease_s)
        self._outbox = Outbox(app.database, self._broker, every_queue, kinds, lost_after_s=lost_after_s)
        upkeep = Upkeep(app, keep=keep, rescue_every_s=timing.heartbeat_s)
        self._leader = Leader(app.database, upkeep, self._outbox)
        self._heartbeat = Heartbeat(
            app.database,
            self._member,
            self._supervisor,
            timing,
            leads=lambda: self._leader.leads,
            trouble=self._trouble,
        )

    def run(self, *, parent: int | None = None) -> None:
        """Run jobs until SIGTERM or SIGINT, or the end of the pipe `parent`; then give back what is unfinished.

        Raises BrokerUnavailable if what connects it to the broker hangs; it is to be started again then.
        """
        with contextlib.ExitStack() as stack:
            wakeups = stack.enter_context(listening(self._supervisor.selector, None, parent))
            stack.enter_context(self._enrolled())
            stack.enter_context(self._connected())
            logger.info("Engine %s runs jobs of %s, %d at a time", self.id, self._queues, self._member.workers)
            self._supervisor.run(wakeups, [self._heartbeat, self._ear], on_stop=self._stop_taking)
            self._desk.abandon()
        logger.info("Engine %s has stopped", self.id)

    def _stop_taking(self) -> None:
        self._leader.stop()
        self._consumer.stop()
        self._desk.close()

    @contextmanager
    def _connected(self) -> Iterator[None]:
        self._leader.start()
        self._consumer.start()
        yield
        self._outbox.stop()
        for part in (self._consumer, self._leader, self._outbox):
            part.join(_END_WITHIN_S)

    @contextmanager
    def _enrolled(self) -> Iterator[None]:
        with self._database.write() as session:
            roster.enrol(session, self._member)
        yield
        try:
            with self._database.write() as session:
                roster.sign_off(session, self.id)
        except (SQLAlchemyError, DatabaseBusy) as error:
            logger.error("This engine stays on the roster for a while: %s", error)

    def _trouble(self) -> str | None:
        if self._leader.leads and self._outbox.trouble:
            return self._outbox.trouble
        return self._ear.trouble if self._consumer.connected else "It has no connection to the broker."
