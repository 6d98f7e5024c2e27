"""Notices that deliveries have stopped although jobs wait, and has the broker's connection made anew.

A consumer of Celery's may fall silent for good after its broker was restarted (celery#10302), while all looks well.
"""

import logging
import threading
import time
from collections.abc import Collection, Sequence

from tailrace.database import Database
from tailrace.jobs import runs
from tailrace.jobs.engines.celery.desk import Desk
from tailrace.jobs.engines.celery.transport import Broker, Consumer
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
        broker: Broker,
        *,
        queues: Collection[str],
        kinds: Sequence[str],
        silent_s: float = SILENT_S,
    ) -> None:
        """Watch the deliveries of jobs of these kinds from `queues` of `broker` that `consumer` lays on the `desk`."""
        self.trouble: str | None = None
        """Why the jobs of this engine do not come, as a sentence."""
        self._database = database
        self._desk = desk
        self._consumer = consumer
        self._broker = broker
        self._queues = queues
        self._kinds = kinds
        self._silent_s = silent_s
        self._restarted: int | None = None
        self._reviving: threading.Thread | None = None
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
            self._restarted = self.trouble = None
            return
        if self._reviving is not None and self._reviving.is_alive():
            return
        if self._restarted == self._consumer.generation:
            raise BrokerUnavailable("The consumer hangs: this engine ends, to be started again.")
        self.trouble = f"Jobs wait, and none is delivered for {self._silent_s:g} s."
        logger.warning("%s Connecting to the broker anew", self.trouble)
        self._restarted = self._consumer.generation
        self._consumer.restart()
        # In a thread: a queue without a leader lets one wait.
        self._reviving = threading.Thread(target=self._revive_queues, name="ear", daemon=True)
        self._reviving.start()

    def _revive_queues(self) -> None:
        """Make anew what holds up the consumer of all queues, be it a queue in which nothing waits."""
        for queue in self._queues:
            try:
                if self._broker.revive(queue):
                    logger.warning("Queue %s answered nobody; it is made anew", queue)
            except BrokerUnavailable as error:
                logger.warning("Whether queue %s answers cannot be told: %s", queue, error)

    def _is_deaf(self) -> bool:
        if self._desk.is_busy or time.monotonic() - self._desk.heard_at < self._silent_s:
            return False
        with self._database.read() as session:
            return runs.waits_in_vain(session, self._queues, self._kinds, self._silent_s)
