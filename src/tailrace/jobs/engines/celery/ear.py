"""Notices that deliveries have stopped although jobs wait, and has the broker's connection made anew.

A consumer of Celery's may fall silent for good after its broker was restarted (celery#10302), while all looks well.
"""

import logging
import time
from collections.abc import Collection, Sequence

from tailrace.database import Database
from tailrace.jobs import runs
from tailrace.jobs.engines.celery.desk import Desk
from tailrace.jobs.engines.celery.transport import Consumer
from tailrace.jobs.errors import BrokerUnavailable

SILENT_S = 10.0

logger = logging.getLogger(__name__)


class Ear:
    """A duty of the Celery engine."""

    def __init__(
        self,
        database: Database,
        desk: Desk,
        consumer: Consumer,
        queues: Collection[str],
        kinds: Sequence[str],
        *,
        silent_s: float = SILENT_S,
    ) -> None:
        """Watch the deliveries of jobs of these kinds from `queues` that `consumer` lays on the `desk`."""
        self._database = database
        self._desk = desk
        self._consumer = consumer
        self._queues = queues
        self._kinds = kinds
        self._silent_s = silent_s
        self._restarted: int | None = None
        self._look_at = time.monotonic() + silent_s

    @property
    def due_in_s(self) -> float:
        return self._look_at - time.monotonic()

    def attend(self) -> None:
        """Restart the consumer if it is silent. Raises BrokerUnavailable if it did not even take note of that."""
        if self.due_in_s > 0:
            return
        self._look_at = time.monotonic() + self._silent_s
        if not self._consumer.connected or not self._is_deaf():
            self._restarted = None
            return
        if self._restarted == self._consumer.generation:
            raise BrokerUnavailable("The consumer hangs: this engine ends, to be started again.")
        logger.warning("Jobs wait, and none is delivered for %g s: connecting to the broker anew", self._silent_s)
        self._restarted = self._consumer.generation
        self._consumer.restart()

    def _is_deaf(self) -> bool:
        if self._desk.is_busy or time.monotonic() - self._desk.heard_at < self._silent_s:
            return False
        with self._database.read() as session:
            return runs.waits_in_vain(session, self._queues, self._kinds, self._silent_s)
