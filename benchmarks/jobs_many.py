"""No-op jobs a second through the Celery engine, beside bare Celery with late acks on the same Redis.

Both run two worker processes, in turns. Tailrace works on a PostgreSQL that writes every commit to the disk, and there
each job is a row, claimed and completed by compare-and-set, with an event for each change of its state.

    python -m benchmarks.jobs_many [--quick]
"""

import argparse
import contextlib
import os
import statistics
import tempfile
from collections.abc import Iterator
from pathlib import Path

from sqlalchemy import make_url

from benchmarks import jobs_app
from benchmarks.jobs import WORKERS, celery_rate, celery_worker, enqueue_in_hundreds, enqueue_one_by_one, tailrace_rate
from tailrace.database import Base, Database
from tailrace.jobs.engines.launch import EngineProcess
from tests.services import PostgresServer

GOAL = 0.5


def main() -> None:
    """Run the rows in turns and print their medians."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--quick", action="store_true", help="a small run, to see that it works")
    quick = parser.parse_args().quick
    count, rounds = (500, 1) if quick else (5_000, 3)
    rates: dict[str, list[float]] = {"bare": [], "hundreds": [], "single": []}
    with tempfile.TemporaryDirectory() as folder, celery_worker(Path(folder)) as redis, celery_engine() as database:
        for _ in range(rounds):
            rates["bare"].append(celery_rate(redis, count))
            rates["hundreds"].append(tailrace_rate(database, count, enqueue_in_hundreds))
            rates["single"].append(tailrace_rate(database, count, enqueue_one_by_one))
    bare = statistics.median(rates["bare"])
    print(f"no-op jobs a second through Redis, enqueued, run and completed ({count:,} jobs, median of {rounds})")
    print(f"  bare celery, late acks                {bare:8.0f}    1.00")
    for name, title in (("hundreds", "100 jobs a commit"), ("single", "one job a commit")):
        rate = statistics.median(rates[name])
        print(f"  tailrace on celery, {title:<17} {rate:8.0f}    {rate / bare:.2f}, goal {GOAL}")


@contextlib.contextmanager
def celery_engine() -> Iterator[Database]:
    """Run the Celery engine on a new PostgreSQL, through the Redis that BENCHMARK_BROKER names."""
    postgres = PostgresServer()
    try:
        address = make_url(postgres.start("-c", "fsync=on")).set(drivername="postgresql+psycopg")
        os.environ["BENCHMARK_DATABASE"] = address.render_as_string(hide_password=False)
        app = jobs_app.make()
        Base.metadata.create_all(app.database.engine)
        options = ["--broker", os.environ["BENCHMARK_BROKER"]]
        engine = EngineProcess("benchmarks.jobs_app:make", adapter="celery", workers=WORKERS, options=options)
        try:
            tailrace_rate(app.database, 200, enqueue_in_hundreds)
            yield app.database
        finally:
            engine.stop()
            app.database.dispose()
    finally:
        postgres.remove()


if __name__ == "__main__":
    main()
