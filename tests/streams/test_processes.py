"""Events on PostgreSQL over several API processes: what each reader meets, and what a lost server does to it."""

import contextlib
import json
import random
import signal
import time
from collections.abc import Iterator, Sequence
from concurrent.futures import ThreadPoolExecutor

import pytest
from psycopg import OperationalError
from sqlalchemy import text
from sqlalchemy.orm import Session

from tailrace.database import Base, Database, Fact, doorbell, publish
from tailrace.streams import Pace, adopt_order, encode_table, read_events, record
from tests.services import PostgresServer, postgres_url
from tests.streams.api import make_api, process_on
from tests.streams.serving import Listening, serving, wait_for
from tests.streams.things import put, query

WRITERS = 20
EACH = 25
LISTENERS = "SELECT pid FROM pg_stat_activity WHERE query LIKE 'LISTEN%' AND datname = current_database()"


@pytest.fixture
def database() -> Iterator[Database]:
    with _opened(postgres_url()) as database:
        yield database


@contextlib.contextmanager
def _opened(url: str) -> Iterator[Database]:
    """Give a database with an empty event log."""
    database = Database(url, record=record)
    Base.metadata.create_all(database.engine, tables=[Base.metadata.tables["events"]])
    yield database
    database.dispose()


def tell(database: Database, *numbers: int) -> None:
    with database.write() as session:
        for number in numbers:
            publish(session, "a", "told", {"number": number})


def test_no_reader_skips_or_repeats_an_event_whatever_the_writers_do(database: Database) -> None:
    """Twenty writers take their ids early and commit late, or never; two processes serve readers, some of whom move
    from one to the other with the id of their last event.
    """
    url = database.url.render_as_string(hide_password=False)
    with process_on(url) as one, process_on(url) as other, ThreadPoolExecutor(WRITERS + 2) as pool:
        steady = [Listening(f"{address}/a,b", {"Last-Event-ID": "0"}) for address in (one, other)]
        movers = [pool.submit(_read_by_turns, addresses) for addresses in ((one, other), (other, one))]
        writing = [pool.submit(_write_slowly, database, writer) for writer in range(WRITERS)]
        committed = {number for written in writing for number in written.result()}
        assert len(committed) > WRITERS * EACH / 2
        tell(database, -1)
        moved = [mover.result() for mover in movers]
        wait_for(lambda: all(reader.numbers()[-1:] == [-1] for reader in steady))
        met = [reader.numbers() for reader in steady] + moved
        for reader in steady:
            reader.close()
    assert [sorted(numbers) for numbers in met] == [[-1, *sorted(committed)]] * 4
    # All of them in one order, in which those of one writer are as it wrote them.
    assert met[1:] == [met[0]] * 3
    for writer in range(WRITERS):
        own = [number for number in met[0] if number // 1000 == writer]
        assert own == sorted(own)


def _write_slowly(database: Database, writer: int) -> list[int]:
    chance = random.Random(writer)
    committed = []
    for count in range(EACH):
        number = writer * 1000 + count
        with database.write() as session:
            record(session, [Fact(chance.choice("ab"), "told", {"number": number})])
            if chance.random() < 0.3:
                with session.begin_nested():
                    record(session, [Fact("c", "elsewhere", {})])
            time.sleep(chance.random() ** 3 * 0.15)
            if chance.random() < 0.25:
                session.rollback()
            else:
                committed.append(number)
    return committed


def _read_by_turns(addresses: Sequence[str]) -> list[int]:
    """Read, go away in the middle, and come back elsewhere with the last id, until -1 has come."""
    numbers: list[int] = []
    last_id = "0"
    for turn in range(10_000):
        with Listening(f"{addresses[turn % 2]}/a,b", {"Last-Event-ID": last_id}) as client:
            wait_for(lambda: len(client.messages) >= 7 or -1 in client.numbers())
            client.close()
            numbers += client.numbers()
            last_id = client.last_id
        if -1 in numbers:
            break
    return numbers


def test_what_a_slow_rollback_held_back_comes_within_moments(database: Database) -> None:
    with serving(make_api(database)) as address, Listening(f"{address}/a") as client, database.write() as slow:
        wait_for(lambda: bool(client.pieces))
        record(slow, [Fact("a", "told", {"number": 1})])
        tell(database, 2)
        time.sleep(0.3)
        assert client.numbers() == []
        slow.rollback()
        began = time.monotonic()
        wait_for(lambda: client.numbers() == [2])
        assert time.monotonic() - began < 10


def test_a_lost_connection_for_the_bell_is_made_anew(database: Database, monkeypatch: pytest.MonkeyPatch) -> None:
    # Who would only look now and then would see nothing before the test gives up.
    monkeypatch.setattr(doorbell._NotifyListener, "patience_s", 3600)
    with serving(make_api(database)) as address, Listening(f"{address}/a") as client:
        wait_for(lambda: bool(client.pieces))
        (before,) = _listeners(database)
        with database.write() as session:
            session.execute(text("SELECT pg_terminate_backend(:pid, 30000)"), {"pid": before})
        wait_for(lambda: _listeners(database) not in ([], [before]))
        for number in range(5):
            tell(database, number)
            wait_for(lambda: client.numbers()[-1:] == [number])  # noqa: B023 - called in the same turn


def test_a_server_that_goes_away_midway_is_no_end(database: Database) -> None:
    put(database, [{"id": number, "title": "x" * 1000} for number in range(20_000)])
    with database.snapshot() as connection:
        chunks = encode_table(connection, query(), "csv")
        assert next(chunks).rows
        assert next(chunks).rows
        with database.write() as other:
            pid = connection.connection.driver_connection.info.backend_pid  # type: ignore[union-attr]
            other.execute(text("SELECT pg_terminate_backend(:pid, 30000)"), {"pid": pid})
        with pytest.raises(OperationalError):
            list(chunks)
    with database.snapshot() as connection:
        assert sum(chunk.rows for chunk in encode_table(connection, query(), "csv")) == 20_000


def _listeners(database: Database) -> list[int]:
    with database.read() as session:
        return list(session.scalars(text(LISTENERS)))


@pytest.mark.parametrize("number", [signal.SIGINT, signal.SIGKILL], ids=["stopped", "killed"])
def test_a_stream_outlives_a_restart_of_postgresql(number: signal.Signals) -> None:
    server = PostgresServer()
    pace = Pace(heartbeat_s=0.1, authorize_every_s=0.1)
    try:
        url = server.start().replace("postgresql:", "postgresql+psycopg:")
        with (
            _opened(url) as database,
            serving(make_api(database, pace)) as address,
            Listening(f"{address}/a") as client,
        ):
            tell(database, 1)
            wait_for(lambda: client.numbers() == [1])
            server.stop(number)
            time.sleep(0.5)
            server.start()
            tell(database, 2)
            wait_for(lambda: client.numbers() == [1, 2])
            wait_for(lambda: len(_listeners(database)) == 1)
            tell(database, 3)
            wait_for(lambda: client.numbers() == [1, 2, 3])
            assert not client.ended
    finally:
        server.remove()


def test_a_stream_breaks_when_nobody_can_say_for_long_whether_it_may_go_on() -> None:
    server = PostgresServer()
    pace = Pace(heartbeat_s=0.1, authorize_every_s=0.1, unanswered_s=0.5)
    try:
        url = server.start().replace("postgresql:", "postgresql+psycopg:")
        with (
            _opened(url) as database,
            serving(make_api(database, pace)) as address,
            Listening(f"{address}/a") as client,
        ):
            wait_for(lambda: bool(client.pieces))
            server.stop()
            wait_for(lambda: client.ended)
            assert client.broken
    finally:
        server.remove()


def test_events_of_another_server_are_readable_and_come_first(database: Database) -> None:
    tell(database, 1, 2)
    with database.write() as session:
        # As a dump from a server that has counted further brings them.
        session.execute(text("UPDATE events SET xid = 4000000000000 + id"))
    tell(database, 3)
    with database.read() as session:
        assert _numbers(session) == [3]
    with database.write() as session:
        adopt_order(session)
    tell(database, 4)
    with database.read() as session:
        assert _numbers(session) == [1, 2, 3, 4]


def _numbers(session: Session) -> list[int]:
    return [json.loads(event.data)["number"] for event in read_events(session, limit=10)]
