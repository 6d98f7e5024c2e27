"""The migrations make exactly the schema that the models describe, from any state, once."""

import re
import sqlite3
import subprocess
import sys
from collections.abc import Iterator
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path

import pytest
from alembic import command
from alembic.autogenerate import compare_metadata
from alembic.config import Config
from alembic.migration import MigrationContext
from alembic.script import ScriptDirectory
from sqlalchemy import inspect, text

from tailrace import migrations
from tailrace.database import Base, Database
from tests.conftest import import_models
from tests.services import postgres_url


@pytest.fixture
def empty(tmp_path: Path) -> Iterator[Database]:
    database = Database(f"sqlite:///{tmp_path / 'migrated.db'}")
    yield database
    database.dispose()


@pytest.fixture(params=["sqlite", "postgresql"])
def either(request: pytest.FixtureRequest, tmp_path: Path) -> Iterator[Database]:
    """Give an empty database of each kind."""
    url = postgres_url() if request.param == "postgresql" else f"sqlite:///{tmp_path / 'either.db'}"
    database = Database(url)
    yield database
    database.dispose()


def _schema(path: Path) -> dict[str, str]:
    """Return the SQL that made each object, without differences of layout."""
    with sqlite3.connect(path) as connection:
        rows = connection.execute("SELECT name, sql FROM sqlite_master WHERE sql IS NOT NULL").fetchall()
    connection.close()
    return {name: re.sub(r"\s+", " ", sql).replace(" )", ")") for name, sql in rows if name != "alembic_version"}


def _differences(database: Database) -> list[object]:
    import_models()
    dialect = database.engine.dialect.name

    def is_comparable(item: object, name: str | None, *_: object) -> bool:
        meant_for = getattr(getattr(item, "_ddl_if", None), "dialect", None) or dialect
        # What serves search is no table or index that a model declares; the tests of search show that it is there.
        return meant_for == dialect and not str(name).startswith(("task_search", "tasks_by_words"))

    with database.engine.connect() as connection:
        context = MigrationContext.configure(connection, opts={"compare_type": True, "include_object": is_comparable})
        return list(compare_metadata(context, Base.metadata))


def test_the_newest_revision_is_the_one_that_is_known_without_alembic() -> None:
    config = Config()
    config.set_main_option("script_location", "tailrace:migrations")
    assert ScriptDirectory.from_config(config).get_heads() == [migrations.HEAD]


def test_migrations_and_models_agree(either: Database) -> None:
    assert migrations.migrate(either) is None
    assert _differences(either) == []


def test_the_first_tables_can_be_taken_down_again(either: Database) -> None:
    migrations.migrate(either)
    with either.write() as session:
        config = Config()
        config.set_main_option("script_location", "tailrace:migrations")
        config.attributes["connection"] = session.connection()
        command.downgrade(config, "base")
    assert set(inspect(either.engine).get_table_names()) == {"alembic_version"}


def test_every_step_can_be_taken_back_and_again(either: Database) -> None:
    migrations.migrate(either)
    config = Config()
    config.set_main_option("script_location", "tailrace:migrations")
    for _ in list(ScriptDirectory.from_config(config).walk_revisions())[1:]:
        with either.write() as session:
            config.attributes["connection"] = session.connection()
            command.downgrade(config, "-1")
    assert migrations.current_revision(either) == "0001"
    assert "photos" not in inspect(either.engine).get_table_names()
    assert migrations.migrate(either) == "0001"
    assert _differences(either) == []


def test_migrations_make_the_same_tables_indexes_and_triggers_as_the_models(empty: Database, tmp_path: Path) -> None:
    migrations.migrate(empty)
    import_models()
    modelled = Database(f"sqlite:///{tmp_path / 'modelled.db'}")
    Base.metadata.create_all(modelled.engine)
    modelled.dispose()
    assert _schema(tmp_path / "migrated.db") == _schema(tmp_path / "modelled.db")


def test_a_database_that_is_there_already_stays_as_it_is(either: Database) -> None:
    migrations.migrate(either)
    assert migrations.migrate(either) == migrations.HEAD
    assert migrations.current_revision(either) == migrations.HEAD


def test_alembic_is_not_imported_for_a_database_that_is_there_already(empty: Database) -> None:
    migrations.migrate(empty)
    script = (
        "import sys; from tailrace.database import Database; from tailrace.migrations import migrate;"
        "d = Database(sys.argv[1]); migrate(d); d.dispose(); sys.exit('alembic' in sys.modules)"
    )
    subprocess.run([sys.executable, "-c", script, str(empty.url)], check=True)


def test_of_several_at_once_one_works_and_the_others_wait(tmp_path: Path) -> None:
    databases = [Database(f"sqlite:///{tmp_path / 'migrated.db'}") for _ in range(4)]
    with ThreadPoolExecutor(4) as pool:
        before = list(pool.map(migrations.migrate, databases))
    for database in databases:
        assert migrations.current_revision(database) == migrations.HEAD
        database.dispose()
    assert before.count(None) == 1


def test_a_schema_from_the_future_is_refused_in_a_sentence(empty: Database) -> None:
    migrations.migrate(empty)
    with empty.write() as session:
        session.execute(text("UPDATE alembic_version SET version_num = '9999'"))
    with pytest.raises(migrations.SchemaTooNewError, match="does not know the database's schema"):
        migrations.migrate(empty)


def test_a_migration_that_fails_leaves_nothing_behind(empty: Database) -> None:
    with empty.write() as session:
        session.execute(text("CREATE TABLE events (id INTEGER)"))
    with pytest.raises(Exception, match="already exists"):
        migrations.migrate(empty)
    with empty.read() as session:
        names = set(session.scalars(text("SELECT name FROM sqlite_master WHERE type = 'table'")))
    assert names == {"events"}
