"""`tailrace copy`."""

from collections.abc import Iterator
from contextlib import contextmanager
from typing import TYPE_CHECKING, Annotated, Any

import typer

from tailrace.cli.common import CommandError, alone_in, existing_settings, sentence_of
from tailrace.cli.copied_settings import lines_of_settings

if TYPE_CHECKING:
    from tailrace.bootstrap import Tailrace


def copy(
    to: Annotated[
        str, typer.Option("--to", metavar="ADDRESS", help="An empty database: postgresql://USER:PASSWORD@HOST/NAME.")
    ],
    to_storage: Annotated[
        str | None,
        typer.Option(metavar="ADDRESS", help="Where files go, s3://BUCKET/PREFIX or file:///FOLDER; else they stay."),
    ] = None,
) -> None:
    """Move an installation from SQLite to PostgreSQL, and its files to S3. Nothing is changed here.

    Without --to-storage, old and new share the files: what one deletes, the other misses.

    Stop the service first. Killed at any moment, the copy goes on when the same command is run again. Every table is
    compared by its number of rows and a digest of their contents, every file by its size and SHA-256.
    """
    from tailrace.bootstrap import build
    from tailrace.logging_setup import configure_logging

    settings = existing_settings()
    configure_logging(level="warning", style="console")
    with alone_in(settings.data, otherwise="stop it, then copy"):
        source = build(settings)
        try:
            with _options_named():
                _copy(source, to, to_storage)
        finally:
            source.database.dispose()
    # As it was given: without its password it could not be started on.
    _tell_how_to_go_on(source, to, to_storage)


def _copy(source: "Tailrace", to: str, to_storage: str | None) -> None:
    from tailrace.bootstrap import open_database, open_storage
    from tailrace.copying import Files, check_target, copy_installation
    from tailrace.settings import load_settings

    # Before it is opened: that would make a file for an address of SQLite.
    check_target(to)
    wanted = load_settings(database_url=to, storage_url=to_storage)
    target = open_database(wanted)
    files = Files(source.storage, open_storage(wanted), to_storage) if to_storage else None
    try:
        with _progress() as progress:
            copy_installation(source.database, target, files, progress)
    finally:
        target.dispose()


@contextmanager
def _options_named() -> Iterator[None]:
    """Have errors name the options that were given, rather than the settings that they stand for."""
    from sqlalchemy.exc import OperationalError

    from tailrace.operations.database_errors import concerns_sqlite
    from tailrace.settings import SettingsError

    try:
        yield
    except SettingsError as error:
        raise CommandError(f"{error} That is --to, or --to-storage.") from None
    except OperationalError as error:
        if concerns_sqlite(error):
            raise
        raise CommandError(sentence_of(error, setting="--to")) from error


def _tell_how_to_go_on(source: "Tailrace", to: str, to_storage: str | None) -> None:
    print("Everything is there, and the same. Start Tailrace on it with these settings:")
    print(*lines_of_settings(source, to, to_storage), sep="\n")


@contextmanager
def _progress() -> Iterator["_Bar"]:
    from rich.console import Console
    from rich.progress import BarColumn, MofNCompleteColumn, Progress, TextColumn, TimeRemainingColumn

    columns = TextColumn("{task.description}"), BarColumn(), MofNCompleteColumn(), TimeRemainingColumn()
    console = Console(stderr=True)
    with Progress(*columns, console=console, transient=True, disable=not console.is_terminal) as bar:
        yield _Bar(bar)


class _Bar:
    """A bar for the table that is being copied, and a line for each that is done."""

    def __init__(self, bar: Any) -> None:
        self._bar = bar
        self._now = bar.add_task("", total=None)

    def begin(self, what: str, total: int) -> None:
        self._bar.reset(self._now, description=what, total=total)

    def advance(self, done: int) -> None:
        self._bar.update(self._now, completed=done)

    def verified(self, what: str, count: int, digest: str) -> None:
        print(f"{what}: {count:,} copied and compared, digest {digest}", flush=True)

    def note(self, sentence: str) -> None:
        self._bar.console.print(sentence, markup=False, highlight=False)
