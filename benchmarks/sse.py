"""Server-sent events to many connections: events delivered a second, beside sse-starlette and fastapi.sse.

Every server is one uvicorn process that learns of the events from the same event log in SQLite; the peers' connections
are fed from one reader of it through a queue each, as their own examples do. A publisher, in a process of its own,
commits each event in its own transaction: either all at once (`burst`), or the next one when every connection has
received the last (`one by one`), so that nothing can be sent together. The clients are processes that count bytes.

    python benchmarks/sse.py [--quick]
"""

import argparse
import asyncio
import contextlib
import multiprocessing
import resource
import selectors
import socket
import subprocess
import sys
import tempfile
import time
from collections.abc import AsyncIterator, Iterator
from dataclasses import dataclass
from multiprocessing.sharedctypes import Synchronized
from pathlib import Path
from typing import Any

import fastapi.sse
import sse_starlette
import uvicorn
from fastapi import FastAPI
from starlette.responses import Response

from tailrace.database import Base, Database, publish
from tailrace.streams import Broker, Event, EventStream, StreamGuard, record

CLIENTS = 2
GOALS = {"sse-starlette": 2.0, "fastapi.sse": 5.0}
MARK = b"data:"
CHANNEL = "load"


def open_database(path: str) -> Database:
    database = Database(f"sqlite:///{path}", record=record)
    Base.metadata.create_all(database.engine, tables=[Base.metadata.tables["events"]])
    return database


def make_app(kind: str, path: str) -> FastAPI:
    database = open_database(path)
    queues: set[asyncio.Queue[Event]] = set()

    @contextlib.asynccontextmanager
    async def lifespan(app: FastAPI) -> AsyncIterator[None]:
        async with Broker(database) as app.state.broker:
            feeding = asyncio.create_task(feed(app.state.broker, queues)) if kind != "tailrace" else None
            yield
            if feeding is not None:
                feeding.cancel()

    app = FastAPI(lifespan=lifespan)
    add_route = {"tailrace": add_tailrace, "sse-starlette": add_sse_starlette, "fastapi.sse": add_fastapi}[kind]
    add_route(app, queues)
    return app


async def feed(broker: Broker, queues: set[asyncio.Queue[Event]]) -> None:
    subscription = await broker.subscribe([CHANNEL])
    while True:
        for batch in await subscription.take():
            for event, _ in batch.parts:
                for queue in queues:
                    queue.put_nowait(event)


async def events_of(queues: set[asyncio.Queue[Event]]) -> AsyncIterator[Event]:
    queue: asyncio.Queue[Event] = asyncio.Queue()
    queues.add(queue)
    try:
        while True:
            yield await queue.get()
    finally:
        queues.discard(queue)


def add_tailrace(app: FastAPI, _queues: set[asyncio.Queue[Event]]) -> None:
    app.add_middleware(StreamGuard)

    @app.get("/events")
    async def events() -> Response:
        return EventStream(broker=app.state.broker, channels=[CHANNEL])


def add_sse_starlette(app: FastAPI, queues: set[asyncio.Queue[Event]]) -> None:
    async def messages() -> AsyncIterator[sse_starlette.ServerSentEvent]:
        async for event in events_of(queues):
            yield sse_starlette.ServerSentEvent(data=event.data, event=event.name, id=event.id)

    @app.get("/events")
    async def events() -> Response:
        return sse_starlette.EventSourceResponse(messages())


def add_fastapi(app: FastAPI, queues: set[asyncio.Queue[Event]]) -> None:
    @app.get("/events", response_class=fastapi.sse.EventSourceResponse)
    async def events() -> AsyncIterator[fastapi.sse.ServerSentEvent]:
        async for event in events_of(queues):
            yield fastapi.sse.ServerSentEvent(raw_data=event.data, event=event.name, id=event.id)


@dataclass(frozen=True)
class Load:
    """What is asked of a server."""

    connections: int
    events: int
    window: int


def receive(port: int, connections: int, ready: Any, received: "Synchronized[int]") -> None:
    """Open `connections` streams and count the events that arrive, until the server closes them."""
    raise_limit()
    selector = selectors.DefaultSelector()
    for _ in range(connections):
        connection = socket.create_connection(("127.0.0.1", port))
        connection.sendall(b"GET /events HTTP/1.1\r\nHost: localhost\r\n\r\n")
        head = b""
        while b"\r\n\r\n" not in head:
            head += connection.recv(1024)
        selector.register(connection, selectors.EVENT_READ, [b""])
    ready.release()
    while selector.get_map():
        count = 0
        for key, _ in selector.select():
            count += count_events(key, selector)
        with received.get_lock():
            received.value += count


def count_events(key: selectors.SelectorKey, selector: selectors.BaseSelector) -> int:
    connection: socket.socket = key.fileobj  # type: ignore[assignment]
    rest: list[bytes] = key.data
    with contextlib.suppress(ConnectionResetError):
        if piece := connection.recv(1 << 18):
            text = rest[0] + piece
            rest[0] = text[1 - len(MARK) :]
            return text.count(MARK)
    selector.unregister(connection)
    connection.close()
    return 0


def send(path: str, load: Load, received: "Synchronized[int]") -> None:
    """Publish the events, never more than `window` ahead of the connections."""
    database = open_database(path)
    for number in range(load.events):
        while received.value < (number + 1 - load.window) * load.connections:
            time.sleep(0.0002)
        with database.write() as session:
            publish(session, CHANNEL, "task.updated", {"id": number, "title": "Repair the pump", "status": "doing"})
    database.dispose()


def measure(kind: str, load: Load) -> float:
    """Return how many events a second the server `kind` delivers."""
    with tempfile.TemporaryDirectory() as folder:
        path = str(Path(folder, "events.db"))
        open_database(path).dispose()
        with serve(kind, path) as port:
            return run_load(port, path, load)


def run_load(port: int, path: str, load: Load) -> float:
    context = multiprocessing.get_context("spawn")
    ready, received = context.Semaphore(0), context.Value("q", 0)
    share = load.connections // CLIENTS
    clients = [context.Process(target=receive, args=(port, share, ready, received)) for _ in range(CLIENTS)]
    publisher = context.Process(target=send, args=(path, load, received))
    try:
        for client in clients:
            client.start()
        for _ in clients:
            ready.acquire()
        time.sleep(0.5)  # the peers' reader subscribes, and everybody settles
        publisher.start()
        while not received.value:
            time.sleep(0.0005)
        began = time.perf_counter()
        while received.value < load.events * load.connections:
            time.sleep(0.001)
        return load.events * load.connections / (time.perf_counter() - began)
    finally:
        for process in [*clients, publisher]:
            process.kill()


@contextlib.contextmanager
def serve(kind: str, path: str) -> Iterator[int]:
    with socket.socket() as probe:
        probe.bind(("127.0.0.1", 0))
        port = probe.getsockname()[1]
    server = subprocess.Popen([sys.executable, __file__, "--serve", kind, "--port", str(port), "--database", path])
    try:
        deadline = time.monotonic() + 30
        while True:
            with contextlib.suppress(OSError), socket.create_connection(("127.0.0.1", port)):
                break
            if time.monotonic() > deadline:
                raise TimeoutError("the server does not start")
            time.sleep(0.05)
        yield port
    finally:
        server.kill()
        server.wait()


def raise_limit() -> None:
    """Allow as many connections as the system lets a process have."""
    _, hard = resource.getrlimit(resource.RLIMIT_NOFILE)
    resource.setrlimit(resource.RLIMIT_NOFILE, (hard, hard))


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--quick", action="store_true")
    parser.add_argument("--serve", help=argparse.SUPPRESS)
    parser.add_argument("--port", type=int, help=argparse.SUPPRESS)
    parser.add_argument("--database", help=argparse.SUPPRESS)
    given = parser.parse_args()
    raise_limit()
    if given.serve:
        uvicorn.run(make_app(given.serve, given.database), port=given.port, log_level="error", access_log=False)
        return
    connections, repeat = (50, 1) if given.quick else (1000, 2)
    for name, load in {
        "one by one": Load(connections, 10 if given.quick else 100, 1),
        "burst": Load(connections, 20 if given.quick else 100, 1_000_000),
    }.items():
        kinds = ("tailrace", *GOALS)
        runs = [{kind: measure(kind, load) for kind in kinds} for _ in range(repeat)]
        best = {kind: max(run[kind] for run in runs) for kind in kinds}
        print(f"{name}, {connections} connections: tailrace {best['tailrace']:,.0f} events/s", flush=True)
        for kind, goal in GOALS.items():
            ratio = best["tailrace"] / best[kind]
            print(f"    {kind:14} {best[kind]:10,.0f} events/s   ratio {ratio:.1f}, goal {goal:g}", flush=True)


if __name__ == "__main__":
    main()
