"""What a second process adds: requests a second of one and of two APIs, jobs a second of one and of two workers.

Everything is on this machine, PostgreSQL (which writes every commit to the disk), Redis and the clients too, so on two
cores the second process has only what these leave. Each row is the median of rounds in which one and two take turns.
The last two columns are the processor time that each request or job took with one process: its own, and PostgreSQL's.

    python -m benchmarks.scaling [--quick]
"""

import argparse
import contextlib
import http.client
import json
import os
import statistics
import tempfile
import time
from collections.abc import Callable, Iterator, Sequence
from concurrent.futures import ProcessPoolExecutor
from dataclasses import dataclass
from functools import partial
from pathlib import Path
from urllib.parse import urlsplit

import psutil
from sqlalchemy import make_url

from benchmarks import jobs_app
from benchmarks.jobs import enqueue_in_hundreds, tailrace_rate, wait_until
from benchmarks.service import EMAIL, running_service, tailrace
from tailrace.database import Base, Database
from tailrace.jobs import enqueue_many, list_engines
from tailrace.jobs.engines.launch import EngineProcess
from tests.brokers import RedisServer
from tests.services import PostgresServer

CLIENTS = 8
TASKS = 20_000


@dataclass(frozen=True)
class Measured:
    """How many requests or jobs there were a second, and what each took of a core, in milliseconds."""

    rate: float
    own_ms: float
    database_ms: float


@dataclass(frozen=True)
class Request:
    """A request that is sent again and again."""

    method: str
    path: str
    body: bytes | None = None


def main() -> None:
    """Measure both, and print them."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--quick", action="store_true", help="a small run, to see that it works")
    quick = parser.parse_args().quick
    print(f"{f'on {os.cpu_count()} cores':<32} {'one':>8} {'two':>8} {'factor':>8} {'ms':>8} {'database':>9}")
    with running_servers() as (database, broker):
        measure_apis(database, broker, 0.5 if quick else 5.0, 1 if quick else 3)
    with running_servers() as (database, broker):
        measure_workers(database, broker, 100 if quick else 1_000, 1 if quick else 3)


@contextlib.contextmanager
def running_servers() -> Iterator[tuple[str, str]]:
    """Run a new PostgreSQL and a new Redis, and give their addresses."""
    with contextlib.ExitStack() as stack:
        postgres, redis = PostgresServer(), RedisServer()
        stack.callback(postgres.remove)
        stack.callback(redis.remove)
        yield postgres.start("-c", "fsync=on"), redis.start()


def measure_apis(address: str, broker: str, seconds: float, rounds: int) -> None:
    """Print the requests a second that one and two processes of `tailrace serve` answer."""
    os.environ |= {"TAILRACE_DATABASE_URL": address, "TAILRACE_ENGINE": "celery", "TAILRACE_BROKER_URL": broker}
    with tempfile.TemporaryDirectory() as folder:
        data = Path(folder, "data")
        with running_service(data) as (first, _), running_service(data) as (second, _):
            tailrace(data, "user", "create", EMAIL, "--admin", "--password-stdin", stdin="correct horse battery")
            token = tailrace(data, "token", "create", EMAIL).strip()
            tailrace(data, "demo", "--tasks", str(TASKS), "--user", EMAIL)
            task = json.dumps({"title": "Measure the second process"}).encode()
            for title, request in (
                ("requests/s, a page of 50 tasks", Request("GET", "/tasks?limit=50")),
                ("requests/s, one task", Request("GET", f"/tasks/{TASKS}")),
                ("requests/s, a new task", Request("POST", "/projects/1/tasks", task)),
            ):
                one_and_two = [partial(load, urls, token, request, seconds) for urls in ([first], [first, second])]
                compare(title, one_and_two, rounds)


def measure_workers(address: str, broker: str, count: int, rounds: int) -> None:
    """Print the jobs a second that one and two engines run, each with one worker process."""
    url = make_url(address).set(drivername="postgresql+psycopg").render_as_string(hide_password=False)
    os.environ["BENCHMARK_DATABASE"] = url
    database = jobs_app.make().database
    Base.metadata.create_all(database.engine)
    for title, enqueue_all in (
        ("jobs/s that compute for 20 ms", enqueue_computing),
        ("no-op jobs/s, 100 a commit", enqueue_in_hundreds),
    ):
        compare(title, [partial(rate_of, engines, database, broker, count, enqueue_all) for engines in (1, 2)], rounds)
    database.dispose()


def compare(title: str, measurements: Sequence[Callable[[], Measured]], rounds: int) -> None:
    """Let the measurements take turns, and print the median of each and the factor between them."""
    found = [[measure() for measure in measurements] for _ in range(rounds)]
    one, two = (statistics.median(each.rate for each in column) for column in zip(*found, strict=True))
    own_ms = statistics.median(first.own_ms for first, _ in found)
    database_ms = statistics.median(first.database_ms for first, _ in found)
    print(f"{title:<32} {one:8,.0f} {two:8,.0f} {two / one:8.2f} {own_ms:8.1f} {database_ms:9.1f}", flush=True)


def measured(work: Callable[[], tuple[int, float]]) -> Measured:
    """Return what `work`, which gives how much it did in how many seconds, took of the processes below this one."""
    own_s, database_s = busy_s()
    count, seconds = work()
    own_after_s, database_after_s = busy_s()
    return Measured(
        count / seconds, (own_after_s - own_s) / count * 1000, (database_after_s - database_s) / count * 1000
    )


def busy_s() -> tuple[float, float]:
    """Return the processor time of the processes of Tailrace, and of those of PostgreSQL, until now."""
    own = database = 0.0
    for process in psutil.Process().children(recursive=True):
        with contextlib.suppress(psutil.Error):
            name, command, times = process.name(), process.cmdline(), process.cpu_times()
            if name == "postgres":
                database += times.user + times.system
            elif any(argument.startswith("tailrace") for argument in command):
                own += times.user + times.system
    return own, database


def load(urls: Sequence[str], token: str, request: Request, seconds: float) -> Measured:
    """Measure how the request is answered when clients, each a process, send one after the other."""
    places = [urls[number % len(urls)] for number in range(CLIENTS)]
    with ProcessPoolExecutor(CLIENTS) as clients:
        return measured(lambda: (sum(clients.map(partial(send, token, request, seconds), places)), seconds))


def send(token: str, request: Request, seconds: float, url: str) -> int:
    """Send the request until the time is over, and return how often it was answered."""
    headers = {"Authorization": f"Bearer {token}", "Content-Type": "application/json"}
    connection = http.client.HTTPConnection(urlsplit(url).netloc)
    answered, until = 0, time.monotonic() + seconds
    with contextlib.closing(connection):
        while time.monotonic() < until:
            connection.request(request.method, request.path, request.body, headers)
            answer = connection.getresponse()
            answer.read()
            assert answer.status < 300, f"{request} was answered with {answer.status}"
            answered += 1
    return answered


def rate_of(
    engines: int, database: Database, broker: str, count: int, enqueue_all: Callable[[Database, int], None]
) -> Measured:
    """Measure the jobs of that many engines, which are started for it and are warm."""
    with contextlib.ExitStack() as stack:
        for _ in range(engines):
            stack.enter_context(running_engine(broker))
        wait_until(lambda: count_engines(database) == engines)
        tailrace_rate(database, 100, enqueue_computing)
        return measured(lambda: (count, count / tailrace_rate(database, count, enqueue_all)))


@contextlib.contextmanager
def running_engine(broker: str) -> Iterator[None]:
    """Run a Celery engine with one worker process."""
    engine = EngineProcess("benchmarks.jobs_app:make", adapter="celery", workers=1, options=["--broker", broker])
    try:
        yield
    finally:
        engine.stop()


def count_engines(database: Database) -> int:
    """Return how many engines there are."""
    with database.read() as session:
        return len(list_engines(session))


def enqueue_computing(database: Database, count: int) -> None:
    """Enqueue jobs that compute, in one transaction."""
    with database.write() as session:
        enqueue_many(session, jobs_app.compute, ({} for _ in range(count)))


if __name__ == "__main__":
    main()
