"""Tables over a real server: whole, or visibly broken."""

import csv
import http.client
import io
import socket
import threading
import time
from collections.abc import Awaitable, Callable, Iterator
from contextlib import suppress
from dataclasses import dataclass, field

import pytest
from fastapi import FastAPI, Request
from sqlalchemy import text
from starlette.middleware.gzip import GZipMiddleware
from starlette.responses import PlainTextResponse, Response

from tailrace.database import Database
from tailrace.streams import Drain, Format, LeastRate, Slots, StreamGuard, TableStream
from tests.streams.serving import curl, serving, wait_for
from tests.streams.things import put, query

ROWS = 2_000


@dataclass
class Service:
    """An application that exports, and what its tests turn."""

    database: Database
    drain: Drain = field(default_factory=Drain)
    slots: Slots = field(default_factory=lambda: Slots(2))
    stall_s: float = 30
    least_rate: LeastRate = TableStream.least_rate
    address: str = ""

    def app(self) -> FastAPI:
        app = FastAPI()
        app.add_middleware(GZipMiddleware)

        @app.middleware("http")
        async def pass_on(request: Request, call_next: Callable[[Request], Awaitable[Response]]) -> Response:
            return await call_next(request)

        app.add_middleware(StreamGuard)

        @app.exception_handler(Exception)
        async def answer(_request: Request, error: Exception) -> Response:
            return PlainTextResponse(f"failed: {type(error).__name__}", 500)

        @app.api_route("/things.{file_format}", methods=["GET", "HEAD"])
        def things(file_format: Format, holder: str | None = None) -> Response:
            stream = TableStream(
                self.database,
                query(),
                file_format,
                filename=f"Übersicht.{file_format}",
                drain=self.drain,
                slots=self.slots,
                holder=holder,
                stall_s=self.stall_s,
            )
            stream.least_rate = self.least_rate
            return stream

        @app.get("/plain")
        def plain() -> str:
            return "here"

        return app


@pytest.fixture
def service(database: Database) -> Iterator[Service]:
    put(database, [{"id": number, "title": f"thing {number}", "note": "n" * 6000} for number in range(ROWS)])
    service = Service(database)
    with serving(service.app()) as service.address:
        yield service


@pytest.mark.parametrize("options", [[], ["--compressed"]])
def test_a_table_comes_whole(service: Service, options: list[str]) -> None:
    answer = curl(service.address + "/things.csv", *options)
    assert (answer.exit, answer.status) == (0, 200)
    rows = list(csv.reader(io.StringIO(answer.body.decode(), newline="")))
    assert [row[0] for row in rows] == ["id", *map(str, range(ROWS))]
    assert answer.headers["content-type"] == "text/csv; charset=utf-8; header=present"
    assert answer.headers["x-content-type-options"] == "nosniff"
    assert answer.headers["content-disposition"].startswith(
        "attachment; filename=\"ubersicht.csv\"; filename*=utf-8''%c3"
    )
    assert curl(service.address + "/things.jsonl", *options).body.count(b"\n") == ROWS


def test_head_has_the_headers_alone(service: Service) -> None:
    answer = curl(service.address + "/things.csv", "--head")
    assert (answer.exit, answer.status, answer.body) == (0, 200, b"")
    assert "content-disposition" in answer.headers


def test_a_failure_before_the_first_row_is_a_proper_error(service: Service) -> None:
    execute(service.database, "ALTER TABLE things RENAME TO elsewhere")
    answer = curl(service.address + "/things.csv")
    assert (answer.exit, answer.status) == (0, 500)
    assert answer.body.startswith(b"failed: ")


@pytest.mark.parametrize("options", [[], ["--compressed"], ["--http1.0"]])
def test_a_database_that_fails_midway_breaks_the_transfer(service: Service, options: list[str]) -> None:
    if service.database.is_sqlite:
        execute(service.database, "UPDATE things SET extra = 'no JSON' WHERE id = 1500")
    else:
        columns = "id, kind, title, note, 1 / (id - 1500) AS weight, done, due_on, made_at, extra"
        execute(service.database, "ALTER TABLE things RENAME TO elsewhere")
        execute(service.database, f"CREATE VIEW things AS SELECT {columns} FROM elsewhere")
    answer = curl(service.address + "/things.jsonl", *options)
    assert answer.exit in {18, 56}
    assert answer.status == 200
    assert 0 < answer.body.count(b"\n") <= 1500


def test_a_client_that_goes_frees_its_slot_and_its_snapshot(service: Service) -> None:
    for _ in range(6):
        with reading(service, "/things.csv") as connection:
            assert connection.recv(10)
    wait_for(lambda: service.slots.free == service.slots.count)
    assert service.database.engine.pool.checkedout() == 0  # type: ignore[attr-defined]
    assert curl(service.address + "/things.csv").exit == 0


def test_more_streams_than_slots_are_refused(service: Service) -> None:
    with reading(service, "/things.csv"), reading(service, "/things.csv"):
        wait_for(lambda: service.slots.free == 0)
        answer = curl(service.address + "/things.csv")
        assert (answer.status, answer.headers["retry-after"]) == (503, "5")
        assert answer.headers["content-type"] == "application/problem+json"
        assert curl(service.address + "/plain").body == b'"here"'
    wait_for(lambda: service.slots.free == 2)
    assert curl(service.address + "/things.csv").exit == 0


def test_nobody_takes_every_slot(service: Service) -> None:
    service.slots = Slots(3, per_holder=2)
    with reading(service, "/things.csv?holder=ann"), reading(service, "/things.csv?holder=ann"):
        wait_for(lambda: service.slots.free == 1)
        answer = curl(service.address + "/things.csv?holder=ann")
        assert (answer.status, answer.headers["retry-after"]) == (503, "5")
        assert b"You have 2 streams open" in answer.body
        assert curl(service.address + "/things.csv?holder=bob").exit == 0
    wait_for(lambda: service.slots.free == 3)
    assert curl(service.address + "/things.csv?holder=ann").status == 200


def test_a_stalled_reader_is_cut(service: Service) -> None:
    service.stall_s = 0.2
    with reading(service, "/things.csv") as connection:
        wait_for(lambda: service.slots.free == 1)
        wait_for(lambda: service.slots.free == 2)
        assert not read_all(connection).endswith(b"0\r\n\r\n")


def test_a_reader_that_takes_a_little_now_and_then_is_cut(service: Service) -> None:
    service.stall_s, service.least_rate = 1, LeastRate(50_000_000, over_s=0.5)
    with reading(service, "/things.csv") as connection:
        wait_for(lambda: service.slots.free == 1)
        sip(connection, until=lambda: service.slots.free == 2)
        assert not read_all(connection).endswith(b"0\r\n\r\n")


def test_a_reader_that_is_quick_enough_for_the_least_rate_gets_everything(service: Service) -> None:
    service.stall_s, service.least_rate = 4, LeastRate(10_000, over_s=0.1)
    assert curl(service.address + "/things.csv", "--limit-rate", "4M").body.count(b"\n") == ROWS + 1


def test_the_drain_breaks_what_is_not_whole_in_time(service: Service) -> None:
    with reading(service, "/things.csv") as connection:
        wait_for(lambda: service.slots.free == 1)
        service.drain.start()
        wait_for(lambda: service.slots.free == 2)
        assert not read_all(connection).endswith(b"0\r\n\r\n")


def test_the_drain_lets_a_quick_reader_finish(service: Service) -> None:
    reached = threading.Event()
    answers = []

    def fetch() -> None:
        reached.set()
        answers.append(curl(service.address + "/things.csv"))

    thread = threading.Thread(target=fetch)
    thread.start()
    reached.wait()
    service.drain.start()
    thread.join()
    assert (answers[0].exit, answers[0].body.count(b"\n")) == (0, ROWS + 1)


def reading(service: Service, path: str) -> socket.socket:
    """Return a connection whose client has asked for `path` and reads nothing."""
    host, port = service.address.split("/")[2].split(":")
    connection = socket.socket()
    connection.setsockopt(socket.SOL_SOCKET, socket.SO_RCVBUF, 4096)
    connection.settimeout(20)
    connection.connect((host, int(port)))
    connection.sendall(f"GET {path} HTTP/1.1\r\nHost: {host}\r\n\r\n".encode())
    return connection


def sip(connection: socket.socket, *, until: Callable[[], bool]) -> None:
    """Take a bit of what comes, again and again, so that it never stalls."""
    deadline = time.monotonic() + 20
    with suppress(ConnectionResetError):
        while not until():
            assert time.monotonic() < deadline, "it was not cut"
            connection.recv(100_000)
            time.sleep(0.1)


def read_all(connection: socket.socket) -> bytes:
    got = b""
    try:
        while piece := connection.recv(1 << 20):
            got += piece
    except (ConnectionResetError, http.client.HTTPException):
        pass
    return got


def execute(database: Database, statement: str) -> None:
    with database.write() as session:
        session.execute(text(statement))
