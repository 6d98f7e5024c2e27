"""Text that is sent as it comes."""

import asyncio
import threading
from collections.abc import AsyncGenerator, Iterator

import pytest
from fastapi import FastAPI
from starlette.responses import Response

from tailrace.streams import Drain, StreamGuard, TextStream, counter_stream
from tailrace.streams.testing import parse_messages
from tests.streams.serving import Listening, curl, serving, wait_for


class Service:
    """An application of text streams, and what its tests turn."""

    def __init__(self) -> None:
        self.drain = Drain()
        self.endless = 0
        self.closed = threading.Event()

    def app(self) -> FastAPI:
        app = FastAPI()
        app.add_middleware(StreamGuard)

        @app.get("/stream")
        async def stream(limit: int = 5, interval: float = 0) -> Response:
            return counter_stream(limit, interval, drain=self.drain)

        @app.get("/log")
        async def log(farewell: str | None = None) -> Response:
            return TextStream(self._lines(), farewell=farewell.encode() if farewell else None, drain=self.drain)

        @app.get("/busy")
        async def busy() -> Response:
            return TextStream(self._never_waits(), drain=self.drain)

        return app

    async def _lines(self) -> AsyncGenerator[bytes]:
        yield b"one\n"
        await asyncio.Event().wait()

    async def _never_waits(self) -> AsyncGenerator[bytes]:
        try:
            while True:
                self.endless += 1
                yield b"."
        finally:
            self.closed.set()


@pytest.fixture
def service() -> Service:
    return Service()


@pytest.fixture
def address(service: Service) -> Iterator[str]:
    with serving(service.app()) as address:
        yield address


def test_the_counter_counts_and_ends(address: str) -> None:
    answer = curl(address + "/stream?limit=3&interval=0")
    assert (answer.exit, answer.headers["content-type"]) == (0, "text/event-stream; charset=utf-8")
    assert [(message.id, message.data) for message in parse_messages([answer.body])] == [
        ("1", "1"),
        ("2", "2"),
        ("3", "3"),
    ]


def test_the_drain_ends_the_counter_with_a_hint(address: str, service: Service) -> None:
    with Listening(address + "/stream?limit=5&interval=60") as client:
        wait_for(lambda: bool(client.messages))
        service.drain.start()
        wait_for(lambda: client.ended)
        assert [message.name for message in client.messages] == ["message", "drain"]
        assert not client.broken


ENDS = [("/log", True, b"one\n"), ("/log?farewell=bye", False, b"one\nbye")]


@pytest.mark.parametrize(("path", "broken", "text"), ENDS)
def test_the_drain_ends_text_with_a_farewell_or_breaks_it(
    address: str, service: Service, path: str, broken: bool, text: bytes
) -> None:
    with Listening(address + path) as client:
        wait_for(lambda: client.pieces == [b"one\n"])
        service.drain.start()
        wait_for(lambda: client.ended)
        assert (client.broken, b"".join(client.pieces)) == (broken, text)


def test_text_that_is_always_ready_holds_up_nobody_and_ends_with_its_client(address: str, service: Service) -> None:
    with Listening(address + "/busy") as client:
        wait_for(lambda: bool(client.pieces))
        assert curl(address + "/stream?limit=1").exit == 0
        client.close()
        wait_for(service.closed.is_set)
