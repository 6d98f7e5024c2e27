"""Real servers and real clients for the tests of streams."""

import contextlib
import http.client
import re
import socket
import subprocess
import threading
import time
from collections.abc import Callable, Iterator
from dataclasses import dataclass
from typing import Self

import uvicorn
from starlette.types import ASGIApp

from tailrace.streams.testing import Message, parse_messages

WAIT_S = 20


@contextlib.contextmanager
def serving(app: ASGIApp, *, protocol: str = "httptools") -> Iterator[str]:
    """Serve `app` by uvicorn in a thread and give its address."""
    with socket.socket() as listener:
        listener.bind(("127.0.0.1", 0))
        port = listener.getsockname()[1]
        config = uvicorn.Config(app, log_level="critical", http=protocol, lifespan="on", timeout_graceful_shutdown=5)
        server = uvicorn.Server(config)
        thread = threading.Thread(target=server.run, kwargs={"sockets": [listener]})
        thread.start()
        try:
            wait_for(lambda: server.started)
            yield f"http://127.0.0.1:{port}"
        finally:
            server.should_exit = True
            thread.join(WAIT_S)


@dataclass(frozen=True)
class Answer:
    """What curl saw: its exit status, and the response."""

    exit: int
    status: int
    headers: dict[str, str]
    body: bytes


def curl(url: str, *options: str) -> Answer:
    """Fetch `url` with the real curl."""
    command = ["curl", "-sS", "-N", "-i", "--suppress-connect-headers", "--max-time", str(WAIT_S), *options, url]
    done = subprocess.run(command, capture_output=True, check=False)
    head, _, body = done.stdout.partition(b"\r\n\r\n")
    status, *lines = head.decode().split("\r\n")
    headers = dict(line.lower().split(": ", 1) for line in lines if ": " in line)
    return Answer(done.returncode, int(status.split()[1]) if status else 0, headers, body)


class Listening:
    """A client of server-sent events that reads in a thread until the stream ends."""

    def __init__(self, url: str, headers: dict[str, str] | None = None) -> None:
        self.messages: list[Message] = []
        self.pieces: list[bytes] = []
        self.broken = False
        self._connection = http.client.HTTPConnection(url.split("/")[2], timeout=WAIT_S)
        self._connection.request("GET", "/" + url.split("/", 3)[3], headers=headers or {})
        self._response = self._connection.getresponse()
        self.status = self._response.status
        self._thread = threading.Thread(target=self._read)
        self._thread.start()

    def _read(self) -> None:
        try:
            for message in parse_messages(self._pieces()):
                self.messages.append(message)
        except (http.client.HTTPException, OSError):
            self.broken = True

    def _pieces(self) -> Iterator[bytes]:
        while piece := self._response.read1(65536):
            self.pieces.append(piece)
            yield piece

    @property
    def ended(self) -> bool:
        """Whether the stream is over."""
        return not self._thread.is_alive()

    @property
    def last_id(self) -> str:
        """The id that a browser would send when it comes back."""
        ids: list[bytes] = re.findall(rb"^id: (.*)$", b"".join(self.pieces), re.MULTILINE)
        return str(ids[-1], "ascii")

    def numbers(self) -> list[int]:
        """The numbers in the messages so far."""
        return [message.json()["number"] for message in self.messages if message.name == "told"]

    def wait_for_messages(self, count: int) -> None:
        """Return when `count` messages have come."""
        wait_for(lambda: len(self.messages) >= count)

    def close(self) -> None:
        """Go away."""
        with contextlib.suppress(OSError):  # it may be reset already
            if self._connection.sock is not None:
                self._connection.sock.shutdown(socket.SHUT_RDWR)
        self._thread.join(WAIT_S)
        self._response.close()
        self._connection.close()

    def __enter__(self) -> Self:
        return self

    def __exit__(self, *_error: object) -> None:
        self.close()


def wait_for(condition: Callable[[], bool]) -> None:
    """Return when `condition` is true; raises AssertionError if it does not become so."""
    deadline = time.monotonic() + WAIT_S
    while not condition():
        assert time.monotonic() < deadline, "what was waited for did not happen"
        time.sleep(0.01)
