"""Reports that are a table: one query, written in any of the formats that tables have."""

from collections.abc import Callable, Iterable
from contextlib import closing
from functools import partial

from sqlalchemy.orm import Session

from tailrace.accounts.principal import Principal
from tailrace.jobs import DoNotRetry
from tailrace.reports import spreadsheet
from tailrace.reports.formats import Format
from tailrace.reports.kinds import F, Making, ReportKind
from tailrace.streams import Chunk, TableQuery, encode_table

Table = Callable[[Session, Principal, F], TableQuery]
_FORMATS = (Format.CSV, Format.JSONL, Format.XLSX)


def table_kind(
    *, name: str, title: str, filters: type[F], table: Table[F], count: Callable[[Session, Principal, F], int]
) -> ReportKind[F]:
    """Return the kind of report that writes the rows of `table`, of which there are `count`; both must agree."""
    return ReportKind(name, title, "rows", filters, _FORMATS, count, partial(_write, table))


def _write(table: Table[F], making: Making, filters: F) -> int:
    if making.form is Format.XLSX and making.total >= spreadsheet.MAX_ROWS:
        raise DoNotRetry(f"{spreadsheet.TooManyRows.__doc__} This report has {making.total:,} rows.")
    query = table(making.session, making.principal, filters)
    # A CSV is for people: its cells are guarded against what a spreadsheet would run.
    guard = making.form is Format.CSV
    connection = making.session.connection()
    encoded = encode_table(connection, query, "csv" if guard else "jsonl", guard=guard)
    # Closed at once if a run is stopped midway: PostgreSQL could not roll back while its COPY is under way.
    with closing(encoded) as chunks:
        if making.form is Format.XLSX:
            columns = [column.key or "" for column in query.select.selected_columns]
            return spreadsheet.write_spreadsheet(chunks, columns, write=making.write, on_rows=making.on_done)
        return _pass_on(chunks, making)


def _pass_on(chunks: Iterable[Chunk], making: Making) -> int:
    rows = 0
    for chunk in chunks:
        making.write(chunk.data)
        rows += chunk.rows
        making.on_done(rows)
    return rows
