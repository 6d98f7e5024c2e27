"""What is particular to one of the databases: sockets that ring, files, locks that are lost."""

import socket
import time
from pathlib import Path

import pytest
from sqlalchemy import text

from tailrace.database import Database, DatabaseBusy, LockLost, engine, lock
from tailrace.database.doorbell import wait
from tests.database.conftest import Open, add, notes
from tests.services import postgres_url


def test_the_bell_rings_in_a_folder_with_a_long_name(tmp_path: Path, opened: Open) -> None:
    folder = tmp_path / ("deep" * 30)
    folder.mkdir()
    database = opened(f"sqlite:///{folder / 'some.db'}")
    listener = database.listen()
    listener.patience_s = 30
    with database.write() as session:
        session.execute(text("CREATE TABLE anything (id INTEGER)"))
    began = time.monotonic()
    wait(listener, 30)
    assert time.monotonic() - began < 15, "nobody rang"
    listener.close()


def test_a_listener_that_died_is_forgotten(tmp_path: Path, opened: Open) -> None:
    database = opened(f"sqlite:///{tmp_path / 'some.db'}")
    dead = tmp_path / "some.db.bells" / "1-dead"
    listener = database.listen()
    listener.close()
    with socket.socket(socket.AF_UNIX, socket.SOCK_DGRAM) as gone:
        gone.bind(str(dead))
    with database.write() as session:
        session.execute(text("CREATE TABLE notes (n INTEGER)"))
    assert not dead.exists()


def test_a_commit_is_no_failure_when_the_bell_is_broken(tmp_path: Path, opened: Open) -> None:
    (tmp_path / "some.db.bells").write_text("not a folder")
    database = opened(f"sqlite:///{tmp_path / 'some.db'}")
    with database.write() as session:
        session.execute(text("CREATE TABLE notes (n INTEGER)"))
    assert notes(database) == []
    assert database.listen().patience_s <= 0.1


def test_without_such_sockets_a_listener_looks_often(
    tmp_path: Path, opened: Open, monkeypatch: pytest.MonkeyPatch
) -> None:
    database = opened(f"sqlite:///{tmp_path / 'some.db'}")
    monkeypatch.delattr(socket, "AF_UNIX")
    listener = database.listen()
    assert listener.fileno() == -1
    assert listener.patience_s <= 0.1


def test_a_writer_gives_up_with_a_sentence_when_another_never_ends(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, opened: Open
) -> None:
    monkeypatch.setattr(engine, "BUSY_TIMEOUT_MS", 100)
    database = opened(f"sqlite:///{tmp_path / 'some.db'}")
    other = opened(f"sqlite:///{tmp_path / 'some.db'}")
    with database.write() as session:
        session.execute(text("CREATE TABLE notes (n INTEGER)"))
        with pytest.raises(DatabaseBusy, match="another writer"), other.write() as late:
            add(late, 1)


def test_a_lock_whose_connection_was_lost_is_known_to_be_lost_and_free_for_others(opened: Open) -> None:
    url = postgres_url()
    database, other = opened(url), opened(url)
    with database.hold("engine") as hold:
        hold.check()
        with other.write() as session:
            session.execute(
                text(
                    "SELECT pg_terminate_backend(pid, 30000) FROM pg_locks JOIN pg_database ON database = oid"
                    " WHERE locktype = 'advisory' AND datname = current_database()"
                )
            )
        for _ in range(2):
            with pytest.raises(LockLost, match="'engine'"):
                hold.check()
        with other.hold("engine") as theirs:
            theirs.check()


def test_a_holder_that_is_silent_makes_room_for_another(opened: Open, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(lock, "_SILENT_FOR_S", 1)
    url = postgres_url()
    with opened(url).hold("engine") as silent:
        time.sleep(1.5)
        with opened(url).hold("engine"), pytest.raises(LockLost):
            silent.check()


def test_sqlite_keeps_what_it_committed_through_a_power_cut(tmp_path: Path, opened: Open) -> None:
    with opened(f"sqlite:///{tmp_path / 'some.db'}").read() as session:
        assert session.execute(text("PRAGMA journal_mode")).scalar_one() == "wal"
        assert session.execute(text("PRAGMA synchronous")).scalar_one() == 2


def test_nobody_else_may_read_a_sqlite_database(tmp_path: Path, opened: Open) -> None:
    with opened(f"sqlite:///{tmp_path / 'some.db'}").write() as session:
        session.execute(text("CREATE TABLE notes (n INTEGER)"))
        assert {path.stat().st_mode & 0o777 for path in tmp_path.glob("some.db*") if path.is_file()} == {0o600}


@pytest.mark.parametrize("url", ["sqlite://", "sqlite:///:memory:", "mysql://localhost/x"])
def test_a_database_that_cannot_be_used_is_refused_with_a_sentence(url: str) -> None:
    with pytest.raises(ValueError, match="Tailrace"):
        Database(url)
