"""SQLite encodes a table: one `printf` (CSV) or `json_object` (JSON Lines) a row, folded by `group_concat` over pages.

A page is found by the key, so none costs more than the one before. Pages of 500 rows stay within the processor's cache;
the cast to BLOB saves decoding the page to Python's text and encoding it again.
"""

from collections.abc import Iterator, Sequence
from functools import partial
from typing import Any

from sqlalchemy import (
    Connection,
    Dialect,
    Integer,
    LargeBinary,
    Select,
    SQLColumnExpression,
    case,
    cast,
    func,
    literal,
    literal_column,
    null,
    select,
)
from sqlalchemy.sql.elements import ColumnElement

from tailrace.streams.memo import StatementMemo
from tailrace.streams.queries import Column, Format, Kind, TableQuery, columns_of, guarded

FIRST_PAGE_ROWS = 50
PAGE_ROWS = 500
PAGE_BYTES = 128 * 1024
_BEFORE_ALL = -(2**63)
_pages: StatementMemo[str] = StatementMemo()


def encode_on_sqlite(
    connection: Connection, query: TableQuery, file_format: Format, *, guard: bool
) -> Iterator[tuple[bytes, int]]:
    """Yield the rows of `query` as (whole lines, number of rows)."""
    if not connection.in_transaction():
        connection.begin()
    # Through SQLAlchemy each page would cost about a tenth more; the transaction is still its.
    cursor = connection.connection.cursor()
    rows = FIRST_PAGE_ROWS
    for part in query.part_selects():
        make = partial(_page_text, connection.dialect, part, query.key, file_format, guard=guard)
        page = _pages.get(part, str(query.key), file_format, guard, make=make)
        after = _BEFORE_ALL
        while True:
            data, last, count = cursor.execute(page, (after, rows)).fetchone()
            if count:
                yield data, count
            if count < rows:
                break
            after, rows = last, _page_rows(data, count)


def _page_rows(data: bytes, count: int) -> int:
    """Return how many rows the next page should have, so that wide rows take no more memory than narrow ones."""
    return max(1, min(PAGE_ROWS, PAGE_BYTES * count // len(data)))


def _page_text(
    dialect: Dialect, part: Select[Any], key: SQLColumnExpression[int], file_format: Format, *, guard: bool
) -> str:
    columns = columns_of(part)
    line = _csv_line(columns, guard=guard) if file_format == "csv" else _json_line(columns)
    # Only `after` and `page rows` are parameters: SQLite makes a line a fifth faster when it knows the printf's format.
    return str(_page(part, key, line).compile(dialect=dialect, compile_kwargs={"literal_binds": True}))


def _page(part: Select[Any], key: SQLColumnExpression[int], line: ColumnElement[str]) -> Select[bytes, int, int]:
    # Numbered, for a part that is false as a whole loses its other conditions, and with them a parameter.
    rows = (
        part.with_only_columns(key.label("key"), line.label("line"), maintain_column_froms=True)
        .where(key > literal_column("?1"))
        .order_by(key)
        .limit(literal_column("?2", Integer))
        .subquery()
    )
    lines = func.group_concat(rows.c.line, "\n").op("||")("\n")
    return select(cast(lines, LargeBinary), func.max(rows.c.key), func.count())


def _csv_line(columns: Sequence[Column], *, guard: bool) -> ColumnElement[str]:
    # A printf in which a text that cannot be NULL has its quotes doubled by %w is the fastest way to make a line.
    cells = [_csv_cell(column, guard=guard) for column in columns]
    return func.printf(",".join(form for form, *_ in cells), *(value for _, *values in cells for value in values))


def _csv_cell(column: Column, *, guard: bool) -> tuple[str, *tuple[ColumnElement[Any], ...]]:
    """Return the printf format of a cell, and the values that it takes."""
    if column.kind is Kind.DATETIME and not column.nullable:
        # A date has ten characters, and printf cuts it off faster than `replace` finds the blank behind it.
        return "%.10sT%sZ", column.value, func.substr(column.value, 12)
    if column.kind not in {Kind.TEXT, Kind.JSON}:
        return "%s", _plain(column)
    value = guarded(column.value) if guard and column.kind is Kind.TEXT else column.value
    if not column.nullable:
        return '"%w"', value
    return "%s", literal('"').op("||")(func.replace(value, '"', '""')).op("||")('"')


def _json_line(columns: Sequence[Column]) -> ColumnElement[str]:
    members: list[Any] = []
    for column in columns:
        members += [column.name, _json_value(column)]
    return func.json_object(*members)


def _json_value(column: Column) -> ColumnElement[Any]:
    if column.kind in {Kind.BOOLEAN, Kind.REAL, Kind.JSON}:
        return func.json(_plain(column))
    return _plain(column)


def _plain(column: Column) -> ColumnElement[Any]:
    """Return the value in the form in which it stands in the file, NULL staying NULL."""
    value = column.value
    match column.kind:
        case Kind.DATETIME:
            return func.replace(value, " ", "T").op("||")("Z")
        case Kind.BOOLEAN:
            return case({1: "true", 0: "false"}, value=cast(value, Integer))
        case Kind.REAL:
            return case((value.is_(None), null()), else_=func.printf("%!.17g", value))
        case _:
            return value
