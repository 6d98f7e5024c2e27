"""An engine, its database and its broker, as real processes: what every test of engines needs."""

import json
import secrets
import threading
import time
from collections.abc import Callable
from dataclasses import dataclass, field
from typing import Any

import psutil
import pytest

from tailrace.database import Base, Database
from tailrace.jobs import EngineInfo, Job, JobKind, State, channel_of, enqueue, get_job, list_engines
from tailrace.jobs.engines.launch import EngineProcess
from tailrace.jobs.models import ENGINES, JOBS
from tailrace.streams import read_events, record

SPEC = "tests.jobs.kinds_for_tests:make_app"
SOON_S = 45.0
LEASE_S = 3.0


def until(condition: Callable[[], Any], within_s: float = SOON_S) -> Any:
    """Wait until `condition` gives something true, and return that."""
    deadline = time.monotonic() + within_s
    while not (result := condition()):
        assert time.monotonic() < deadline, "It did not happen in time."
        threading.Event().wait(0.02)
    return result


def open_database(url: str) -> Database:
    """Open a database and make the tables of jobs and of events."""
    database = Database(url, record=record)
    Base.metadata.create_all(database.engine, tables=[JOBS, ENGINES, Base.metadata.tables["events"]])
    return database


@dataclass
class World:
    """One database, engines on it, and what tests ask of them."""

    url: str
    broker: str | None = None
    prefix: str = field(default_factory=lambda: f"tests-{secrets.token_hex(4)}")
    engines: list[EngineProcess] = field(default_factory=list)

    def __post_init__(self) -> None:
        self.database = open_database(self.url)

    @property
    def many(self) -> bool:
        """Whether any number of engines may run at once."""
        return self.broker is not None

    def start(self, *options: str, workers: int = 2, **variables: str) -> EngineProcess:
        """Start an engine with these options and environment variables; by default it opens the world's database."""
        adapter, own = "local", []
        if self.broker is not None:
            adapter, own = "celery", ["--broker", self.broker, "--prefix", self.prefix, "--lease", str(LEASE_S)]
        with pytest.MonkeyPatch.context() as patch:
            for name, value in {"TESTS_JOBS_DATABASE": self.url, **variables}.items():
                patch.setenv(name, value)
            engine = EngineProcess(SPEC, adapter=adapter, workers=workers, options=[*own, *options])
        self.engines.append(engine)
        return engine

    def running(self) -> EngineProcess:
        """Return an engine that runs: the one that did, or a new one."""
        alive = [engine for engine in self.engines if engine.exit_code is None]
        return alive[0] if alive else self.start()

    def close(self) -> None:
        """Stop everything."""
        for engine in self.engines:
            engine.stop()
        self.database.dispose()

    def put(self, kind: JobKind, **args: Any) -> Job:
        """Enqueue a job."""
        with self.database.write() as session:
            return enqueue(session, kind, args)

    def look(self, job: Job) -> Job:
        """Return a job as it is now."""
        with self.database.read() as session:
            return get_job(session, job.id)

    def finished(self, job: Job, within_s: float = SOON_S) -> Job:
        """Return a job once it has come to an end."""
        until(lambda: self.look(job).finished, within_s)
        return self.look(job)

    def begun(self, job: Job) -> Job:
        """Return a job once it runs and has told of progress."""
        until(lambda: (now := self.look(job)).state is State.RUNNING and now.progress_done)
        return self.look(job)

    def told(self, job: Job, name: str) -> list[dict[str, Any]]:
        """Return the data of a job's events of that name."""
        with self.database.read() as session:
            events = read_events(session, channels=[channel_of(job.id)], after=None, limit=1000)
        return [json.loads(event.data) for event in events if event.name == name]

    def alive(self) -> list[EngineInfo]:
        """Return the engines that were heard of lately."""
        with self.database.read() as session:
            return [engine for engine in list_engines(session) if engine.alive]


def worker_pids(engine: EngineProcess) -> list[int]:
    """Return the processes in which an engine runs jobs."""
    return [child.pid for child in psutil.Process(engine.pid).children()]


class KeptRunning(threading.Thread):
    """Starts an engine again whenever the last one has ended, as systemd does; use it as a context manager."""

    def __init__(self, world: World) -> None:
        super().__init__(daemon=True)
        self._world = world
        self._stopping = threading.Event()

    def __enter__(self) -> None:
        self.start()

    def __exit__(self, *_: object) -> None:
        self._stopping.set()
        self.join()

    def run(self) -> None:
        """Look five times a second."""
        while not self._stopping.wait(0.2):
            self._world.running()
