"""The outbox: sees to it that the broker has a message for every available job.

The rows are the outbox: a job that is available is to be published, whatever made it so (a new job, a retry, a rescue).
What was published is remembered by the one who publishes, not written down: who takes over publishes again, and what is
delivered twice is dropped where it is claimed. Only the most urgent jobs of a queue are published ahead, so a million
waiting jobs fill no broker, and an urgent one overtakes all but a few.
"""

import logging
import threading
import time
from collections.abc import Sequence
from contextlib import suppress

from sqlalchemy.exc import SQLAlchemyError

from tailrace.database import Database
from tailrace.jobs import runs
from tailrace.jobs.engines.celery.transport import Broker, QueueRefused, Unconfirmed
from tailrace.jobs.errors import BrokerUnavailable
from tailrace.jobs.runs import Run

AHEAD = 256
LOST_AFTER_S = 10.0
_ROUND_EVERY_S = 0.02
_ROUND_WHEN_FULL_EVERY_S = 0.1
_LOOK_AT_LEAST_EVERY_S = 1.0
_LOOK_FOR_QUEUES_EVERY_S = 10.0
_PAUSES_S = (0.5, 1.0, 2.0)

logger = logging.getLogger(__name__)


class Outbox:
    """Publishes, in a thread of its own, while it is open."""

    def __init__(
        self,
        database: Database,
        broker: Broker,
        queues: Sequence[str],
        kinds: Sequence[str],
        *,
        lost_after_s: float = LOST_AFTER_S,
    ) -> None:
        """Prepare to publish jobs of these kinds in `queues`, and in others when they turn up.

        Jobs of other kinds, which no engine would claim, would take the places of those behind them. Messages of jobs
        that nobody claimed within `lost_after_s` seconds are counted, and sent again if some are gone.
        """
        self.trouble: str | None = None
        """Why nothing can be published, as a sentence."""
        self._database = database
        self._broker = broker
        self._queues = set(queues)
        self._kinds = kinds
        self._lost_after_s = lost_after_s
        self._sent: dict[str, dict[Run, float]] = {}
        self._count_at = 0.0
        self._find_queues_at = 0.0
        self._failures = 0
        self._open = threading.Event()
        self._rung = threading.Event()
        self._stopping = threading.Event()
        self._thread = threading.Thread(target=self._work, name="outbox", daemon=True)
        self._thread.start()

    def open(self) -> None:
        """Begin to publish."""
        self._open.set()

    def ring(self) -> None:
        """Look for available jobs soon."""
        self._rung.set()

    def close(self) -> None:
        """Publish no more, until it is opened again."""
        self._open.clear()

    def stop(self) -> None:
        """End the thread, without waiting for it."""
        self._stopping.set()
        self._rung.set()
        self._open.set()

    def join(self, timeout_s: float) -> None:
        """Wait for the end of the thread, `timeout_s` seconds at most."""
        self._thread.join(timeout_s)

    def _work(self) -> None:
        while not self._stopping.is_set():
            if not self._open.is_set():
                self._sent.clear()
                self._open.wait()
                continue
            self._rung.wait(_LOOK_AT_LEAST_EVERY_S)
            self._rung.clear()
            self._try_round()

    def _try_round(self) -> None:
        try:
            self._round()
        except BrokerUnavailable as error:
            self._pause(error)
        except SQLAlchemyError as error:
            logger.error("The database does not answer; trying again: %s", error)
            self._stopping.wait(_PAUSES_S[0])
        except Exception as error:
            # Were this thread to end, its engine would go on to lead, and nothing would ever be published.
            logger.exception("Jobs cannot be published; trying again")
            self.trouble = f"Jobs cannot be published ({type(error).__name__}: {error})."
            self._stopping.wait(_PAUSES_S[-1])
        else:
            self._failures = 0
            # With many published ahead there is no hurry to publish more.
            busy = any(len(sent) == AHEAD for sent in self._sent.values())
            self._stopping.wait(_ROUND_WHEN_FULL_EVERY_S if busy else _ROUND_EVERY_S)

    def _round(self) -> None:
        if self.trouble:
            with suppress(QueueRefused):
                self._broker.count_waiting(min(self._queues))  # Raises unless it answers again.
        counts = time.monotonic() >= self._count_at
        if counts:
            self._count_at = time.monotonic() + self._lost_after_s / 4
        refusals = [self._serve(queue, available, counts) for queue, available in self._look().items()]
        self._tell(" ".join(filter(None, refusals)))

    def _serve(self, queue: str, available: Sequence[Run], counts: bool) -> str | None:
        """Publish what is due in a queue; return why the broker refuses it, which must not hold up the others."""
        sent = self._sent.setdefault(queue, {})
        for run in sent.keys() - set(available):
            del sent[run]
        try:
            self._publish(queue, [run for run in available if run not in sent])
            if counts:
                self._publish_lost(queue)
        except QueueRefused as error:
            sent.clear()
            return f"{queue}: {error}"
        return None

    def _tell(self, trouble: str) -> None:
        if trouble and not self.trouble:
            logger.error("Some jobs cannot be published; trying again: %s", trouble)
        self.trouble = trouble or None
        if trouble:
            self._stopping.wait(_PAUSES_S[0])

    def _look(self) -> dict[str, list[Run]]:
        with self._database.read() as session:
            if time.monotonic() >= self._find_queues_at:
                self._queues.update(runs.queues_with_work(session))
                self._find_queues_at = time.monotonic() + _LOOK_FOR_QUEUES_EVERY_S
            return {queue: runs.available_in(session, queue, self._kinds, AHEAD) for queue in self._queues}

    def _publish(self, queue: str, chosen: Sequence[Run]) -> None:
        if not chosen:
            return
        try:
            self._broker.publish(chosen, queue)
        except Unconfirmed:
            if self._broker.revive(queue):
                logger.warning("Queue %s answered nobody; it is made anew, and its jobs are published again", queue)
            raise
        self._sent[queue] |= dict.fromkeys(chosen, time.monotonic())

    def _publish_lost(self, queue: str) -> None:
        sent = self._sent[queue]
        long_ago = time.monotonic() - self._lost_after_s
        unclaimed = sorted((at, run) for run, at in sent.items() if at < long_ago)
        if not unclaimed:
            return
        # Those that workers have just not come to are still there; of the others, most likely the oldest are gone.
        gone = [run for _, run in unclaimed][: max(0, len(sent) - self._broker.count_waiting(queue))]
        if gone:
            logger.warning("Messages of queue %s are gone; %d jobs are published again", queue, len(gone))
            self._publish(queue, gone)

    def _pause(self, error: BrokerUnavailable) -> None:
        if self.trouble is None:
            logger.error("Jobs cannot be published; trying again: %s", error)
        self.trouble = str(error)
        # It may come back empty: count again at once.
        self._count_at = 0.0
        for sent in self._sent.values():
            sent.update(dict.fromkeys(sent, -self._lost_after_s))
        self._stopping.wait(_PAUSES_S[min(self._failures, len(_PAUSES_S) - 1)])
        self._failures += 1
