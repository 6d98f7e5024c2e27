"""A worker process as its supervisor sees it: started, given a job, told to stop, and ended if it does not."""

import signal
import socket
import subprocess
import sys
import time
from collections import deque
from collections.abc import Iterator
from dataclasses import dataclass

from tailrace.jobs.engines.handful import HANDFUL_S
from tailrace.jobs.engines.processes.messages import LineReader, Message, encode
from tailrace.jobs.models import Job
from tailrace.jobs.runs import Run
from tailrace.jobs.worker import Ending, Outcome

_SEND_WITHIN_S = 5.0


@dataclass(frozen=True, slots=True)
class StopRequest:
    """Why a run must end, and the patience for each step: the flag, then SIGTERM, then SIGKILL."""

    reason: str
    outcome: Outcome
    terminate_after_s: float
    kill_after_s: float


CANCEL = StopRequest("cancelled", Outcome(Ending.CANCELLED), terminate_after_s=10, kill_after_s=15)
LOST = StopRequest("lost", Outcome(Ending.LOST), terminate_after_s=0, kill_after_s=5)
INTERRUPT = StopRequest("interrupted", Outcome(Ending.INTERRUPTED), terminate_after_s=0.3, kill_after_s=1.2)


def time_limit(seconds: float) -> StopRequest:
    """Return the request to end a run that reached its limit on time."""
    outcome = Outcome(Ending.FAILED, f"It ran for longer than the {seconds:g} s that it may take.")
    return StopRequest("timeout", outcome, terminate_after_s=0, kill_after_s=5)


class WorkerProcess:
    """One worker process and the jobs it has: the first one runs, the others wait for it."""

    def __init__(self, spec: str) -> None:
        """Start a worker for the JobApp that `spec` names; it is of use once it says that it is ready."""
        ours, theirs = socket.socketpair()
        command = [sys.executable, "-m", "tailrace.jobs.engines.processes.child", spec, str(theirs.fileno())]
        self._process = subprocess.Popen(command, pass_fds=[theirs.fileno()], stdin=subprocess.DEVNULL)
        theirs.close()
        self._socket = ours
        self._reader = LineReader(ours)
        self.ready = False
        self.jobs: deque[Job] = deque()
        self._recalled: set[Run] = set()
        self.began = 0.0
        self.has_begun = False
        self.is_counted = False
        """Whether the time of the present run is in the average."""
        self._stop: StopRequest | None = None
        self._stop_since = 0.0
        self._terminated = False

    def fileno(self) -> int:
        """Return the descriptor that becomes readable when the worker has said something or is gone."""
        return self._socket.fileno()

    @property
    def job(self) -> Job | None:
        """The job that runs now."""
        return self.jobs[0] if self.jobs else None

    def has_short_wait(self, now: float) -> bool:
        """Whether a job given now will probably begin within a handful's time; `now` is monotonic."""
        return self.ready and (not self.jobs or now - self.began <= HANDFUL_S)

    def give(self, job: Job) -> None:
        """Hand over a job, to be run after those it has. A worker that does not take it is killed."""
        self.jobs.append(job)
        if len(self.jobs) == 1:
            self._begin()
        self._send(["run", {"id": job.id, "attempt": job.attempt, "kind": job.kind, "args": dict(job.args)}])

    def read(self) -> Iterator[Message]:
        """Yield what the worker has said; raises EOFError when it is gone."""
        return self._reader.read()

    def release(self) -> None:
        """Forget the job that ran; the next one has begun."""
        self.jobs.popleft()
        self._recalled &= {(job.id, job.attempt) for job in self.jobs}
        self._begin()

    def recall(self) -> None:
        """Ask for the jobs back that have not begun, each once; the worker says which, when it listens again."""
        # In one message: the socket takes no more than some hundred that are not read, however short.
        waiting = [job for job in list(self.jobs)[1:] if (job.id, job.attempt) not in self._recalled]
        if waiting:
            self._recalled |= {(job.id, job.attempt) for job in waiting}
            self._send(["recall", [job.id for job in waiting]])

    def limit_to(self, lease_until: float) -> None:
        """Tell until when, on the monotonic clock, its runs own their jobs."""
        self._send(["lease", lease_until])

    def ask_to_stop(self, request: StopRequest) -> None:
        """Begin to end the present run; the first request counts."""
        if self.job is not None and self._stop is None:
            self._stop, self._stop_since = request, time.monotonic()
            self._send(["stop", self.job.id, self.job.attempt, request.reason, request.outcome.error or ""])

    def escalate(self, now: float) -> None:
        """Take the next step against a run that was asked to stop and has not; `now` is monotonic."""
        if self.job is None or self._stop is None:
            return
        waited = now - self._stop_since
        if waited >= self._stop.kill_after_s:
            self._process.kill()
        elif waited >= self._stop.terminate_after_s and not self._terminated:
            self._terminated = True
            self._process.send_signal(signal.SIGTERM)

    @property
    def stopping(self) -> bool:
        """Whether the present run was asked to stop."""
        return self._stop is not None

    def bury(self) -> Outcome:
        """Wait for a worker that is gone and return how that ends its job."""
        self._process.kill()
        code = self._process.wait()
        self._socket.close()
        if self._stop is not None:
            return self._stop.outcome
        if not self.has_begun:
            return Outcome(Ending.INTERRUPTED)  # The job that waited for this worker is not to blame.
        how = f"was killed by {signal.Signals(-code).name}" if code < 0 else f"ended with exit code {code}"
        return Outcome(Ending.CRASHED, f"Its worker process {how}.")

    def close(self) -> None:
        """End an idle worker: it goes when its socket closes."""
        self._socket.close()
        try:
            self._process.wait(1)
        except subprocess.TimeoutExpired:
            self._process.kill()
            self._process.wait()

    def _begin(self) -> None:
        self.began, self.has_begun, self.is_counted = time.monotonic(), False, False
        self._stop, self._terminated = None, False

    def _send(self, message: Message) -> None:
        self._socket.settimeout(_SEND_WITHIN_S)
        try:
            self._socket.sendall(encode(message))
        except OSError:
            self._process.kill()
        finally:
            self._socket.settimeout(None)
