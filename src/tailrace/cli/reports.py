"""`tailrace report`: ask a running service for a report, watch it being made, and fetch it whole."""

import shutil
import sys
from collections.abc import Iterator
from contextlib import contextmanager
from enum import StrEnum
from pathlib import Path
from tempfile import TemporaryDirectory
from typing import Annotated, Any

import typer

from tailrace.cli.common import CommandError

_STANDARD_OUTPUT = Path("-")


class Format(StrEnum):
    """What a report can be asked for as; tasks come as the first three, photos as zip."""

    CSV = "csv"
    JSONL = "jsonl"
    XLSX = "xlsx"
    ZIP = "zip"


def report(
    kind: Annotated[str, typer.Argument(metavar="KIND", help="What the report is of: tasks, photos.")],
    form: Annotated[
        Format | None, typer.Option("--format", help="Format of the file; else zip for photos, csv for all others.")
    ] = None,
    output: Annotated[
        Path | None,
        typer.Option(
            "--output", "-o", metavar="FILE", help="File to write, or - for standard output; else KIND.FORMAT."
        ),
    ] = None,
    force: Annotated[bool, typer.Option("--force", help="Replace the file if there is one already.")] = False,
    filters: Annotated[
        list[str] | None,
        typer.Option("--filter", metavar="NAME=VALUE", help="Only what matches; may be repeated.", show_default=False),
    ] = None,
    email: Annotated[
        str | None, typer.Option(metavar="EMAIL", help="Address that gets a mail with a link too.")
    ] = None,
    resume: Annotated[str | None, typer.Option(metavar="ID", help="Fetch a report asked for before.")] = None,
    url: Annotated[
        str | None,
        typer.Option(
            metavar="ADDRESS", envvar="TAILRACE_URL", help="Where the service is; else where the settings say."
        ),
    ] = None,
    token: Annotated[
        str, typer.Option(metavar="TOKEN", envvar="TAILRACE_TOKEN", help="API token.", show_default=False)
    ] = "",
) -> None:
    """Ask for a report, show how it is made, and write it to a file that is whole and verified.

    Exit code 0: the file is there. 1: it is not, and why. 2: wrong usage. 130: interrupted; the report goes on.
    """
    from tailrace.cli.report_client import ReportClient
    from tailrace.settings import load_settings

    chosen = form or (Format.ZIP if kind == "photos" else Format.CSV)
    wanted = {"kind": kind, "format": chosen.value, "filters": parse_filters(filters or []), "email": email}
    named = output or Path(f"{kind}.{chosen.value}")
    with (
        _writable(named, force=force) as target,
        ReportClient(url or load_settings().public_url, token, tell=_tell) as client,
    ):
        report_id = resume or client.ask(wanted)
        try:
            fetched = _watch_and_fetch(client, report_id, target)
        except KeyboardInterrupt:
            _tell(f"\nThe report goes on being made. Fetch it later: {_again(kind, report_id, named, force=force)}")
            raise typer.Exit(130) from None
    unit = fetched["unit"].removesuffix("s" if fetched["rows_total"] == 1 else "")
    summary = f"{fetched['rows_total']:,} {unit}, {fetched['bytes']:,} bytes, SHA-256 {fetched['sha256']}"
    _tell(summary) if named == _STANDARD_OUTPUT else print(f"{named}: {summary}")


def parse_filters(given: list[str]) -> dict[str, str | list[str]]:
    """Return `NAME=VALUE` options as a report's filters; a name that is repeated gets a list. Raises CommandError."""
    filters: dict[str, str | list[str]] = {}
    for option in given:
        name, equals, value = option.partition("=")
        if not name or not equals:
            raise CommandError(f"--filter wants NAME=VALUE, such as status=todo, not {option!r}.")
        earlier = filters.get(name)
        if earlier is None:
            filters[name] = value
        else:
            filters[name] = [*([earlier] if isinstance(earlier, str) else earlier), value]
    return filters


@contextmanager
def _writable(named: Path, *, force: bool) -> Iterator[Path]:
    """Give the file to write; on the way out, what is meant for standard output is copied there, whole and verified."""
    if named == _STANDARD_OUTPUT:
        with TemporaryDirectory() as folder:
            yield Path(folder, "report")
            with Path(folder, "report").open("rb") as file:
                shutil.copyfileobj(file, sys.stdout.buffer)
            sys.stdout.buffer.flush()
        return
    if not named.absolute().parent.is_dir():
        raise CommandError(f"There is no folder {named.absolute().parent}: make it first.")
    if named.exists() and not force:
        raise CommandError(f"{named} exists already: name another file with -o, or replace this one with --force.")
    yield named


def _tell(sentence: str) -> None:
    # Not `typer.echo`, which would write across a progress bar.
    print(sentence, file=sys.stderr)


def _watch_and_fetch(client: Any, report_id: str, target: Path) -> dict[str, Any]:
    from rich.console import Console
    from rich.filesize import decimal
    from rich.progress import BarColumn, Progress, TextColumn, TimeRemainingColumn

    columns = TextColumn("{task.description}"), BarColumn(), TextColumn("{task.fields[amount]}"), TimeRemainingColumn()
    with Progress(*columns, console=Console(stderr=True)) as progress:
        making = progress.add_task("waiting", total=None, amount="")

        def show(state: str, done: int, total: int | None) -> None:
            amount = f"{done:,}" if total is None else f"{done:,} of {total:,}"
            progress.update(making, description=state, completed=done, total=total, amount=amount)

        found: dict[str, Any] = client.follow(report_id, show)
        size = decimal(found["bytes"])
        fetching = progress.add_task("downloading", total=found["bytes"], amount=size)

        def show_bytes(done: int) -> None:
            progress.update(fetching, completed=done, amount=f"{decimal(done)} of {size}")

        client.download(found, target, show_bytes)
    return found


def _again(kind: str, report_id: str, target: Path, *, force: bool) -> str:
    return f"tailrace report {kind} --resume {report_id} -o {target}{' --force' if force else ''}"
