"""What `readyz` and `tailrace doctor` find when something is wrong."""

import sqlite3
from pathlib import Path
from typing import Any

from sqlalchemy import URL, event, make_url, text

from tailrace.database import Database
from tailrace.operations.checks import check_database
from tests.services import postgres_url


def test_a_database_that_takes_writes_is_ok_and_stays_as_it_was(database: Database) -> None:
    before = _state(database)
    assert check_database(database).state == "ok"
    assert _state(database) == before


def test_a_read_only_database_fails(database: Database) -> None:
    with database.read() as session:
        session.execute(text("SELECT count(*) FROM jobs"))
    path = Path(str(database.engine.url.database))
    database.dispose()
    event.listen(database.engine, "do_connect", lambda *_: _open_read_only(path))
    finding = check_database(database)
    assert (finding.state, finding.detail) == ("fail", "attempt to write a readonly database")
    assert "rights on the file" in finding.cure


def test_a_standby_fails() -> None:
    url = make_url(postgres_url())
    assert _finding(url) == "ok"
    assert _finding(url.update_query_dict({"options": "-c default_transaction_read_only=on"})) == "fail"


def _finding(url: URL) -> str:
    database = Database(url)
    try:
        return check_database(database).state
    finally:
        database.dispose()


def _open_read_only(path: Path) -> Any:
    return sqlite3.connect(f"file:{path}?mode=ro", uri=True, check_same_thread=False)


def _state(database: Database) -> list[Any]:
    with database.read() as session:
        pragmas = ("user_version", "schema_version", "data_version")
        return [session.execute(text(f"PRAGMA {name}")).scalar_one() for name in pragmas]
