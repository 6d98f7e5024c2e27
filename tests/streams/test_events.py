"""The event log."""

import json
import random
import threading
from collections.abc import Mapping
from datetime import timedelta
from typing import Any

import pytest
from sqlalchemy import text

from tailrace.database import Database, Fact, publish, utcnow
from tailrace.streams import START, Cursor, Event, last_events, latest, oldest, prune_events, read_events, record
from tests.streams.serving import wait_for

pytestmark = pytest.mark.conformance("database", by="address")


def tell(database: Database, channel: str, *numbers: int) -> None:
    with database.write() as session:
        for number in numbers:
            publish(session, channel, "told", {"number": number})


def numbers(events: list[Event]) -> list[int]:
    return [json.loads(event.data)["number"] for event in events]


def test_an_event_holds_the_fact(database: Database) -> None:
    began = utcnow()
    with database.write() as session:
        publish(session, "project:7", "task.created", {"title": "line\nbreak \u2028 ünï\0code", "id": 1})
    with database.read() as session:
        [event] = read_events(session, limit=10)
    assert (event.channel, event.name) == ("project:7", "task.created")
    assert json.loads(event.data) == {"title": "line\nbreak \u2028 ünï\0code", "id": 1}
    assert "\n" not in event.data
    assert began <= event.at <= utcnow()
    assert Cursor.parse(event.id) == event.cursor > START


def test_a_rolled_back_fact_is_unknown(database: Database) -> None:
    def undo() -> None:
        with database.write() as session:
            publish(session, "a", "told", {})
            raise RuntimeError("undone")

    with pytest.raises(RuntimeError, match="undone"):
        undo()
    with database.read() as session:
        assert read_events(session, limit=10) == []


def test_events_are_read_in_order_page_by_page_and_by_channel(database: Database) -> None:
    for number in range(10):
        tell(database, f"channel:{number % 2}", number)
    with database.read() as session:
        first = read_events(session, limit=4)
        rest = read_events(session, after=first[-1].cursor, limit=100)
        odd = read_events(session, channels={"channel:1"}, after=first[-1].cursor, limit=100)
        upto = read_events(session, channels=["channel:1", "channel:0"], upto=first[-1].cursor, limit=100)
        last = last_events(session, channels={"channel:0"}, limit=2)
        before = last_events(session, channels={"channel:0"}, upto=first[-1].cursor, limit=2)
    assert numbers(first) + numbers(rest) == list(range(10))
    assert numbers(odd) == [5, 7, 9]
    assert upto == first
    assert (numbers(last), numbers(before)) == ([6, 8], [0, 2])


def test_the_edges_of_the_log(database: Database) -> None:
    with database.read() as session:
        assert (oldest(session), latest(session)) == (START, START)
    tell(database, "a", 1, 2, 3)
    with database.read() as session:
        events = read_events(session, limit=10)
        assert (oldest(session), latest(session)) == (events[0].cursor, events[-1].cursor)


def test_pruning_removes_the_oldest_and_keeps_the_newest(database: Database) -> None:
    for number in range(6):
        tell(database, "a", number)
    with database.read() as session:
        middle = read_events(session, limit=10)[3].at
    with database.write() as session:
        assert prune_events(session, before=middle) == 3
    with database.write() as session:
        assert prune_events(session, before=utcnow() + timedelta(hours=1), limit=1) == 1
        assert prune_events(session, before=utcnow() + timedelta(hours=1)) == 1
        assert prune_events(session, before=utcnow() + timedelta(hours=1)) == 0
    with database.read() as session:
        assert numbers(read_events(session, limit=10)) == [5]


@pytest.mark.parametrize(
    ("fact", "error"),
    [
        (Fact("a", "two\nlines", {}), ValueError),
        (Fact("two\rlines", "told", {}), ValueError),
        (Fact("a", "", {}), ValueError),
        (Fact("a", "told", {"number": float("nan")}), ValueError),
        (Fact("a", "told", {"number": object()}), TypeError),
    ],
)
def test_what_could_not_be_sent_is_not_recorded(database: Database, fact: Fact, error: type[Exception]) -> None:
    with pytest.raises(error), database.write() as session:
        record(session, [fact])


def test_slow_writers_and_rollbacks_hide_no_event(database: Database) -> None:
    """A reader that always goes on after the last event it saw meets every committed event once."""
    writers, each = 20, 6
    threads = [threading.Thread(target=_write_slowly, args=(database, writer, each)) for writer in range(writers)]
    for thread in threads:
        thread.start()
    seen: list[Event] = []

    def all_seen() -> bool:
        with database.read() as session:
            seen.extend(read_events(session, after=seen[-1].cursor if seen else None, limit=7))
        return len(seen) >= writers * each and not any(thread.is_alive() for thread in threads)

    wait_for(all_seen)
    facts: list[Mapping[str, Any]] = [json.loads(event.data) for event in seen]
    assert [event.cursor for event in seen] == sorted(event.cursor for event in seen)
    for writer in range(writers):
        assert [fact["number"] for fact in facts if fact["writer"] == writer] == list(range(each))


def _write_slowly(database: Database, writer: int, each: int) -> None:
    chance = random.Random(writer)
    pause = "SELECT pg_sleep(:pause)" if not database.is_sqlite else "SELECT :pause"
    for number in range(each):
        if chance.random() < 0.3:
            with database.read() as session:
                record(session, [Fact("a", "told", {"writer": writer, "number": -1})])
                session.rollback()
        with database.write() as session:
            record(session, [Fact("a", "told", {"writer": writer, "number": number})])
            session.execute(text(pause), {"pause": chance.random() * 0.02})
