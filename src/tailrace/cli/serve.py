"""`tailrace serve`."""

from pathlib import Path
from typing import Annotated

import typer


def serve(
    host: Annotated[
        str | None, typer.Option(metavar="ADDRESS", help="Address to listen on [TAILRACE_HOST, 127.0.0.1].")
    ] = None,
    port: Annotated[int | None, typer.Option(metavar="NUMBER", help="Port to listen on [TAILRACE_PORT, 8000].")] = None,
    data: Annotated[
        Path | None, typer.Option(metavar="FOLDER", help="Data folder [TAILRACE_DATA, ./tailrace-data].")
    ] = None,
    workers: Annotated[
        int | None, typer.Option(metavar="NUMBER", help="Jobs at the same time [TAILRACE_WORKERS, 2].")
    ] = None,
) -> None:
    """Start Tailrace: API, page, and the workers that run its jobs. Ctrl-C stops it cleanly."""
    from tailrace.cli.service import run_service
    from tailrace.settings import load_settings

    run_service(load_settings(host=host, port=port, data=data, workers=workers))
