"""Rows for any table: values of each column's type, such as are easily lost or changed on the way."""

from collections.abc import Callable
from datetime import UTC, date, datetime, timedelta
from typing import Any

from sqlalchemy import JSON, Boolean, Column, Connection, Date, Float, Integer, MetaData, Table, Text, insert, select

from tailrace.database import UTCDateTime

ROWS = 3
_MOMENT = datetime(2026, 2, 28, 23, 59, 59, 987_654, tzinfo=UTC)
_VALUES: dict[type, Callable[[int], Any]] = {
    UTCDateTime: lambda number: _MOMENT + timedelta(hours=number),
    Date: lambda number: date(2026, 2, 28) + timedelta(number),
    JSON: lambda number: {"number": number, "tenth": 0.1, "none": None, "text": 'línea\n"x"\\', "list": [True, {}]},
    Boolean: lambda number: number % 2 == 1,
    Integer: lambda number: number + 7,
    Float: lambda number: 47.1 / 3 + number,
}


def fill_every_table(connection: Connection, metadata: MetaData) -> None:
    """Insert `ROWS` rows into each table that has none; in the last of them is NULL wherever it may be."""
    for table in metadata.sorted_tables:
        if connection.execute(select(table).limit(1)).first() is None:
            connection.execute(insert(table), [_row(connection, table, number) for number in range(ROWS)])


def _row(connection: Connection, table: Table, number: int) -> dict[str, Any]:
    referred = _referred(connection, table, number)
    return {column.name: referred.get(column.name, _value(column, number)) for column in table.columns}


def _referred(connection: Connection, table: Table, number: int) -> dict[str, Any]:
    """Return the values of the foreign keys: those of the rows of the same number in the tables that they point to."""
    values: dict[str, Any] = {}
    for constraint in table.foreign_key_constraints:
        target = constraint.referred_table
        row = connection.execute(select(target).order_by(*target.primary_key).offset(number).limit(1)).one()
        values |= {element.parent.name: row._mapping[element.column] for element in constraint.elements}
    return values


def _value(column: Column[Any], number: int) -> Any:
    if column.nullable and number == ROWS - 1:
        return None
    for kind, make in _VALUES.items():
        if isinstance(column.type, kind):
            return make(number)
    default: Any = column.default
    # A type of its own, such as that of priorities, takes only what it knows.
    return default.arg if default is not None and default.is_scalar else _text(column, number)


def _text(column: Column[Any], number: int) -> str:
    """Return a text as long as may be, which ends in a number; a long one has what COPY has to quote."""
    length = getattr(column.type, "length", None)
    assert isinstance(column.type, Text) or length, f"{column}: say here what {column.type!r} may hold"
    filling = f'{column.name}\t"ü"\\N 𝛑\r\n' if isinstance(column.type, Text) else column.name
    room = (length or 80) - 2
    return f"{filling:·<{room}}"[:room] + f"-{number}"
