"""An API on one host, workers on two others, PostgreSQL and Redis on a fourth; the cables between them are pulled."""

import contextlib
import os
import subprocess
import sys
import threading
import time
from collections import Counter
from collections.abc import Iterator
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import httpx2
import pytest
from sqlalchemy import text

from tests.brokers import RedisServer
from tests.hosts import Host, Network
from tests.jobs.worlds import World, until
from tests.services import PostgresServer

pytestmark = pytest.mark.acceptance
JOBS = 1000
TOGETHER = 12
# So many that both hosts are busy with nothing else, for so long that a cable can be pulled meanwhile.
LONG, LONG_S = 4, 4
LEASE_S = 6
CUT_S = 60
RECOVERY_S = 45
# How long a thousand jobs take is the machine's affair.
DONE_WITHIN_S = 150
_API = ("tests.jobs.api_for_tests:make_api", "--log-level", "warning")
_ENGINE = ("tailrace.jobs.engines.celery", "tests.jobs.kinds_for_tests:make_app")


@dataclass
class Installation:
    """What runs on the hosts."""

    world: World
    api: Host
    first: Host
    second: Host

    def ask(self, path: Path) -> None:
        """Ask the API for all jobs, some with each request, the long ones first; every request must be accepted."""
        durations_s = [LONG_S] * LONG + [0.02] * (JOBS - LONG)
        with httpx2.Client(base_url=f"http://{self.api.address}:8000", timeout=RECOVERY_S) as client:
            for first in (0, *range(LONG, JOBS, TOGETHER)):
                some = durations_s[first : first + TOGETHER] if first else durations_s[:LONG]
                body = [{"path": str(path), "seconds": seconds} for seconds in some]
                client.post("/jobs", json=body).raise_for_status()

    def select(self, statement: str, **values: Any) -> list[Any]:
        """Return the first column of what this statement finds."""
        with self.world.database.read() as session:
            return list(session.execute(text(statement), values).scalars())


@pytest.fixture
def installation() -> Iterator[Installation]:
    with contextlib.ExitStack() as stack:
        network = stack.enter_context(Network())
        postgres, redis = PostgresServer(), RedisServer(address=network.address)
        stack.callback(postgres.remove)
        stack.callback(redis.remove)
        with (postgres.folder / "data" / "pg_hba.conf").open("a") as rules:
            rules.write("host all all samenet trust\n")
        postgres.start("-h", network.address)
        world = World(f"postgresql+psycopg://postgres@{network.address}/postgres", redis.start())
        stack.callback(world.close)
        api, first, second = (network.add() for _ in range(3))
        stack.enter_context(_running(api, world, "uvicorn", "--factory", *_API, "--host", api.address))
        options = ("--broker", str(world.broker), "--prefix", world.prefix, "--lease", str(LEASE_S))
        # One after the other: the first leads, so the lead goes over too when it is cut off.
        stack.enter_context(_running(first, world, *_ENGINE, *options))
        until(world.alive)
        stack.enter_context(_running(second, world, *_ENGINE, *options))
        until(lambda: len(world.alive()) == 2)
        yield Installation(world, api, first, second)


def test_a_thousand_jobs_are_done_once_each_while_cables_are_pulled(installation: Installation, tmp_path: Path) -> None:
    """Fault: one worker's host is cut off for a minute, ten times its leases, the API's and the other's for moments."""
    with ThreadPoolExecutor(1) as aside:
        asking = aside.submit(installation.ask, tmp_path / "spans")
        until(lambda: len(installation.select("SELECT id FROM jobs WHERE state = 'running'")) == LONG)
        installation.first.cut()
        cut_at = time.monotonic()
        for host, pause_s in ((installation.api, 1), (installation.second, 2)):
            host.cut()
            threading.Event().wait(pause_s)
            host.heal()
        until(lambda: installation.select("SELECT id FROM jobs WHERE crashes > 0"), RECOVERY_S)
        # Long enough that its connections to the database are dead by all clocks, and not only its leases.
        threading.Event().wait(max(0.0, cut_at + CUT_S - time.monotonic()))
        (healed,) = installation.select("SELECT now()")
        installation.first.heal()
        asking.result()
    until(lambda: len(_completed(installation)) == JOBS, DONE_WITHIN_S)
    _check_each(installation)
    back = "SELECT id FROM job_engines WHERE seen_at > :healed AND trouble IS NULL"
    until(lambda: len(installation.select(back, healed=healed)) == 2, RECOVERY_S)


def _completed(installation: Installation) -> list[Any]:
    return installation.select("SELECT id FROM jobs WHERE state = 'completed'")


def _check_each(installation: Installation) -> None:
    """Each job was completed once, and what was lost on the way is told of it."""
    told = "SELECT channel FROM events WHERE name = 'state' AND data LIKE :what"
    completed = Counter(installation.select(told, what='%"state":"completed"%'))
    assert (len(completed), set(completed.values())) == (JOBS, {1})
    lost = Counter(installation.select(told, what='%"state":"available"%was not heard of%'))
    assert lost == Counter(installation.select("SELECT 'job:' || id FROM jobs, generate_series(1, crashes)"))


@contextlib.contextmanager
def _running(host: Host, world: World, *module: str) -> Iterator[None]:
    """Run a module of Python on a host."""
    environment = {**os.environ, "TESTS_JOBS_DATABASE": world.url}
    with subprocess.Popen([*host.prefix, sys.executable, "-m", *module], env=environment) as process:
        try:
            yield
        finally:
            process.terminate()
            with contextlib.suppress(subprocess.TimeoutExpired):
                process.wait(15)
            process.kill()
