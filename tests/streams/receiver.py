"""An API that receives files into a folder: `python -m tests.streams.receiver FOLDER` runs one in a process."""

import contextlib
import subprocess
import sys
from collections.abc import AsyncIterator, Iterator, Mapping
from contextlib import asynccontextmanager
from pathlib import Path
from typing import Annotated

import uvicorn
from fastapi import Depends, FastAPI, Header, HTTPException, Request
from starlette.responses import JSONResponse, Response

from tailrace.storage import LocalStorage
from tailrace.streams import Drain, EarlyAnswer, Incoming, Intake, Part, StreamGuard, UploadRefused, multipart, store

ORDINARY = Intake(max_bytes=500_000_000)
TOKEN = "Bearer let-me-in"


class NotWanted(Exception):
    """Files that begin like this are not wanted."""


class Sniffer:
    """An inspector that refuses by the first bytes, or by the last."""

    def __init__(self) -> None:
        self._seen = 0
        self._last = b""

    def feed(self, data: bytes) -> None:
        if self._seen == 0 and data.startswith(b"no"):
            raise NotWanted
        self._seen += len(data)
        self._last = data[-4:]

    def finish(self) -> None:
        if self._last.endswith(b"bad"):
            raise NotWanted


def make_receiver(folder: Path, intake: Intake = ORDINARY, seen: list[str] | None = None) -> FastAPI:
    """Return an API that stores what it is sent, and appends the kind of each refusal to `seen`."""
    storage = LocalStorage(folder)
    seen = [] if seen is None else seen
    drain = Drain()

    @asynccontextmanager
    async def lifespan(_app: FastAPI) -> AsyncIterator[None]:
        with drain.on_signals():
            yield

    app = FastAPI(lifespan=lifespan)
    app.add_middleware(EarlyAnswer)
    app.add_middleware(StreamGuard)
    _explain(app, seen)

    @app.post("/files/{name}", status_code=201, dependencies=[Depends(_signed_in)])
    async def receive(request: Request, name: str) -> Mapping[str, int | str]:
        file = await store(
            Incoming(request, intake, drain=drain), storage.write(f"files/{name}"), inspectors=[Sniffer()]
        )
        return {"size": file.size, "sha256": file.sha256}

    async def take(part: Part, key: str, *, go_on: bool) -> int:
        try:
            return (await store(part.pieces(), storage.write(key), inspectors=[Sniffer()])).size
        except NotWanted:
            if not go_on:
                raise
            seen.append(NotWanted.__name__)
            return -1

    @app.post("/form", status_code=201, dependencies=[Depends(_signed_in)])
    async def receive_form(request: Request, go_on: bool = False) -> list[tuple[str, str | None, int]]:
        parts: list[tuple[str, str | None, int]] = []
        async for part in multipart(Incoming(request, intake, drain=drain), request.headers.get("content-type")):
            if part.filename is None:
                parts.append((part.name, None, len(await part.text())))
            else:
                parts.append((part.name, part.filename, await take(part, f"form/{len(parts)}", go_on=go_on)))
        return parts

    return app


def _signed_in(authorization: Annotated[str, Header()] = "") -> None:
    if authorization != TOKEN:
        raise HTTPException(401)


def _explain(app: FastAPI, seen: list[str]) -> None:
    @app.exception_handler(UploadRefused)
    async def refuse(_request: Request, error: UploadRefused) -> Response:
        seen.append(type(error).__name__)
        return JSONResponse({"detail": str(error)}, error.status, headers=dict(error.headers))

    @app.exception_handler(NotWanted)
    async def reject(_request: Request, error: NotWanted) -> Response:
        seen.append(type(error).__name__)
        return JSONResponse({"detail": NotWanted.__doc__}, 415)


@contextlib.contextmanager
def receiver_process(folder: Path) -> Iterator[tuple[str, subprocess.Popen[str]]]:
    """Run the API in a process of its own, and give its address and the process."""
    command = [sys.executable, "-m", "tests.streams.receiver", str(folder)]
    with subprocess.Popen(command, stdout=subprocess.PIPE, text=True) as process:
        assert process.stdout is not None
        try:
            yield process.stdout.readline().strip(), process
        finally:
            process.kill()


class _Server(uvicorn.Server):
    async def startup(self, sockets: object = None) -> None:
        await super().startup()
        port = self.servers[0].sockets[0].getsockname()[1]
        print(f"http://127.0.0.1:{port}", flush=True)


if __name__ == "__main__":
    config = uvicorn.Config(
        make_receiver(Path(sys.argv[1])), port=0, log_level="error", timeout_graceful_shutdown=2, access_log=False
    )
    _Server(config).run()
