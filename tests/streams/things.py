"""A table with a column of each kind, for the tests of exports."""

from collections.abc import Sequence
from datetime import date, datetime
from typing import Any

from sqlalchemy import JSON, Boolean, Column, Date, Float, Integer, MetaData, Table, Text, insert, select

from tailrace.database import Database, UTCDateTime
from tailrace.streams import TableQuery

Row = dict[str, Any]

metadata = MetaData()
things = Table(
    "things",
    metadata,
    Column("id", Integer, primary_key=True),
    Column("kind", Integer, nullable=False, default=0),
    Column("title", Text, nullable=False, default=""),
    Column("note", Text),
    Column("weight", Float),
    Column("done", Boolean),
    Column("due_on", Date),
    Column("made_at", UTCDateTime),
    Column("extra", JSON(none_as_null=True)),
)


def query(*parts: Any) -> TableQuery:
    """Return the export of every column but `kind`."""
    columns = [column.label(column.name) for column in things.c if column.name != "kind"]
    return TableQuery(select(*columns), things.c.id, parts)


def put(database: Database, rows: Sequence[Row]) -> None:
    """Put rows into the table, which is made if need be."""
    metadata.create_all(database.engine)
    if rows:
        with database.write() as session:
            session.execute(insert(things), rows)


def text_of(value: Any) -> str:
    """Return what stands in a CSV cell for a value, quotes removed."""
    match value:
        case None:
            return ""
        case bool():
            return str(value).lower()
        case datetime():
            return value.strftime("%Y-%m-%dT%H:%M:%S.%fZ")
        case date():
            return value.isoformat()
        case _:
            return str(value)
