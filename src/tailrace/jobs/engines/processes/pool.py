"""The worker processes: kept at their number, listened to, held to their limits, and sent home."""

import logging
import selectors
import time
from collections.abc import Collection, Mapping

from tailrace.jobs.engines.handful import LONG_WAIT_S, MeanRun
from tailrace.jobs.engines.journal import Journal
from tailrace.jobs.engines.processes.messages import Message
from tailrace.jobs.engines.processes.process import INTERRUPT, LOST, StopRequest, WorkerProcess, time_limit
from tailrace.jobs.kinds import JobKind
from tailrace.jobs.models import Job
from tailrace.jobs.runs import Run
from tailrace.jobs.worker import Ending, Outcome

_SPAWN_PAUSE_S = (0.0, 0.5, 1.0, 2.0, 5.0)

logger = logging.getLogger(__name__)


class WorkerPool:
    """The workers of one engine. What they report goes into the journal."""

    def __init__(
        self, spec: str, size: int, kinds: Mapping[str, JobKind], journal: Journal, selector: selectors.BaseSelector
    ) -> None:
        """Prepare `size` workers for the JobApp that `spec` names; `selector` is told of their sockets."""
        self._spec = spec
        self._size = size
        self._kinds = kinds
        self._journal = journal
        self._selector = selector
        self._workers: list[WorkerProcess] = []
        self._stillborn = 0
        self._spawn_at = 0.0
        self._mean_run = MeanRun()
        self._to_give_alone = 0

    @property
    def has_idle(self) -> bool:
        """Whether a worker could begin a job now."""
        return any(worker.ready and not worker.jobs for worker in self._workers)

    @property
    def is_empty(self) -> bool:
        """Whether no worker has a job."""
        return not any(worker.jobs for worker in self._workers)

    @property
    def stopping(self) -> bool:
        """Whether a run was asked to stop and has not yet."""
        return any(worker.job is not None and worker.stopping for worker in self._workers)

    @property
    def mean_run_s(self) -> float:
        """How long the last runs took on average; those that run on are counted as soon as they are long."""
        return self._mean_run.seconds

    def fill(self, now: float) -> None:
        """Start the workers that are missing; ever more slowly while they die before they are ready."""
        while len(self._workers) < self._size and now >= self._spawn_at:
            worker = WorkerProcess(self._spec)
            self._selector.register(worker.fileno(), selectors.EVENT_READ, worker)
            self._workers.append(worker)

    def room(self, depth: int) -> int:
        """Return how many jobs could be given if each worker had `depth` of them.

        It is as if `depth` were 1 until as many were given as did not begin where they were: those are the next.
        """
        depth = 1 if self._to_give_alone else depth
        now = time.monotonic()
        return sum(max(0, depth - len(worker.jobs)) for worker in self._workers if worker.has_short_wait(now))

    @property
    def runs(self) -> set[Run]:
        """The runs that workers have, begun or not."""
        return {(job.id, job.attempt) for worker in self._workers for job in worker.jobs}

    def give(self, job: Job, lease_until: float | None) -> None:
        """Hand a job to the worker with the fewest; one must be ready. See `limit_to` for the lease."""
        now = time.monotonic()
        ready = [worker for worker in self._workers if worker.ready]
        # A commit may have taken long enough for all of them to be at long jobs.
        worker = min(ready, key=lambda worker: (not worker.has_short_wait(now), len(worker.jobs)))
        self._to_give_alone = max(0, self._to_give_alone - 1)
        if lease_until is not None and not worker.jobs:
            worker.limit_to(lease_until)
        worker.give(job)

    def limit_to(self, lease_until: float) -> None:
        """Tell the workers to give their runs up at `lease_until`, on the monotonic clock, unless told otherwise."""
        for worker in self._workers:
            if worker.jobs:
                worker.limit_to(lease_until)

    def lose(self, lost: Collection[Run]) -> None:
        """Begin to end runs whose jobs belong to another run now."""
        for worker in self._workers:
            if worker.job is not None and (worker.job.id, worker.job.attempt) in lost:
                worker.ask_to_stop(LOST)

    def collect(self) -> None:
        """Take note of everything that workers have reported, and of those that are gone."""
        for worker in list(self._workers):
            try:
                for message in worker.read():
                    self._note(worker, message)
            except EOFError:
                self._bury(worker)

    def enforce(self, now: float) -> None:
        """Begin to end runs that reached their limit on time, go on with those asked to stop, free those that wait."""
        for worker in self._workers:
            if worker.job is None:
                continue
            limit_s = self._kinds[worker.job.kind].timeout_s
            if now - worker.began > limit_s:
                worker.ask_to_stop(time_limit(limit_s))
            if now - worker.began > LONG_WAIT_S:
                self._count_run(worker)
                worker.recall()
            worker.escalate(now)

    def stop_run(self, job_id: str, request: StopRequest) -> None:
        """Begin to end the run of a job, if it is one of ours."""
        for worker in self._workers:
            if worker.job is not None and worker.job.id == job_id:
                worker.ask_to_stop(request)

    def interrupt_all(self) -> None:
        """Begin to end every run, because the engine stops."""
        for worker in self._workers:
            worker.recall()
            worker.ask_to_stop(INTERRUPT)

    def close(self) -> None:
        """End every worker; a job still running is the next engine's to take back."""
        for worker in self._workers:
            self._selector.unregister(worker.fileno())
            worker.close()
        self._workers.clear()

    def _note(self, worker: WorkerProcess, message: Message) -> None:
        job = worker.job
        match message:
            case ["ready"]:
                worker.ready, self._stillborn = True, 0
            case ["began", job_id] if job is not None and job.id == job_id:
                worker.has_begun = True
            case ["progress", job_id, done, total, note] if job is not None and job.id == job_id:
                self._journal.progress(job, done, total, note)
            case ["log", job_id, line] if job is not None and job.id == job_id:
                self._journal.log(job, line)
            case ["ended", job_id, ending, error, delay_s] if job is not None and job.id == job_id:
                self._count_run(worker)
                self._journal.end(job, Outcome(Ending(ending), error, delay_s))
                worker.release()
            case ["recalled", job_ids]:
                recalled = [job for job in worker.jobs if job.id in job_ids]
                for job in recalled:
                    worker.jobs.remove(job)
                self._give_back(recalled)

    def _count_run(self, worker: WorkerProcess) -> None:
        if not worker.is_counted:
            worker.is_counted = True
            self._mean_run.add(time.monotonic() - worker.began)

    def _give_back(self, jobs: Collection[Job]) -> None:
        self._to_give_alone += len(jobs)
        for job in jobs:
            self._journal.end(job, Outcome(Ending.INTERRUPTED))

    def _bury(self, worker: WorkerProcess) -> None:
        self._selector.unregister(worker.fileno())
        self._workers.remove(worker)
        outcome = worker.bury()
        if worker.job is not None:
            logger.warning("Job %s (%s): %s", worker.job.id, worker.job.kind, outcome.error or outcome.ending)
            self._journal.end(worker.jobs.popleft(), outcome)
            self._give_back(worker.jobs)
        elif not worker.ready:
            self._stillborn += 1
            pause = _SPAWN_PAUSE_S[min(self._stillborn, len(_SPAWN_PAUSE_S) - 1)]
            logger.error("A worker ended before it was ready; the next one is started in %g s", pause)
            self._spawn_at = time.monotonic() + pause
