"""PostgreSQL encodes a table: COPY of the SELECT, as it comes from the server.

The first few rows are asked for on their own: the plan for so few goes by the key's index and answers at once, where
the plan for a whole large table may sort it first.
"""

from collections.abc import Generator, Iterator, Sequence
from typing import Any

from psycopg.errors import error_from_result
from psycopg.pq import ExecStatus
from psycopg.waiting import Ready, Wait
from sqlalchemy import Connection, Select, Text, cast, func, literal_column, select
from sqlalchemy.sql.elements import ColumnElement

from tailrace.streams.queries import Column, Format, Kind, TableQuery, columns_of, guarded

FIRST_PAGE_ROWS = 50
_PIECE_BYTES = 64 * 1024
# JSON contains neither sign, so nothing is ever quoted: COPY has no format without quotes or escapes.
_BARE = r"FORMAT csv, QUOTE E'\x01', DELIMITER E'\x02'"


def encode_on_postgresql(
    connection: Connection, query: TableQuery, file_format: Format, *, guard: bool
) -> Iterator[tuple[bytes, int]]:
    """Yield the rows of `query` as (whole lines, number of rows)."""
    columns = columns_of(query.select)
    options = _csv_options(connection, columns) if file_format == "csv" else _BARE
    for number, rows in enumerate(_parts(query, columns, file_format, guard=guard)):
        rest = rows
        if number == 0:
            first = _lines(rows.limit(FIRST_PAGE_ROWS), file_format)
            yield from _copy(connection, _statement(connection, first, options))
            rest = rows.offset(FIRST_PAGE_ROWS)
        yield from _copy(connection, _statement(connection, _lines(rest, file_format), options))


def copy_statements(connection: Connection, query: TableQuery) -> list[str]:
    """Return the COPY of each part of `query` as CSV; run one after the other, they make all lines but the header."""
    columns = columns_of(query.select)
    options = _csv_options(connection, columns)
    return [_statement(connection, rows, options) for rows in _parts(query, columns, "csv", guard=False)]


def _parts(query: TableQuery, columns: Sequence[Column], file_format: Format, *, guard: bool) -> Iterator[Select[Any]]:
    values = [_value(column, file_format, guard=guard).label(column.name) for column in columns]
    for part in query.part_selects():
        yield part.with_only_columns(*values, maintain_column_froms=True).order_by(query.key)


def _lines(rows: Select[Any], file_format: Format) -> Select[Any]:
    if file_format == "csv":
        return rows
    return select(func.row_to_json(literal_column("line"))).select_from(rows.subquery("line"))


def _statement(connection: Connection, rows: Select[Any], options: str) -> str:
    return f"COPY ({_as_text(connection, rows)}) TO STDOUT ({options})"


def _csv_options(connection: Connection, columns: Sequence[Column]) -> str:
    quote = connection.dialect.identifier_preparer.quote_identifier
    texts = [quote(column.name) for column in columns if column.kind in {Kind.TEXT, Kind.JSON}]
    return f"FORMAT csv, FORCE_QUOTE ({', '.join(texts)})" if texts else "FORMAT csv"


def _value(column: Column, file_format: Format, *, guard: bool) -> ColumnElement[Any]:
    value = column.value
    match column.kind:
        case Kind.TEXT:
            return guarded(cast(value, Text)) if guard and file_format == "csv" else cast(value, Text)
        case Kind.DATETIME:
            in_utc = func.timezone("UTC", value) if getattr(value.type, "timezone", False) else value
            return func.to_char(in_utc, 'YYYY-MM-DD"T"HH24:MI:SS.US"Z"')
        case Kind.DATE:
            return func.to_char(value, "YYYY-MM-DD")
        case Kind.BOOLEAN if file_format == "csv":
            return cast(value, Text)
        case _:
            return value


def _copy(connection: Connection, statement: str) -> Iterator[tuple[bytes, int]]:
    driver: Any = connection.connection.driver_connection
    with driver.cursor().copy(statement.encode()):
        lines: list[memoryview] = []
        size = 0
        for line in _lines_from(driver):
            lines.append(line)
            size += len(line)
            if size >= _PIECE_BYTES:
                yield b"".join(lines), len(lines)
                lines, size = [], 0
        if lines:
            yield b"".join(lines), len(lines)


def _lines_from(driver: Any) -> Iterator[memoryview]:
    """Yield each line of the COPY that has begun.

    psycopg's own reader waits anew for every line, also for those that are here already: twice the time of the server.
    """
    pgconn = driver.pgconn
    while (got := pgconn.get_copy_data(1))[0] >= 0:
        length, line = got
        if length:
            yield line
        else:
            driver.wait(_receive(pgconn))
    while (result := pgconn.get_result()) is not None:
        if result.status != ExecStatus.COMMAND_OK:
            raise error_from_result(result, driver.info.encoding)


def _receive(pgconn: Any) -> Generator[Wait, Ready, None]:
    while not (yield Wait.R):
        pass
    pgconn.consume_input()


def _as_text(connection: Connection, statement: Select[Any]) -> str:
    # COPY takes no parameters, so the values are written into the statement, each by the rules of its type.
    compiled = statement.compile(dialect=connection.dialect, compile_kwargs={"literal_binds": True})
    # The compiler doubles every percent sign for a driver that looks for parameters, which this one is told not to.
    return str(compiled).replace("%%", "%")
