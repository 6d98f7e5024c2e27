"""The worker process: runs one job at a time for its supervisor, at the other end of a socket.

The main thread runs jobs. A second thread listens, so that a request to stop arrives while a job runs, and ends the
whole process when the supervisor is gone: its jobs are about to be run again.
"""

import json
import logging
import math
import os
import signal
import socket
import sys
import threading
import time
from collections import deque
from collections.abc import Callable
from types import FrameType
from typing import Any

from tailrace.database import utcnow
from tailrace.jobs.context import JobContext
from tailrace.jobs.engines.launch import load_app
from tailrace.jobs.engines.processes.limits import memory_limit
from tailrace.jobs.engines.processes.messages import Message, encode
from tailrace.jobs.errors import JobCancelled, JobInterrupted, JobStopped, LeaseLost, TimeLimitExceeded
from tailrace.jobs.runs import Run
from tailrace.jobs.worker import Ending, JobApp, Outcome, run

_PROGRESS_EVERY_S = 0.1
_STOPS: dict[str, type[JobStopped]] = {
    "cancelled": JobCancelled,
    "interrupted": JobInterrupted,
    "timeout": TimeLimitExceeded,
    "lost": LeaseLost,
}


class Worker:
    """Runs the jobs that arrive on a socket."""

    def __init__(self, app: JobApp[Any], supervisor: socket.socket) -> None:
        self._app = app
        self._kinds = {kind.name: kind for kind in app.kinds}
        self._channel = _Channel(supervisor)
        self._supervisor = supervisor
        self._orders = _Orders()
        self._stop: tuple[Run, JobStopped] | None = None
        self._run: Run | None = None
        self._lease_until = math.inf
        self._terminated = False

    def work(self) -> None:
        """Run jobs until the supervisor closes the socket, or a run had to be ended by a signal."""
        signal.signal(signal.SIGINT, signal.SIG_IGN)
        signal.signal(signal.SIGTERM, self._on_terminate)
        logging.getLogger().addHandler(_LogHandler(self._channel, lambda: self._run[0] if self._run else None))
        threading.Thread(target=self._listen, name="supervisor", daemon=True).start()
        self._channel.send(["ready"])
        while not self._terminated:
            self._execute(self._orders.take())
        os._exit(0)

    def _execute(self, order: dict[str, Any]) -> None:
        kind = self._kinds[order["kind"]]
        progress = _Progress(self._channel, order["id"])
        context = JobContext(
            job_id=order["id"],
            attempt=order["attempt"],
            resources=self._app.resources,
            database=self._app.database,
            reporter=progress,
            stop_reason=self._stop_reason,
        )
        self._channel.send(["began", order["id"]])
        self._run = (order["id"], order["attempt"])
        try:
            with memory_limit(kind.memory_mb):
                outcome = run(kind, context, order["args"])
        except JobStopped:  # The signal came just outside the job's function.
            outcome = Outcome(Ending.INTERRUPTED)
        finally:
            self._run = None
        progress.flush()
        self._channel.send(["ended", order["id"], outcome.ending, outcome.error, outcome.delay_s])

    def _stop_reason(self) -> JobStopped | None:
        if self._stop is not None and self._stop[0] == self._run:
            return self._stop[1]
        if time.monotonic() > self._lease_until:
            # The supervisor could not extend the lease in time, so another run may have begun by now.
            return LeaseLost("The database did not answer for as long as the lease allows.")
        return None

    def _on_terminate(self, _signal: int, _frame: FrameType | None) -> None:
        reason = self._stop_reason()
        if reason is not None:
            # It may strike where a lock or a connection is taken: no other job is to find what that leaves behind.
            self._terminated = True
            self._channel.raise_when_whole(reason)

    def _listen(self) -> None:
        try:
            with self._supervisor.makefile("rb") as lines:
                for line in lines:
                    self._obey(line)
        finally:
            # However the supervisor went: a reset is no orderly end of file.
            os._exit(0)

    def _obey(self, line: bytes) -> None:
        match json.loads(line):
            case ["run", order]:
                self._orders.put(order)
            case ["recall", job_ids]:
                self._channel.send(["recalled", [job_id for job_id in job_ids if self._orders.drop(job_id)]])
            case ["lease", until]:
                self._lease_until = until
            case ["stop", job_id, attempt, reason, sentence]:
                # It may come before the run begins, or after it ended; the next run of the same job is another.
                self._stop = ((job_id, attempt), _STOPS[reason](sentence))


class _Orders:
    """The jobs that wait for the one that runs."""

    def __init__(self) -> None:
        self._waiting: deque[dict[str, Any]] = deque()
        self._changed = threading.Condition()

    def put(self, order: dict[str, Any]) -> None:
        with self._changed:
            self._waiting.append(order)
            self._changed.notify()

    def take(self) -> dict[str, Any]:
        with self._changed:
            while not self._waiting:
                self._changed.wait()
            return self._waiting.popleft()

    def drop(self, job_id: str) -> bool:
        """Remove an order; False if it has begun already."""
        with self._changed:
            order = next((order for order in self._waiting if order["id"] == job_id), None)
            if order is not None:
                self._waiting.remove(order)
            return order is not None


class _Channel:
    """The way to the supervisor, safe from threads and from a signal handler that raises in the midst of a message."""

    def __init__(self, supervisor: socket.socket) -> None:
        self._supervisor = supervisor
        self._lock = threading.RLock()
        self._sending = False
        self._postponed: JobStopped | None = None

    def send(self, message: Message) -> None:
        data = encode(message)
        with self._lock:
            in_main = threading.current_thread() is threading.main_thread()
            self._sending = in_main
            try:
                self._supervisor.sendall(data)
            except OSError:
                os._exit(0)
            self._sending = False
        if in_main and self._postponed is not None:
            postponed, self._postponed = self._postponed, None
            raise postponed

    def raise_when_whole(self, reason: JobStopped) -> None:
        """Raise now, in the main thread, or as soon as the message on its way is out."""
        if self._sending:
            self._postponed = reason
        else:
            raise reason


class _Progress:
    """Sends at most ten values a second, and always the last one."""

    def __init__(self, channel: _Channel, job_id: str) -> None:
        self._channel = channel
        self._job_id = job_id
        self._sent_at = 0.0
        self._last: Message | None = None
        self._lock = threading.Lock()
        self._timer: threading.Timer | None = None

    def progress(self, done: int, total: int | None, note: str) -> None:
        self._last = ["progress", self._job_id, done, total, note]
        if time.monotonic() - self._sent_at >= _PROGRESS_EVERY_S:
            self.flush()
        elif self._timer is None:
            self._timer = threading.Timer(_PROGRESS_EVERY_S, self.flush)
            self._timer.daemon = True
            self._timer.start()

    def flush(self) -> None:
        # The timer's thread must not send a value after a later one.
        with self._lock:
            last, self._last, self._timer = self._last, None, None
            if last is not None:
                self._sent_at = time.monotonic()
                self._channel.send(last)


class _LogHandler(logging.Handler):
    """Sends what a job logs to the supervisor, which makes it part of the job's record."""

    def __init__(self, channel: _Channel, job_id: Callable[[], str | None]) -> None:
        super().__init__(logging.INFO)
        self._channel = channel
        self._job_id = job_id

    def emit(self, record: logging.LogRecord) -> None:
        job_id = self._job_id()
        if job_id is None:
            return
        line = {"level": record.levelname, "logger": record.name, "message": self.format(record)}
        self._channel.send(["log", job_id, {**line, "at": utcnow().isoformat()}])


def main() -> None:
    """Run as `python -m tailrace.jobs.engines.processes.child MODULE:NAME DESCRIPTOR`."""
    descriptor = int(sys.argv[2])
    os.set_inheritable(descriptor, False)
    supervisor = socket.socket(fileno=descriptor)
    app = load_app(sys.argv[1])
    root = logging.getLogger()
    root.setLevel(min(root.level or logging.INFO, logging.INFO))
    Worker(app, supervisor).work()


if __name__ == "__main__":
    main()
