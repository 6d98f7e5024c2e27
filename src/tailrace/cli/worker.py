"""`tailrace worker`."""

import os
from typing import TYPE_CHECKING, Annotated

import typer

if TYPE_CHECKING:
    from tailrace.bootstrap import Tailrace
    from tailrace.jobs.engines.contract import Engine

APP = "tailrace.bootstrap:worker_app"


def worker(
    concurrency: Annotated[
        int | None, typer.Option(metavar="NUMBER", min=1, max=64, help="Jobs at once [TAILRACE_WORKERS].")
    ] = None,
    queues: Annotated[
        str, typer.Option(metavar="NAMES", help="Only jobs of these queues, as in photos,default; for Celery.")
    ] = "",
) -> None:
    """Run jobs without the API, until Ctrl-C: with Celery on any number of machines, else as the only engine."""
    from tailrace.bootstrap import make_engine, worker_app
    from tailrace.cli.common import check_storage, existing_settings, warn_of_unshared
    from tailrace.migrations import migrate

    if concurrency is not None:
        # The worker processes read their settings from the environment, and so does what is made of them here.
        os.environ["TAILRACE_WORKERS"] = str(concurrency)
    existing_settings()
    tailrace = worker_app(rotates=True).resources
    chosen = _check_queues(tailrace, queues)
    warn_of_unshared(tailrace)
    check_storage(tailrace.storage)
    migrate(tailrace.database)
    _run(make_engine(tailrace, APP, queues=chosen))


def _run(engine: "Engine") -> None:
    from tailrace.cli.common import CommandError
    from tailrace.jobs import EngineRunning

    try:
        engine.run()
    except EngineRunning as error:
        cure = (
            "stop `tailrace serve`, which has one, or the other worker; with TAILRACE_ENGINE=celery there may be many"
        )
        raise CommandError(f"{str(error).removesuffix('.')}: {cure}.") from None


def _check_queues(tailrace: "Tailrace", queues: str) -> list[str]:
    from tailrace.cli.common import CommandError

    chosen = [name.strip() for name in queues.split(",") if name.strip()]
    if chosen and tailrace.settings.engine == "local":
        cure = "set TAILRACE_ENGINE=celery, or leave --queues out"
        raise CommandError(f"The local engine is alone and takes every queue: {cure}.")
    known = sorted({kind.queue for kind in tailrace.kinds})
    for name in chosen:
        if name not in known:
            raise CommandError(f"There is no queue {name!r}; choose among {', '.join(known)}.")
    return chosen
