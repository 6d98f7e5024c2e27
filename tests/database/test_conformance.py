"""What every database promises, whichever it is: whole transactions, fair to each other, heard of when they commit."""

import threading
import time

import pytest
from sqlalchemy import text
from sqlalchemy.orm import Session

from tailrace.database import Database, Fact, LockHeld, publish
from tailrace.database.doorbell import wait
from tests.database.conftest import Open, add, notes

pytestmark = pytest.mark.conformance("database", by="url")


def test_a_block_that_raises_leaves_nothing_neither_rows_nor_facts(database: Database, recorded: list[Fact]) -> None:
    def add_and_fail() -> None:
        with database.write() as session:
            add(session, 1)
            publish(session, "project:1", "note.added", {"n": 1})
            raise RuntimeError("the caller fails")

    with pytest.raises(RuntimeError):
        add_and_fail()
    assert notes(database) == []
    assert recorded == []


def test_facts_are_recorded_once_in_order_with_the_commit(database: Database, recorded: list[Fact]) -> None:
    with database.write() as session:
        for n in (1, 2):
            publish(session, "project:1", "note.added", {"n": n})
    with database.write() as session:
        add(session, 3)
    assert [fact.data for fact in recorded] == [{"n": 1}, {"n": 2}]


def note_and_tell(session: Session, n: int) -> None:
    add(session, n)
    publish(session, "project:1", "note.added", {"n": n})


def test_what_a_savepoint_told_is_forgotten_with_it(database: Database, recorded: list[Fact]) -> None:
    with database.write() as session:
        publish(session, "project:1", "note.added", {"n": 0})
        for n in (1, 2, 3):
            savepoint = session.begin_nested()
            note_and_tell(session, n)
            with session.begin_nested():
                note_and_tell(session, 10 * n)
            if n == 2:
                savepoint.rollback()
            else:
                savepoint.commit()
    assert [fact.data["n"] for fact in recorded] == [0, 1, 10, 3, 30]
    assert notes(database) == [1, 3, 10, 30]


def test_a_transaction_that_begins_anew_tells_nothing_of_what_it_took_back(
    database: Database, recorded: list[Fact]
) -> None:
    with database.write() as session:
        note_and_tell(session, 1)
        session.rollback()
        note_and_tell(session, 2)
    assert [fact.data["n"] for fact in recorded] == [2]
    assert notes(database) == [2]


def test_a_commit_rings_for_every_listener(database: Database, url: str, opened: Open) -> None:
    other = opened(url)
    listeners = [database.listen(), other.listen()]
    with database.write() as session:
        add(session, 1)
    for listener in listeners:
        listener.patience_s = 30
        began = time.monotonic()
        wait(listener, 30)
        assert time.monotonic() - began < 15, "nobody rang"
        listener.close()


def test_writers_in_many_threads_wait_for_each_other(database: Database) -> None:
    def write(first: int) -> None:
        for n in range(first, first + 20):
            with database.write() as session:
                add(session, n)

    threads = [threading.Thread(target=write, args=(first * 20,)) for first in range(10)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    assert notes(database) == list(range(200))


def test_a_snapshot_does_not_change_while_others_write(database: Database) -> None:
    with database.write() as session:
        add(session, 1)
    with database.snapshot() as connection:
        count = text("SELECT count(*) FROM notes")
        assert connection.execute(count).scalar_one() == 1
        with database.write() as session:
            add(session, 2)
        assert connection.execute(count).scalar_one() == 1


def test_a_lock_is_held_once(database: Database, url: str, opened: Open) -> None:
    other = opened(url)
    with database.hold("engine"):
        with pytest.raises(LockHeld), other.hold("engine"):
            pass
        with other.hold("another"):
            pass
    with other.hold("engine"):
        pass
