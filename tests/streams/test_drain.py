"""Streams learn that the server is about to stop."""

import asyncio
import os
import signal
import subprocess
import sys
import threading
from collections.abc import Iterator
from pathlib import Path

import pytest

from tailrace.streams import Drain
from tests.streams.serving import Listening, wait_for

SERVICE = """
import sys
from contextlib import asynccontextmanager
from fastapi import FastAPI
import uvicorn
from tailrace.database import Base, Database
from tailrace.streams import Broker, Drain, EventStream, StreamGuard, record

database = Database(sys.argv[1], record=record)
Base.metadata.create_all(database.engine)
drain = Drain()

@asynccontextmanager
async def lifespan(app):
    async with Broker(database) as app.state.broker:
        with drain.on_signals():
            yield
    print("shut down", flush=True)

app = FastAPI(lifespan=lifespan)
app.add_middleware(StreamGuard)

@app.get("/events")
async def events():
    return EventStream(broker=app.state.broker, channels=["a"], drain=drain)

class Server(uvicorn.Server):
    async def startup(self, sockets=None):
        await super().startup(sockets)
        print(self.servers[0].sockets[0].getsockname()[1], flush=True)

Server(uvicorn.Config(app, port=0, log_level="critical")).run()
"""


@pytest.fixture
def process(tmp_path: Path) -> Iterator[subprocess.Popen[str]]:
    command = [sys.executable, "-c", SERVICE, f"sqlite:///{tmp_path / 'drain.db'}"]
    with subprocess.Popen(command, stdout=subprocess.PIPE, text=True) as process:
        yield process
        process.kill()


@pytest.mark.parametrize("number", [signal.SIGTERM, signal.SIGINT])
def test_a_signal_ends_open_streams_cleanly_and_then_the_server(
    process: subprocess.Popen[str], number: signal.Signals
) -> None:
    assert process.stdout is not None
    address = f"http://127.0.0.1:{process.stdout.readline().strip()}"
    clients = [Listening(address + "/events") for _ in range(50)]
    wait_for(lambda: all(client.pieces for client in clients))
    process.send_signal(number)
    wait_for(lambda: all(client.ended for client in clients))
    assert [[message.name for message in client.messages] for client in clients] == [["drain"]] * 50
    assert not any(client.broken for client in clients)
    assert process.stdout.read() == "shut down\n"
    process.wait()
    for client in clients:
        client.close()


def test_streams_are_told_once_on_their_own_loop() -> None:
    drain = Drain()
    told: list[threading.Thread] = []

    async def stream() -> None:
        done = asyncio.Event()

        def on_start() -> None:
            told.append(threading.current_thread())
            done.set()

        with drain.watched(on_start):
            assert drain.open_streams == 1
            starting = threading.Thread(target=start_thrice, args=(drain,))
            starting.start()
            await done.wait()
            starting.join()
        assert drain.open_streams == 0

    asyncio.run(stream())
    assert told == [threading.current_thread()]
    assert drain.started


def start_thrice(drain: Drain) -> None:
    for _ in range(3):
        drain.start()


def test_a_stream_that_opens_after_the_start_is_told_too() -> None:
    drain = Drain()
    drain.start()

    async def stream() -> None:
        done = asyncio.Event()
        with drain.watched(done.set):
            await done.wait()

    asyncio.run(stream())


def test_the_handlers_that_were_there_are_called_and_come_back() -> None:
    called: list[int] = []

    def handler(number: int, _frame: object) -> None:
        called.append(number)

    before = signal.signal(signal.SIGTERM, handler)
    try:
        drain = Drain()
        with drain.on_signals():
            os.kill(os.getpid(), signal.SIGTERM)
            wait_for(lambda: drain.started)
        assert called == [signal.SIGTERM]
        assert signal.getsignal(signal.SIGTERM) is handler
    finally:
        signal.signal(signal.SIGTERM, before)


def test_outside_the_main_thread_signals_are_left_alone() -> None:
    handlers: list[object] = []

    def install() -> None:
        with Drain().on_signals():
            handlers.append(signal.getsignal(signal.SIGTERM))

    thread = threading.Thread(target=install)
    thread.start()
    thread.join()
    assert handlers == [signal.getsignal(signal.SIGTERM)]
