"""An API that streams the channels named in its path: `python -m tests.streams.api DATABASE` runs one in a process."""

import contextlib
import subprocess
import sys
from collections.abc import AsyncIterator, Iterator
from contextlib import asynccontextmanager
from typing import Annotated

import uvicorn
from fastapi import FastAPI, Header
from starlette.responses import Response

from tailrace.database import Database
from tailrace.streams import Broker, Drain, EventStream, Pace, StreamGuard

ORDINARY = Pace()


def make_api(database: Database, pace: Pace = ORDINARY) -> FastAPI:
    """Return an API over the event log of `database`, with a broker of its own."""

    @asynccontextmanager
    async def lifespan(app: FastAPI) -> AsyncIterator[None]:
        async with Broker(database) as app.state.broker:
            yield

    app = FastAPI(lifespan=lifespan)
    app.add_middleware(StreamGuard)
    drain = Drain()

    def is_allowed() -> bool:
        with database.read() as session:
            return session.connection() is not None

    @app.get("/{channels}")
    async def events(channels: str, last_event_id: Annotated[str | None, Header()] = None) -> Response:
        return EventStream(
            broker=app.state.broker,
            channels=channels.split(","),
            last_event_id=last_event_id,
            authorize=is_allowed,
            drain=drain,
            pace=pace,
        )

    return app


@contextlib.contextmanager
def process_on(url: str) -> Iterator[str]:
    """Run the API over the database at `url` in a process of its own, and give its address."""
    command = [sys.executable, "-m", "tests.streams.api", url]
    with subprocess.Popen(command, stdout=subprocess.PIPE, text=True) as process:
        assert process.stdout is not None
        try:
            yield process.stdout.readline().strip()
        finally:
            process.kill()


class _Server(uvicorn.Server):
    async def startup(self, sockets: object = None) -> None:
        await super().startup()
        port = self.servers[0].sockets[0].getsockname()[1]
        print(f"http://127.0.0.1:{port}", flush=True)


if __name__ == "__main__":
    _Server(uvicorn.Config(make_api(Database(sys.argv[1])), port=0, log_level="error")).run()
