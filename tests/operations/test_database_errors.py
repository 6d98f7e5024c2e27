"""What is said of a database that cannot be used, by real ones."""

import re
import sqlite3
from collections.abc import Iterator
from pathlib import Path

import pytest
from sqlalchemy import make_url
from sqlalchemy.exc import OperationalError

from tailrace.database import Database
from tailrace.operations.checks import check_database
from tailrace.operations.database_errors import concerns_sqlite, cure_of, reason_of
from tests.service import run_command
from tests.services import PostgresServer


@pytest.fixture(scope="module")
def folder() -> Iterator[Path]:
    """Give the folder of a PostgreSQL that wants a password of Ada."""
    server = PostgresServer()
    rules = server.folder / "data" / "pg_hba.conf"
    rules.write_text(f"local all ada scram-sha-256\n{rules.read_text()}")
    server.start()
    yield server.folder
    server.remove()


@pytest.mark.parametrize(
    ("address", "cure"),
    [
        ("postgresql://ada:wrong@/postgres?host={}", "Give the right name and password in --to."),
        ("postgresql://ada@/postgres?host={}", "Give the right name and password in --to."),
        ("postgresql://nobody@/postgres?host={}", "Give the right name and password in --to."),
        ("postgresql://postgres@/password?host={}", "Make that database on its server, or name another in --to."),
        ("postgresql://postgres@/postgres?host={}/away", "Start its server, or give the right host and port in --to."),
        ("postgresql://ada@127.0.0.1:1/postgres", "Start its server, or give the right host and port in --to."),
        ("postgresql://ada@name.invalid/postgres", "Start its server, or give the right host and port in --to."),
    ],
)
def test_the_cure_fits_what_is_wrong_with_postgresql(folder: Path, address: str, cure: str) -> None:
    database = Database(make_url(address.format(folder)).set(drivername="postgresql+psycopg"))
    with pytest.raises(OperationalError) as caught, database.read() as session:
        session.connection()
    assert not concerns_sqlite(caught.value)
    assert cure_of(caught.value, setting="--to") == cure
    assert "\n" not in reason_of(caught.value)
    assert "wrong" not in reason_of(caught.value)
    finding = check_database(database)
    assert (finding.detail, finding.cure) == (reason_of(caught.value), cure.replace("--to", "TAILRACE_DATABASE_URL"))


def test_the_cure_of_a_file_speaks_of_files(tmp_path: Path) -> None:
    with pytest.raises(sqlite3.OperationalError) as caught:
        sqlite3.connect(tmp_path / "none" / "tailrace.db")
    assert concerns_sqlite(caught.value)
    assert re.match("Check the disk, the rights on the file", cure_of(caught.value))


@pytest.mark.parametrize("command", ["serve", "doctor"])
def test_commands_give_the_same_cure(folder: Path, tmp_path: Path, command: str) -> None:
    address = f"postgresql://ada:wrong@/postgres?host={folder}"
    done = run_command(tmp_path, command, TAILRACE_DATABASE_URL=address, TAILRACE_PORT="0", COLUMNS="1000")
    assert done.returncode == 1
    assert "Give the right name and password in TAILRACE_DATABASE_URL." in done.stdout + done.stderr
    assert "Traceback" not in done.stderr
