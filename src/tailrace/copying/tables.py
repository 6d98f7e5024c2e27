"""Copies the rows of one table, and compares it with its source."""

from collections.abc import Callable, Sequence
from typing import Any

from sqlalchemy import Column, Connection, Dialect, Engine, Row, Select, Table, func, select, text, tuple_

from tailrace.copying import ledger
from tailrace.copying.digests import ContentDigest
from tailrace.copying.errors import CopyDiffers, CopyError
from tailrace.copying.progress import Progress

PAGE_ROWS = 5_000
_PROGRAM_LIMIT_EXCEEDED = "54000"


def copy_table(source: Connection, target: Engine, table: Table, progress: Progress) -> None:
    """Copy the rows that the ledger does not know of yet, a page in each transaction, and compare the whole table.

    Raises CopyError for a row that the target refuses, CopyDiffers if the two tables are not the same at the end.
    """
    progress.begin(table.name, source.scalar(select(func.count()).select_from(table)) or 0)
    with target.connect() as connection:
        done = connection.scalar(select(func.count()).select_from(table)) or 0
        last = ledger.last_key(connection, table)
    while page := source.execute(_page(table, last)).all():
        last = [page[-1]._mapping[column] for column in table.primary_key]
        with target.begin() as connection:
            _insert(connection, table, page)
            ledger.note_key(connection, table, last)
        done += len(page)
        progress.advance(done)
    _compare(source, target, table, progress)


def set_sequences(source: Connection, target: Connection, tables: Sequence[Table]) -> None:
    """Let new rows get numbers above all that the source ever gave out, those of deleted rows too."""
    given = {row.name: row.seq for row in source.execute(text("SELECT name, seq FROM sqlite_sequence"))}
    for table in tables:
        column = table.autoincrement_column
        if column is not None and table.name in given:
            name = {"table": f'"{table.name}"', "column": column.name, "number": given[table.name]}
            target.execute(text("SELECT setval(pg_get_serial_sequence(:table, :column), :number)"), name)


def _page(table: Table, last: Sequence[Any] | None) -> Select[Any]:
    keys = list(table.primary_key)
    query = select(*table.columns).order_by(*keys).limit(PAGE_ROWS)
    return query if last is None else query.where(tuple_(*keys) > tuple(last))


def _insert(connection: Connection, table: Table, page: Sequence[Row[Any]]) -> None:
    dialect = connection.dialect
    names = ", ".join(dialect.identifier_preparer.format_column(column) for column in table.columns)
    statement = f"COPY {dialect.identifier_preparer.format_table(table)} ({names}) FROM STDIN"
    adapters = [_adapter(column, dialect) for column in table.columns]
    driver: Any = connection.connection.driver_connection
    try:
        with driver.cursor() as cursor, cursor.copy(statement) as copy:
            for row in page:
                copy.write_row([adapt(value) for adapt, value in zip(adapters, row, strict=True)])
    except dialect.loaded_dbapi.OperationalError as error:
        # A row that is too large for an index is "operational" too, like a full disk or a server that is gone.
        too_large = getattr(error, "sqlstate", None) == _PROGRAM_LIMIT_EXCEEDED
        raise CopyError(_refusal(table, page, error) if too_large else _failure(table, error)) from error
    except dialect.loaded_dbapi.Error as error:
        raise CopyError(_refusal(table, page, error)) from error


def _adapter(column: Column[Any], dialect: Dialect) -> Callable[[Any], Any]:
    bind = column.type.dialect_impl(dialect).bind_processor(dialect)
    if bind is None:
        return lambda value: value
    if column.nullable:
        # The type JSON would make its own `null` of NULL.
        return lambda value: None if value is None else bind(value)
    return bind


def _failure(table: Table, error: Exception) -> str:
    reason = str(error).partition("\n")[0].removesuffix(".")
    return f"PostgreSQL failed while it took rows of {table.name}: {reason}. Mend that, and go on by the same command."


def _refusal(table: Table, page: Sequence[Row[Any]], error: Exception) -> str:
    first, last = (tuple(row._mapping[column] for column in table.primary_key) for row in (page[0], page[-1]))
    where = getattr(getattr(error, "diag", None), "context", None) or f"between the keys {first} and {last}"
    reason = str(error).partition("\n")[0]
    return f"PostgreSQL refuses a row of {table.name} ({where}): {reason}. Correct it in the source, and go on."


def _compare(source: Connection, target: Engine, table: Table, progress: Progress) -> None:
    with target.connect() as connection:
        theirs = _digest(connection, table)
    ours = _digest(source, table)
    if ours != theirs:
        raise CopyDiffers(
            f"The table {table.name} arrived differently: {ours.rows:,} rows with digest {ours.hexdigest[:16]}… became "
            f"{theirs.rows:,} with {theirs.hexdigest[:16]}…."
        )
    progress.verified(table.name, ours.rows, ours.hexdigest)


def _digest(connection: Connection, table: Table) -> ContentDigest:
    digest = ContentDigest()
    query = select(*table.columns).execution_options(yield_per=PAGE_ROWS)
    for page in connection.execute(query).partitions():
        digest.add(page)
    return digest
