"""No table is forgotten, whoever adds it: each has rows, and each of them arrives as it was."""

from collections.abc import Iterator

import pytest
from sqlalchemy import Engine, Table, func, inspect, select, text

from tailrace.copying import copy_installation
from tailrace.database import Base, Database
from tailrace.migrations import migrate
from tests.conftest import import_models
from tests.copying.conftest import Told
from tests.copying.rows import ROWS, fill_every_table
from tests.services import postgres_url

# Tables that are not the same on the other side, each with its reason.
LEFT_OUT = {"job_engines": "the engines of the old installation are none of the new one"}


@pytest.fixture(scope="module")
def both(tmp_path_factory: pytest.TempPathFactory) -> Iterator[tuple[Database, Database, Told]]:
    """Give an installation whose every table has rows, its copy, and what was told of that."""
    import_models()
    source = Database(f"sqlite:///{tmp_path_factory.mktemp('every') / 'tailrace.db'}")
    target = Database(postgres_url())
    migrate(source)
    with source.write() as session:
        fill_every_table(session.connection(), Base.metadata)
    told = Told()
    copy_installation(source, target, None, told)
    yield source, target, told
    source.dispose()
    target.dispose()


def test_every_table_that_migrations_make_is_copied(both: tuple[Database, Database, Told]) -> None:
    source, target, told = both
    assert tables_of(source.engine) == tables_of(target.engine) == set(told.verified_rows)
    assert {name for name, count in told.verified_rows.items() if count < ROWS} == set()


def test_every_row_arrives_as_it_was(both: tuple[Database, Database, Told]) -> None:
    source, target, told = both
    for name in told.verified_rows:
        table = Base.metadata.tables[name]
        if name in LEFT_OUT:
            assert rows_of(target, table) == []
        else:
            assert rows_of(target, table) == rows_of(source, table)


def test_new_rows_of_every_table_get_numbers_of_their_own(both: tuple[Database, Database, Told]) -> None:
    _, target, _ = both
    numbered = [table for table in Base.metadata.tables.values() if _gives_numbers(target, table)]
    assert {"events", "saved_filters", "tasks", "users"} <= {table.name for table in numbered}
    with target.write() as session:
        for table in numbered:
            (key,) = table.primary_key
            given = text("SELECT nextval(pg_get_serial_sequence(:table, :column))")
            following = session.scalar(given, {"table": table.name, "column": key.name})
            assert following is not None
            assert following > (session.scalar(select(func.max(key))) or 0), table.name


def tables_of(engine: Engine) -> set[str]:
    """Return the tables that hold something of a person's: not the revision, nor the index of words, made of others."""
    names = inspect(engine).get_table_names()
    return {name for name in names if name != "alembic_version" and not name.startswith("task_search")}


def rows_of(database: Database, table: Table) -> list[tuple[object, ...]]:
    with database.read() as session:
        return sorted((tuple(row) for row in session.execute(select(table))), key=str)


def _gives_numbers(target: Database, table: Table) -> bool:
    column = table.autoincrement_column
    with target.read() as session:
        query = text("SELECT pg_get_serial_sequence(:table, :column)")
        return column is not None and bool(session.scalar(query, {"table": table.name, "column": column.name}))
