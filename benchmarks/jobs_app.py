"""What the workers of the benchmarks of jobs run."""

import hashlib
import os
import time

from tailrace.database import Database
from tailrace.jobs import JobApp, JobContext, job
from tailrace.streams import record


@job("benchmark.noop")
def noop(_ctx: JobContext[None]) -> None:
    """Do nothing."""


@job("benchmark.tell_time")
def tell_time(ctx: JobContext[None]) -> None:
    """Report when it began, as the time in microseconds."""
    ctx.progress(time.time_ns() // 1000)


@job("benchmark.compute")
def compute(_ctx: JobContext[None]) -> None:
    """Keep a core busy, for about 20 ms on a machine of 2024."""
    hashlib.pbkdf2_hmac("sha256", b"password", b"salt", 50_000)


def make() -> JobApp[None]:
    """Make the application on the database that the environment names."""
    return JobApp(Database(os.environ["BENCHMARK_DATABASE"], record=record), [noop, tell_time, compute], None)
