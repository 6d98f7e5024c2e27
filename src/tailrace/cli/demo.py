"""`tailrace demo`."""

from typing import Annotated

import typer


def demo(
    tasks: Annotated[int, typer.Option(metavar="NUMBER", min=1, max=100_000_000, help="How many tasks.")] = 500,
    user: Annotated[
        str | None, typer.Option(metavar="EMAIL", help="Whose project it will be; else the first administrator's.")
    ] = None,
) -> None:
    """Fill a project with believable work. Interrupted with Ctrl-C, it leaves what it has made so far."""
    from rich.console import Console
    from rich.progress import BarColumn, MofNCompleteColumn, Progress, TextColumn, TimeElapsedColumn

    from tailrace.cli.common import opened
    from tailrace.demo.filling import choose_owner, fill

    columns = (TextColumn("{task.description}"), BarColumn(), MofNCompleteColumn(), TimeElapsedColumn())
    try:
        with opened() as tailrace:
            with tailrace.database.read() as session:
                owner = choose_owner(session, user)
            with Progress(*columns, console=Console(stderr=True)) as progress:
                bar = progress.add_task("Tasks", total=tasks)
                project = fill(
                    tailrace.database, owner, tasks=tasks, on_progress=lambda done: progress.update(bar, completed=done)
                )
    except KeyboardInterrupt:
        # Without a number: the signal may have come between a commit and the news of it.
        typer.echo("Interrupted; the tasks that were committed stay.", err=True)
        raise typer.Exit(130) from None
    typer.echo(f"Project {project.id}, {project.name}, has {tasks:,} tasks and belongs to {owner.email}.")
