"""`tailrace jobs …`: the jobs of this installation, straight from its database."""

import json
import sys
from enum import StrEnum
from typing import TYPE_CHECKING, Annotated

import typer

from tailrace.cli.common import opened

if TYPE_CHECKING:
    from tailrace.database import Database
    from tailrace.jobs import Job
    from tailrace.streams import Cursor

jobs = typer.Typer(help="Look at the background jobs, cancel them, have them tried again.", no_args_is_help=True)
_JobId = Annotated[str, typer.Argument(metavar="ID", help="The id of the job.")]
_PAGE = 500


class StateName(StrEnum):
    """The states, as the command line offers them; spelt out, since the real ones are slow to import."""

    SCHEDULED = "scheduled"
    AVAILABLE = "available"
    RUNNING = "running"
    RETRYABLE = "retryable"
    COMPLETED = "completed"
    CANCELLED = "cancelled"
    DISCARDED = "discarded"
    QUARANTINED = "quarantined"


@jobs.command("list")
def list_(
    state: Annotated[list[StateName] | None, typer.Option(help="Only jobs in this state; may be repeated.")] = None,
    kind: Annotated[
        list[str] | None, typer.Option(metavar="KIND", help="Only jobs of this kind; may be repeated.")
    ] = None,
    limit: Annotated[int, typer.Option(metavar="NUMBER", min=1, max=10_000, help="How many at most.")] = 30,
) -> None:
    """List jobs, the newest first."""
    from rich.console import Console
    from rich.table import Table
    from rich.text import Text

    from tailrace.jobs import State, list_jobs

    with opened() as tailrace, tailrace.database.read() as session:
        states = [State(each) for each in state or []]
        found = list_jobs(session, states=states or None, kinds=kind or None, limit=limit)
    table = Table(box=None, pad_edge=False)
    for name in ("id", "kind", "state", "attempt", "created", "progress", "error"):
        table.add_column(name, no_wrap=True)
    for job in found:
        created = f"{job.created_at:%Y-%m-%d %H:%M:%S}"
        cells = (job.id, job.kind, job.state, str(job.attempt), created, _progress(job), job.error or "")
        # As they are: rich would take [brackets] in an error for markup.
        table.add_row(*map(Text, cells))
    # What is piped on is not cut to the width of a terminal that is not there.
    Console(width=None if sys.stdout.isatty() else 1000).print(table)


@jobs.command()
def show(job_id: _JobId) -> None:
    """Print everything known of a job, as JSON."""
    from dataclasses import asdict

    with opened() as tailrace:
        job = _find(tailrace.database, job_id)
    typer.echo(json.dumps(asdict(job), indent=2, default=str))


@jobs.command()
def cancel(job_id: _JobId) -> None:
    """Cancel a job: one that waits at once, one that runs as soon as it looks up, or by force after a while."""
    from tailrace.jobs import cancel_job

    with opened() as tailrace:
        found = _find(tailrace.database, job_id)
        with tailrace.database.write() as session:
            job = cancel_job(session, found.id)
    typer.echo(f"{job.id} is {job.state if job.finished else 'asked to stop'}.")


@jobs.command()
def retry(job_id: _JobId) -> None:
    """Have a failed, cancelled or waiting job run now, with all its attempts before it."""
    from tailrace.jobs import retry_job

    with opened() as tailrace:
        found = _find(tailrace.database, job_id)
        with tailrace.database.write() as session:
            job = retry_job(session, found.id)
    typer.echo(f"{job.id} is {job.state}.")


@jobs.command()
def log(
    job_id: _JobId,
    follow: Annotated[bool, typer.Option("--follow", "-f", help="Go on until the job has ended.")] = False,
) -> None:
    """Print what a job logged."""
    with opened() as tailrace:
        job = _find(tailrace.database, job_id)
        _print_log(tailrace.database, job.id, follow=follow)


def _print_log(database: "Database", job_id: str, *, follow: bool) -> None:
    from tailrace.database.doorbell import wait
    from tailrace.jobs import get_job

    listener = database.listen()
    cursor = None
    try:
        while True:
            with database.read() as session:
                # Asked before the events are read: what it logs before its end is read then.
                finished = get_job(session, job_id).finished
            cursor = _print_events(database, job_id, cursor)
            if finished or not follow:
                break
            wait(listener, 1.0)
    finally:
        listener.close()


def _print_events(database: "Database", job_id: str, cursor: "Cursor | None") -> "Cursor | None":
    from tailrace.jobs import channel_of
    from tailrace.streams import read_events

    while True:
        with database.read() as session:
            events = read_events(session, channels=[channel_of(job_id)], after=cursor, limit=_PAGE)
        for event in events:
            cursor = event.cursor
            if event.name == "log":
                line = json.loads(event.data)
                typer.echo(f"{line['at']} {line['level'].lower():<7} {line['message']}")
        if len(events) < _PAGE:
            return cursor


def _find(database: "Database", job_id: str) -> "Job":
    from tailrace.jobs import get_job

    with database.read() as session:
        return get_job(session, job_id)


def _progress(job: "Job") -> str:
    if job.progress_done is None:
        return ""
    return f"{job.progress_done:,}/{job.progress_total:,}" if job.progress_total else f"{job.progress_done:,}"
