"""Events as server-sent events, over a real server, on both databases."""

import http.client
import socket
import threading
from collections.abc import AsyncIterator, Awaitable, Callable, Iterator
from contextlib import asynccontextmanager, closing, suppress
from dataclasses import dataclass, field, replace
from typing import Annotated, Any

import pytest
from fastapi import FastAPI, Header, Request
from sqlalchemy import text
from starlette.responses import Response

from tailrace.database import Database, publish, utcnow
from tailrace.streams import Broker, Drain, Event, EventStream, Pace, StreamGuard, prune_events
from tailrace.streams.testing import parse_messages
from tests.streams.serving import Listening, curl, serving, wait_for

QUICK = Pace(heartbeat_s=0.05, authorize_every_s=0.05)


@dataclass
class Service:
    """An application of event streams, and what its tests turn."""

    database: Database
    drain: Drain = field(default_factory=Drain)
    pace: Pace = QUICK
    allowed: bool = True
    backlog_bytes: int = 1 << 20
    address: str = ""

    def app(self) -> FastAPI:
        app = FastAPI(lifespan=self._lifespan)

        @app.middleware("http")
        async def pass_on(request: Request, call_next: Callable[[Request], Awaitable[Response]]) -> Response:
            return await call_next(request)

        app.add_middleware(StreamGuard)

        @app.get("/{channels}")
        async def events(
            channels: str,
            replay: bool = False,
            ends: bool = False,
            last_event_id: Annotated[str | None, Header()] = None,
        ) -> Response:
            return EventStream(
                broker=self.broker,
                channels=channels.split(","),
                last_event_id=last_event_id,
                replay_all=replay,
                authorize=lambda: self.allowed,
                until=is_final if ends else None,
                drain=self.drain,
                pace=self.pace,
            )

        return app

    @asynccontextmanager
    async def _lifespan(self, _app: FastAPI) -> AsyncIterator[None]:
        async with Broker(self.database, backlog_bytes=self.backlog_bytes) as self.broker:
            yield

    def tell(self, channel: str, *numbers: int, **more: Any) -> None:
        with self.database.write() as session:
            for number in numbers:
                publish(session, channel, "told", {"number": number, **more})

    def listen(self, path: str, last_event_id: str | None = None) -> Listening:
        return Listening(self.address + path, {"Last-Event-ID": last_event_id} if last_event_id else None)


def is_final(event: Event) -> bool:
    return '"final":true' in event.data


@pytest.fixture
def service(database: Database) -> Iterator[Service]:
    service = Service(database)
    with serving(service.app()) as service.address:
        yield service


def test_live_events_arrive_in_order_on_the_channels_asked_for(service: Service) -> None:
    service.tell("a", 0)
    with service.listen("/a,b") as both, service.listen("/b") as one:
        wait_for(lambda: bool(both.pieces and one.pieces))
        for number in range(1, 51):
            service.tell("ab"[number % 2], number)
            service.tell("c", -number)
        wait_for(lambda: len(both.messages) == 50 and len(one.messages) == 25)
        assert both.numbers() == list(range(1, 51))
        assert one.numbers() == list(range(1, 51, 2))
        assert {message.name for message in both.messages} == {"told"}


def test_heartbeats_are_comments(service: Service) -> None:
    with service.listen("/a") as client:
        wait_for(lambda: b"".join(client.pieces).count(b":\n\n") >= 2)
        assert client.messages == []


def test_a_client_that_comes_back_gets_every_event_once_and_in_order(service: Service) -> None:
    def write() -> None:
        for number in range(300):
            service.tell("a", number)

    writing = threading.Thread(target=write)
    seen: list[int] = []
    last_id = "0"
    writing.start()
    while len(seen) < 300:
        client = service.listen("/a", last_id)
        client.wait_for_messages(min(40, 300 - len(seen)))
        client.close()
        seen += client.numbers()
        last_id = client.last_id
    writing.join()
    assert seen == list(range(300))


def test_a_client_that_lost_its_connection_before_its_first_event_misses_none(service: Service) -> None:
    with service.listen("/a") as client:
        wait_for(lambda: bool(client.pieces))
        client.close()
    service.tell("a", 1)
    with service.listen("/a", client.last_id) as client:
        wait_for(lambda: client.numbers() == [1])


def test_replay_all_begins_at_the_beginning_and_goes_on_live(service: Service) -> None:
    service.tell("a", *range(1203))
    with service.listen("/a?replay=true") as client:
        wait_for(lambda: len(client.messages) == 1203)
        service.tell("a", 1203)
        wait_for(lambda: len(client.messages) == 1204)
        assert client.numbers() == list(range(1204))


def test_a_stream_with_an_end_ends_after_its_final_event(service: Service) -> None:
    service.tell("a", 1)
    with service.listen("/a?replay=true&ends=true") as client:
        service.tell("a", 2, final=True)
        wait_for(lambda: client.ended)
        assert (client.numbers(), client.broken) == ([1, 2], False)


def test_a_final_event_that_a_later_one_took_back_does_not_end_the_stream(service: Service) -> None:
    service.tell("a", 1, final=True)
    service.tell("a", 2)
    with service.listen("/a?replay=true&ends=true") as client:
        wait_for(lambda: client.numbers() == [1, 2])
        service.tell("a", 3)
        wait_for(lambda: client.numbers() == [1, 2, 3])
        assert not client.ended
        service.tell("a", 4, final=True)
        wait_for(lambda: client.ended)
        assert (client.numbers(), client.broken) == ([1, 2, 3, 4], False)


def test_a_stream_that_had_ended_before_ends_at_once_for_newcomers(service: Service) -> None:
    service.tell("a", 1, final=True)
    service.tell("b", 2)
    assert curl(service.address + "/a?ends=true").exit == 0
    assert b"told" in curl(service.address + "/a?ends=true&replay=true").body


def test_who_comes_back_after_the_end_is_told_to_stop(service: Service) -> None:
    service.tell("a", 1, final=True)
    with service.listen("/a?ends=true&replay=true") as client:
        wait_for(lambda: client.ended)
    answer = curl(service.address + "/a?ends=true", "-H", f"Last-Event-ID: {client.last_id}")
    assert (answer.status, answer.body) == (204, b"")


def test_who_missed_pruned_events_is_told_to_start_afresh(service: Service) -> None:
    service.tell("a", 1)
    with service.listen("/a", "0") as client:
        wait_for(lambda: client.numbers() == [1])
    service.tell("a", 2)
    service.tell("b", 3)
    with service.database.write() as session:
        assert prune_events(session, before=utcnow()) == 2
    with service.listen("/a", client.last_id) as client:
        wait_for(lambda: bool(client.messages))
        assert (client.messages[0].name, client.messages[0].json()) == ("reset", {"reason": "pruned"})
        service.tell("a", 4)
        wait_for(lambda: client.numbers() == [4])


def test_who_is_overtaken_by_the_pruning_while_catching_up_is_told_too(service: Service) -> None:
    # A page has 500 events, the first one more bytes than the sockets hold; on their way a few pages wait in memory.
    service.tell("a", *range(500), note="n" * 40_000)
    service.tell("a", *range(500, 4000))
    connection = http.client.HTTPConnection(service.address.removeprefix("http://"), timeout=20)
    with closing(connection):
        connection.request("GET", "/a?replay=true")
        response = connection.getresponse()
        with service.database.write() as session:
            assert prune_events(session, before=utcnow()) == 3999
        seen = []
        for message in parse_messages(iter(lambda: response.read1(65536), b"")):
            seen.append(message.json().get("number", message.name))
            if seen[-1] == 3999:
                break
    # Those that were read before the pruning are on their way, and nothing between them is missing.
    # A pruning that falls between a page and the look at the log behind it is told once too often, ahead of that page.
    before = [number for number in seen[:-2] if number != "reset"]
    assert before == list(range(len(before)))
    assert len(before) in range(500, 3501, 500)
    assert seen[-2:] == ["reset", 3999]


def test_a_position_that_the_log_has_not_reached_is_reset(service: Service) -> None:
    service.tell("a", 1)
    with service.listen("/a", str(2**62)) as client:
        wait_for(lambda: bool(client.messages))
        assert client.messages[0].name == "reset"
        service.tell("a", 2)
        wait_for(lambda: client.numbers() == [2])


def test_the_drain_ends_streams_cleanly_with_a_hint(service: Service) -> None:
    with service.listen("/a") as first, service.listen("/a") as second:
        wait_for(lambda: service.drain.open_streams == 2)
        service.drain.start()
        wait_for(lambda: first.ended and second.ended)
        assert [message.name for message in first.messages + second.messages] == ["drain", "drain"]
        assert not first.broken
        assert not second.broken
    late = curl(service.address + "/a")
    assert (late.exit, late.status) == (0, 200)
    assert b"event: drain\n" in late.body


def test_a_stream_that_is_old_ends_cleanly_with_a_hint(service: Service) -> None:
    service.pace = replace(QUICK, least_age_s=0.05, greatest_age_s=0.1)
    answer = curl(service.address + "/a")
    assert answer.exit == 0
    assert b"event: reconnect\n" in answer.body


def test_a_stream_ends_when_its_reader_is_no_longer_authorized(service: Service) -> None:
    with service.listen("/a") as client:
        wait_for(lambda: bool(client.pieces))
        service.allowed = False
        wait_for(lambda: client.ended)
        assert client.messages[-1].name == "denied"
        assert not client.broken


def test_a_reader_too_slow_is_cut_and_catches_up_from_the_log(database: Database) -> None:
    service = Service(database, backlog_bytes=100_000)
    total = 60
    with serving(service.app()) as service.address:
        with SlowReader(service.address, "/a") as take_all:
            assert service.drain.open_streams == 1
            for number in range(total):
                service.tell("a", number, padding="x" * 200_000)
            wait_for(lambda: service.drain.open_streams == 0)
            got = take_all()
        assert not got.endswith(b"0\r\n\r\n")
        ids = [line[4:] for line in got.split(b"\n") if line.startswith(b"id: ")]
        seen = got.count(b"event: told")
        assert seen < total
        # The last id may belong to an event that did not arrive whole, so the one before it is where to go on.
        with service.listen("/a", ids[-2].decode()) as client:
            wait_for(lambda: bool(client.numbers()) and client.numbers()[-1] == total - 1)
            numbers = client.numbers()
        assert numbers == list(range(numbers[0], total))
        assert numbers[0] <= seen


def test_a_stalled_reader_is_cut(database: Database) -> None:
    service = Service(database, pace=replace(QUICK, stall_s=0.2), backlog_bytes=1 << 30)
    with serving(service.app()) as service.address, SlowReader(service.address, "/a"):
        assert service.drain.open_streams == 1
        for number in range(40):
            service.tell("a", number, padding="x" * 400_000)
        wait_for(lambda: service.drain.open_streams == 0)


class SlowReader:
    """A connection whose client reads to where the stream says it stands, and nothing more until asked."""

    def __init__(self, address: str, path: str) -> None:
        host, port = address.split("/")[2].split(":")
        self._socket = socket.socket()
        self._socket.setsockopt(socket.SOL_SOCKET, socket.SO_RCVBUF, 4096)
        self._socket.connect((host, int(port)))
        self._socket.sendall(f"GET {path} HTTP/1.1\r\nHost: {host}\r\n\r\n".encode())
        self._got = b""
        while b"retry: " not in self._got:
            self._got += self._socket.recv(1)

    def __enter__(self) -> Callable[[], bytes]:
        return self._take_all

    def __exit__(self, *_error: object) -> None:
        self._socket.close()

    def _take_all(self) -> bytes:
        with suppress(ConnectionResetError):
            while piece := self._socket.recv(1 << 20):
                self._got += piece
        return self._got


def test_nobody_listens_while_nobody_subscribes(service: Service) -> None:
    with service.listen("/a") as client:
        wait_for(lambda: bool(client.pieces))
        assert service.broker.is_reading
    wait_for(lambda: not service.broker.is_reading)
    service.tell("a", 1)
    with service.listen("/a") as client:
        wait_for(lambda: bool(client.pieces))
        service.tell("a", 2)
        wait_for(lambda: client.numbers() == [2])


def test_a_log_that_cannot_be_read_for_a_while_only_delays_events(
    service: Service, caplog: pytest.LogCaptureFixture
) -> None:
    with service.listen("/a") as client:
        wait_for(lambda: bool(client.pieces))
        execute(service.database, "ALTER TABLE events RENAME TO events_away")
        wait_for(lambda: "The event log cannot be read" in caplog.text)
        execute(service.database, "ALTER TABLE events_away RENAME TO events")
        service.tell("a", 1, 2)
        wait_for(lambda: client.numbers() == [1, 2])


def test_a_database_server_that_drops_its_connections_only_delays_events(service: Service) -> None:
    if service.database.is_sqlite:
        pytest.skip("SQLite has no server")
    with service.listen("/a") as client:
        wait_for(lambda: bool(client.pieces))
        execute(
            service.database,
            "SELECT pg_terminate_backend(pid, 30000) FROM pg_stat_activity"
            " WHERE datname = current_database() AND pid <> pg_backend_pid()",
        )
        service.tell("a", 1)
        wait_for(lambda: client.numbers() == [1])
        service.tell("a", 2)
        wait_for(lambda: client.numbers() == [1, 2])


def execute(database: Database, statement: str) -> None:
    with database.write() as session:
        session.execute(text(statement))
