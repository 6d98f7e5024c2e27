"""Kinds of job that behave in every way a job can; worker processes of the tests load them by `make_app`."""

import logging
import os
import signal
import subprocess
import sys
import threading
import time
from pathlib import Path
from typing import Any

from sqlalchemy import text

from tailrace.database import Database
from tailrace.jobs import DoNotRetry, JobApp, JobContext, JobKind, LeaseLost, job
from tailrace.streams import record

Context = JobContext[Any]
UNSPEAKABLE = "caf\udce9.txt\0" + "x" * 10_000
_logger = logging.getLogger("tests.job")


@job("tests.failed", max_attempts=1)
def failed(ctx: Context, job_id: str, state: str, error: str, args: dict[str, Any]) -> None:
    """Stand for what an application does when a job has failed."""


@job("tests.note")
def note(ctx: Context, path: str, line: str) -> None:
    """Append a line to a file."""
    _append(path, line)


@job("tests.flaky", max_attempts=3, on_failure=failed)
def flaky(ctx: Context) -> None:
    """Fail every time."""
    raise ValueError("the weather is bad")


@job("tests.hopeless", on_failure=failed)
def hopeless(ctx: Context) -> None:
    """Fail once and for all."""
    raise DoNotRetry("There is no such street.")


@job("tests.snooze")
def snooze(ctx: Context, delay_s: float) -> None:
    """Ask for later."""
    ctx.snooze(delay_s)


@job("tests.steps", on_failure=failed)
def steps(ctx: Context, count: int, pause_s: float) -> None:
    """Take steps, and tell of each."""
    for done in range(count):
        _logger.info("step %d", done)
        ctx.progress(done, count, "stepping")
        time.sleep(pause_s)
    ctx.progress(count, count, "arrived")


@job("tests.suicide")
def suicide(ctx: Context) -> None:
    """Take the worker down."""
    os.kill(os.getpid(), signal.SIGKILL)


@job("tests.regicide")
def regicide(ctx: Context) -> None:
    """Take the engine down, of which this is a child."""
    os.kill(os.getppid(), signal.SIGKILL)
    time.sleep(60)


@job("tests.leave")
def leave(ctx: Context) -> None:
    """End the worker with an exit code, past every handler."""
    os._exit(7)


@job("tests.greedy", memory_mb=64, max_attempts=1)
def greedy(ctx: Context) -> None:
    """Ask for more memory than allowed."""
    bytearray(512 * 1024 * 1024)


@job("tests.hang", timeout_s=0.5, max_attempts=1)
def hang(ctx: Context) -> None:
    """Wait for what never comes."""
    threading.Event().wait()


@job("tests.deaf", timeout_s=0.3, max_attempts=1)
def deaf(ctx: Context) -> None:
    """Not even a signal ends this."""
    signal.pthread_sigmask(signal.SIG_BLOCK, {signal.SIGTERM})
    subprocess.run([sys.executable, "-c", "import time; time.sleep(20)"], check=True)


@job("tests.stubborn")
def stubborn(ctx: Context, path: str) -> None:
    """Swallow every exception but those that end a run."""
    Path(path).touch()
    while True:
        try:
            ctx.progress(0)
            time.sleep(0.02)
        except Exception:
            _logger.exception("swallowed")


@job("tests.span")
def span(ctx: Context, path: str, seconds: float) -> None:
    """Write down when it began and when it ended, of each attempt."""
    _append(path, f"{ctx.job_id} begins {ctx.attempt}")
    ctx.progress(1, 2)
    time.sleep(seconds)
    _append(path, f"{ctx.job_id} ends {ctx.attempt}")


@job("tests.late")
def late(ctx: Context, folder: str) -> None:
    """At first wait until told to go on, and then try to write; the next attempt finds nothing to wait for."""
    if ctx.attempt == 1:
        ctx.progress(1, 2)
        # What stops it is to be the fence, not the engine, which comes to know of the loss at about the same time.
        signal.signal(signal.SIGTERM, signal.SIG_IGN)
        while not Path(folder, "go").exists():
            time.sleep(0.02)
    try:
        with ctx.transaction() as session:
            session.execute(text("INSERT INTO deliveries VALUES (:attempt)"), {"attempt": ctx.attempt})
    except LeaseLost:
        Path(folder, "refused").touch()
        raise


@job("tests.unspeakable", max_attempts=1)
def unspeakable(ctx: Context, hopeless: bool) -> None:
    """Say, and raise, what no database takes."""
    ctx.progress(1, 2, UNSPEAKABLE)
    _logger.info("%s", UNSPEAKABLE)
    raise DoNotRetry(UNSPEAKABLE) if hopeless else ValueError(UNSPEAKABLE)


@job("tests.uncountable", max_attempts=1)
def uncountable(ctx: Context) -> None:
    """Count further than a database does."""
    ctx.progress(2**63)


@job("tests.absorbed")
def absorbed(ctx: Context, exponent: int) -> None:
    """Compute in one step of the interpreter: no other thread of the process gets a turn."""
    ctx.progress(1, 2)
    _ = 3**exponent


@job("tests.slow_commit")
def slow_commit(ctx: Context, folder: str) -> None:
    """Have a transaction open until told to go on."""
    with ctx.transaction() as session:
        session.execute(text("INSERT INTO deliveries VALUES (:attempt)"), {"attempt": ctx.attempt})
        ctx.progress(1, 2)
        while not Path(folder, "go").exists():
            time.sleep(0.02)


def _append(path: str, line: str) -> None:
    with Path(path).open("a") as file:
        file.write(f"{line}\n")


KINDS: list[JobKind] = [
    failed, note, flaky, hopeless, snooze, steps, suicide, regicide, leave, greedy, hang, deaf, stubborn, span, late,
    unspeakable, uncountable, absorbed, slow_commit,
]  # fmt: skip


def make_app() -> JobApp[None]:
    """Make the application on the database that the environment names."""
    return JobApp(Database(os.environ["TESTS_JOBS_DATABASE"], record=record), KINDS, None)
