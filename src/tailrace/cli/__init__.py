"""The command `tailrace`. What is slow to import is imported inside the commands, so that `--help` answers at once."""

import sys
from typing import Annotated

import typer

from tailrace import __version__
from tailrace.cli.common import expected_errors, sentence_of
from tailrace.cli.copying import copy
from tailrace.cli.demo import demo
from tailrace.cli.doctor import doctor
from tailrace.cli.jobs import jobs
from tailrace.cli.mail import mail
from tailrace.cli.migrate import migrate
from tailrace.cli.reports import report
from tailrace.cli.serve import serve
from tailrace.cli.users import token, user
from tailrace.cli.worker import worker

app = typer.Typer(
    name="tailrace",
    help="A task manager whose long work never gets lost.",
    no_args_is_help=True,
    add_completion=False,
    pretty_exceptions_enable=False,
    rich_markup_mode=None,
)


def _print_version(wanted: bool) -> None:
    if wanted:
        typer.echo(f"Tailrace {__version__}")
        raise typer.Exit


@app.callback()
def _group(
    _version: Annotated[
        bool, typer.Option("--version", callback=_print_version, is_eager=True, help="Print the version and exit.")
    ] = False,
) -> None:
    from tailrace.settings import misspelt

    for warning in misspelt():
        print(f"tailrace: {warning}", file=sys.stderr)


app.command()(serve)
app.command()(worker)
app.command()(migrate)
app.command()(doctor)
app.command()(copy)
app.command()(demo)
app.command()(report)
app.add_typer(user, name="user")
app.add_typer(token, name="token")
app.add_typer(jobs, name="jobs")
app.add_typer(mail, name="mail")


def main() -> None:
    """Run the command line; an expected error is one sentence on standard error, and exit code 1."""
    try:
        app()
    except expected_errors() as error:
        print(f"tailrace: {sentence_of(error)}", file=sys.stderr)
        sys.exit(1)
