"""Celery, and nothing else: the one module that knows its words.

What it calls a task is here always the same one, `tailrace.run`, whose arguments are the id of a job and the number of
its attempts so far. It waits until the supervisor has dealt with that job, and only then is the message acknowledged.
Celery's processes, limits, retries, results, schedules and clocks are not used: see
`docs/decisions/0502-celery-carries.md`.
"""

import logging
import threading
import time
from collections.abc import Callable, Iterator, Sequence
from contextlib import contextmanager
from typing import Any, ClassVar
from urllib.parse import urlsplit

from celery import Celery  # type: ignore[import-untyped]
from celery.exceptions import Reject  # type: ignore[import-untyped]
from celery.worker import WorkController, state  # type: ignore[import-untyped]
from celery.worker.consumer import Consumer as CeleryConsumer  # type: ignore[import-untyped]
from kombu.entity import Exchange, Queue
from kombu.exceptions import KombuError, OperationalError

from tailrace.jobs.errors import BrokerUnavailable
from tailrace.jobs.runs import Run

_TASK = "tailrace.run"
_ANSWER_WITHIN_S = 5
# RabbitMQ asks a queue's leader for 5 s before it deletes one that has none.
_DELETED_WITHIN_S = 15
_RESTART_PAUSES_S = (0.5, 1.0, 2.0, 5.0)
# RabbitMQ takes a delivery back that is not acknowledged for half an hour, unless its queue says otherwise (since
# 3.12): here longer than any job, and the same for ever, because it refuses a queue whose arguments change.
_QUORUM = {"x-queue-type": "quorum", "x-consumer-timeout": 7 * 86_400_000}
# On Redis a delivery comes again that is not acknowledged for so long, which is longer than any job too.
_VISIBLE_AGAIN_AFTER_S = 7 * 86_400

logger = logging.getLogger(__name__)
# They would write two lines for each job, and a traceback for each that is given back.
logging.getLogger("celery.worker.strategy").setLevel(logging.WARNING)
logging.getLogger("celery.app.trace").setLevel(logging.ERROR)
# It takes a message that can no longer be acknowledged for a disaster: here its redelivery is dropped.
logging.getLogger("celery.worker.request").setLevel(logging.CRITICAL + 1)


class _WithoutTraceback(logging.Filter):
    """Leaves only the sentence of what a broker refuses: where in the libraries it arose helps nobody."""

    def filter(self, record: logging.LogRecord) -> bool:
        error = record.exc_info[1] if isinstance(record.exc_info, tuple) else None
        libraries = ("amqp.", "redis.", "billiard.")
        if isinstance(error, (OSError, KombuError)) or type(error).__module__.startswith(libraries):
            record.exc_info = None
        return True


for _name in (__name__, "celery.worker", "celery.worker.consumer.consumer", "celery.bootsteps"):
    logging.getLogger(_name).addFilter(_WithoutTraceback())


class QueueRefused(BrokerUnavailable):
    """The broker answers, but nothing can be done with this queue; others may work."""


class Unconfirmed(QueueRefused):
    """The broker answers, but its queue takes no messages."""


class Broker:
    """The message broker, Redis or RabbitMQ, as one that publishes sees it. Safe from several threads."""

    def __init__(self, url: str, *, prefix: str = "tailrace") -> None:
        """Name the broker; nothing is contacted yet. The names of its queues begin with `prefix` and a dot."""
        self._url = url
        self._prefix = prefix
        self._app = _make_app(url)
        self._connection: Any = None
        self._lock = threading.Lock()

    def publish(self, runs: Sequence[Run], queue: str) -> None:
        """Send a message for each run, and return when the broker has them all.

        Raises BrokerUnavailable; or, of it, QueueRefused, or Unconfirmed if RabbitMQ does not say that it has them.
        """
        with self._lock, self._answering():
            producer = self._app.amqp.Producer(self._connected())
            try:
                for run in runs:
                    self._send(run, queue, producer)
            except OperationalError as error:
                if not isinstance(error.__cause__, TimeoutError):
                    raise
                self._drop()
                raise Unconfirmed(f"Queue {queue} takes no messages.") from error

    def count_waiting(self, queue: str) -> int:
        """Return how many messages lie in a queue, without those delivered; raises as `publish` does."""
        with self._lock, self._answering():
            declared = self._bound(queue, self._connected()).queue_declare()
        return int(declared.message_count)

    def revive(self, queue: str) -> bool:
        """Make a queue anew that answers nobody, and return whether it was such a one; raises as `publish` does.

        So it is with one of RabbitMQ's that was made in the half second before a crash: it has no leader, and never
        will (rabbitmq-server#15725). The messages that it holds are gone.
        """
        with self._answering():
            if _on_redis(self._url) or self._gives(queue):
                return False
            with self._briefly_opened(_DELETED_WITHIN_S) as connection:
                bound = self._bound(queue, connection)
                bound.delete()
                bound.declare()
        return True

    def close(self) -> None:
        """Give the connection up."""
        with self._lock:
            self._drop()

    def _send(self, run: Run, queue: str, producer: Any) -> None:
        self._app.send_task(
            _TASK,
            kwargs={"job_id": run[0], "attempt": run[1]},
            task_id=f"{run[0]}.{run[1]}",
            queue=_queue(self._url, self._prefix, queue),
            producer=producer,
            confirm_timeout=_ANSWER_WITHIN_S,
        )

    def _gives(self, queue: str) -> bool:
        try:
            with self._briefly_opened(_ANSWER_WITHIN_S) as connection:
                self._bound(queue, connection).get()
        except TimeoutError:
            return False
        return True

    @contextmanager
    def _briefly_opened(self, answer_within_s: int) -> Iterator[Any]:
        connection = self._opened(answer_within_s)
        try:
            yield connection
        finally:
            # No farewell: a channel that waits for its queue would not answer it.
            connection.collect(socket_timeout=1)

    def _connected(self) -> Any:
        if self._connection is None or not self._connection.connected:
            self._drop()
            self._connection = self._opened(_ANSWER_WITHIN_S)
        return self._connection

    def _opened(self, answer_within_s: int) -> Any:
        options = _options(self._url) | ({"socket_timeout": answer_within_s} if _on_redis(self._url) else {})
        # No heartbeat: nobody would answer the broker's between two messages.
        connection = self._app.connection_for_write(heartbeat=0, transport_options=options)
        try:
            connection.ensure_connection(max_retries=1, interval_start=0, timeout=_ANSWER_WITHIN_S)
            if not _on_redis(self._url):
                # Of its option `read_timeout` the library takes no notice.
                connection.connection.sock.settimeout(answer_within_s)
        except connection.channel_errors as error:
            connection.collect(socket_timeout=1)
            raise BrokerUnavailable(f"The broker does not let us in: {error}") from error
        except BaseException:
            connection.collect(socket_timeout=1)
            raise
        return connection

    def _bound(self, queue: str, connection: Any) -> Any:
        return _queue(self._url, self._prefix, queue)(connection.default_channel)

    @contextmanager
    def _answering(self) -> Iterator[None]:
        connection = self._connection or self._app.connection_for_write()
        try:
            yield
        except connection.channel_errors as error:
            self._drop()
            raise QueueRefused(f"The broker refuses a queue: {error}") from error
        except (*connection.connection_errors, KombuError, OSError) as error:
            self._drop()
            raise BrokerUnavailable(f"The broker cannot be used: {str(error) or type(error).__name__}") from error

    def _drop(self) -> None:
        connection, self._connection = self._connection, None
        if connection is not None:
            connection.collect(socket_timeout=1)


class Consumer:
    """Takes messages from queues, as many at a time as there are slots, in threads of Celery's."""

    def __init__(
        self, url: str, *, prefix: str = "tailrace", queues: Sequence[str], slots: int, serve: Callable[[Run], bool]
    ) -> None:
        """Prepare to call `serve` for each message; it blocks, and returns whether the message is dealt with.

        One that is not dealt with goes back to the broker, for others.
        """
        self._slots = slots
        self._app = _make_app(url)
        self._app.conf.task_queues = [_queue(url, prefix, name) for name in queues]
        self.generation = 0
        """How often it has begun to consume."""
        self._worker: Any = None
        self._stopping = threading.Event()
        self._lock = threading.Lock()
        self._thread = threading.Thread(target=self._consume, name="celery", daemon=True)

        @self._app.task(name=_TASK, shared=False)  # type: ignore[untyped-decorator]
        def run(job_id: str, attempt: int) -> None:
            if not serve((job_id, attempt)):
                raise Reject(requeue=True)

    def start(self) -> None:
        """Begin to consume, now or as soon as the broker answers."""
        self._app.set_default()  # Its threads look there for what to call.
        self._thread.start()

    @property
    def connected(self) -> bool:
        """Whether there is a connection to the broker."""
        connection = getattr(getattr(self._worker, "consumer", None), "connection", None)
        return connection is not None and bool(connection.connected)

    def restart(self) -> None:
        """Connect and consume anew; does not wait. What is being served goes on, and is served to its end."""
        with self._lock:
            state.should_stop = 0
        self._wake()

    def stop(self) -> None:
        """Take no more messages; does not wait."""
        with self._lock:
            self._stopping.set()
            state.should_stop = 0
        self._wake()

    def join(self, timeout_s: float) -> None:
        """Wait until every message is acknowledged or returned, `timeout_s` seconds at most."""
        self._thread.join(timeout_s)

    def _wake(self) -> None:
        hub = getattr(self._worker, "hub", None)
        if hub is not None:
            hub.call_soon(lambda: None)  # It may be asleep for up to a second.

    def _consume(self) -> None:
        failures = 0
        while self._may_begin():
            # No gossip with other workers: who is alive, the roster tells.
            self._worker = WorkController(
                app=self._app,
                concurrency=self._slots,
                pool="threads",
                consumer_cls=_PlainConsumer,
                without_gossip=True,
                without_mingle=True,
                without_heartbeat=True,
            )
            began = time.monotonic()
            try:
                self._worker.start()
            except Exception as error:
                logger.exception("The consumer failed; it begins anew: %s", error)
            lasted = time.monotonic() - began > _RESTART_PAUSES_S[-1]
            failures = 1 if lasted else failures + 1
            self._stopping.wait(_RESTART_PAUSES_S[min(failures, len(_RESTART_PAUSES_S)) - 1])

    def _may_begin(self) -> bool:
        with self._lock:
            if self._stopping.is_set():
                return False
            state.should_stop = None
            self.generation += 1
        return True


class _PlainConsumer(CeleryConsumer):  # type: ignore[misc]
    class Blueprint(CeleryConsumer.Blueprint):  # type: ignore[misc]
        # Nothing is sent with a delay, for which that step would keep 28 queues on RabbitMQ.
        default_steps: ClassVar = [
            step for step in CeleryConsumer.Blueprint.default_steps if "delayed_delivery" not in str(step)
        ]

    def ensure_connected(self, connection: Any) -> Any:
        # Celery's own pauses grow up to half a minute.
        pauses = {"interval_start": 0.5, "interval_step": 0.5, "interval_max": 2}
        connected = connection.ensure_connection(self._on_failure, callback=state.maybe_shutdown, **pauses)
        self.first_connection_attempt = False
        return connected

    @staticmethod
    def _on_failure(error: Exception, pause_s: float) -> None:
        logger.warning("The broker does not answer, trying again in %.1f s: %s", pause_s, error)


def _make_app(url: str) -> Celery:
    app = Celery("tailrace", broker=url, set_as_current=False)
    on_redis = _on_redis(url)
    app.conf.update(
        accept_content=["json"],
        task_serializer="json",
        task_ignore_result=True,
        task_acks_late=True,
        # A poison job would come back for ever; but no process of Celery's runs jobs, so none is ever lost.
        task_reject_on_worker_lost=False,
        task_publish_retry=False,
        worker_prefetch_multiplier=1,
        worker_disable_prefetch=on_redis,
        worker_enable_remote_control=False,
        worker_cancel_long_running_tasks_on_connection_loss=False,
        broker_connection_timeout=_ANSWER_WITHIN_S,
        broker_connection_retry_on_startup=True,
        broker_heartbeat=10,
        broker_transport_options=_options(url),
    )
    return app


def _options(url: str) -> dict[str, Any]:
    if not _on_redis(url):
        return {"confirm_publish": True}
    return {
        "visibility_timeout": _VISIBLE_AGAIN_AFTER_S,
        "socket_connect_timeout": _ANSWER_WITHIN_S,
        "socket_keepalive": True,
        "health_check_interval": 10,
    }


def _queue(url: str, prefix: str, name: str) -> Any:
    # The anonymous exchange leads to every queue by its name: there are no bindings that a broker could lose.
    full = f"{prefix}.{name}"
    arguments = None if _on_redis(url) else _QUORUM
    anonymous = Exchange("")  # type: ignore[no-untyped-call]  # the library gives it no types
    return Queue(full, anonymous, routing_key=full, queue_arguments=arguments)  # type: ignore[no-untyped-call]  # as above


def _on_redis(url: str) -> bool:
    return urlsplit(url).scheme.startswith("redis")
