"""`tailrace doctor`."""

from typing import TYPE_CHECKING, Annotated

import typer

if TYPE_CHECKING:
    from tailrace.operations.checks import Finding

_COLOURS = {"ok": "green", "warn": "yellow", "fail": "red"}


def doctor(
    as_json: Annotated[bool, typer.Option("--json", help="Print the findings as JSON.")] = False,
) -> None:
    """Check database, schema, storage, mail, disk, clock, engine and queues; exit with 1 if something is broken."""
    from tailrace.bootstrap import build
    from tailrace.cli.common import existing_settings
    from tailrace.operations.examination import examine

    tailrace = build(existing_settings())
    try:
        folder = tailrace.settings.data
        findings = examine(
            tailrace.database, tailrace.storage, tailrace.mailer, folder=folder, unshared=tailrace.unshared
        )
    finally:
        tailrace.database.dispose()
    _print_json(findings) if as_json else _print_table(findings)
    if any(finding.state == "fail" for finding in findings):
        raise typer.Exit(1)


def _print_json(findings: list["Finding"]) -> None:
    import json
    from dataclasses import asdict

    typer.echo(json.dumps([asdict(finding) for finding in findings], indent=2))


def _print_table(findings: list["Finding"]) -> None:
    from rich.console import Console
    from rich.table import Column, Table
    from rich.text import Text

    # What is too long goes on in the next line: rich would cut it, and a path or a command is needed whole.
    said = Column("finding, and its cure", overflow="fold")
    table = Table(Column("part", no_wrap=True), Column("state", no_wrap=True), said, box=None, pad_edge=False)
    for finding in findings:
        state = Text(finding.state, style=_COLOURS[finding.state])
        # As they are: rich would take [brackets] in an address or an error for markup.
        table.add_row(Text(finding.part), state, Text("\n".join(filter(None, (finding.detail, finding.cure)))))
    Console().print(table)
