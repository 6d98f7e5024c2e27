"""A client of resumable uploads that does what no well-behaved one would: it stops halfway, lies, and keeps silent."""

import base64
import contextlib
import http.client
import json
import socket
from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from typing import Any
from urllib.parse import urlsplit

from tailrace.streams import tus

WAIT_S = 20
OFFSET_STREAM = {"Content-Type": tus.MEDIA_TYPE}


@dataclass(frozen=True)
class Answer:
    """A response, with header names in lower case."""

    status: int
    headers: dict[str, str]
    body: bytes

    @property
    def sentence(self) -> str:
        """What a problem document says."""
        assert self.headers["content-type"] == "application/problem+json", self
        return str(json.loads(self.body)["detail"])

    @property
    def offset(self) -> int:
        """Where the upload stands."""
        return int(self.headers["upload-offset"])


class TusClient:
    """Speaks tus 1.0.0 for one person, or for nobody."""

    def __init__(self, url: str, token: str | None) -> None:
        self._address = urlsplit(url).hostname or "", urlsplit(url).port or 80
        self.headers = {"Tus-Resumable": tus.VERSION} | ({"Authorization": f"Bearer {token}"} if token else {})

    def ask(self, method: str, path: str, headers: Mapping[str, str | None] | None = None, body: Any = None) -> Answer:
        """Send a request; a header that is None is left out, and a `body` that is no bytes is sent in chunks."""
        given = {name: value for name, value in {**self.headers, **(headers or {})}.items() if value is not None}
        connection = http.client.HTTPConnection(*self._address, timeout=WAIT_S)
        with contextlib.closing(connection):
            connection.request(method, path, body=body, headers=given)
            return _read(connection.getresponse())

    def create(self, length: int, *, headers: Mapping[str, str] | None = None, **metadata: str) -> str:
        """Begin an upload and return its address."""
        told = {"Upload-Length": str(length), "Upload-Metadata": encode(metadata), **(headers or {})}
        answer = self.ask("POST", "/uploads", told)
        assert answer.status == 201, answer
        return answer.headers["location"]

    def offset(self, path: str) -> int:
        """Return where an upload stands."""
        answer = self.ask("HEAD", path)
        assert answer.status == 200, answer
        return answer.offset

    def patch(self, path: str, offset: int, data: Any, **headers: str) -> Answer:
        """Send bytes from `offset` on."""
        return self.ask("PATCH", path, {**OFFSET_STREAM, "Upload-Offset": str(offset), **headers}, data)

    def patching(
        self, path: str, offset: int, announced: int | None, **headers: str
    ) -> contextlib.AbstractContextManager["Sending"]:
        """Begin a PATCH; see `sending`."""
        return self.sending("PATCH", path, announced, **{"Upload-Offset": str(offset)}, **headers)

    @contextlib.contextmanager
    def sending(self, method: str, path: str, announced: int | None, **headers: str) -> Iterator["Sending"]:
        """Begin to send `announced` bytes (None: in chunks), of which the block sends what it likes."""
        length = {"Content-Length": str(announced)} if announced is not None else {"Transfer-Encoding": "chunked"}
        given = {**self.headers, **OFFSET_STREAM, **length, **headers}
        with socket.create_connection(self._address, timeout=WAIT_S) as line:
            head = [f"{method} {path} HTTP/1.1", "Host: testserver", *(f"{name}: {given[name]}" for name in given)]
            line.sendall("\r\n".join([*head, "", ""]).encode())
            yield Sending(line)


@dataclass(frozen=True)
class Sending:
    """A request on its way; leaving the block loses the connection."""

    line: socket.socket

    def send(self, data: bytes) -> None:
        self.line.sendall(data)

    def send_chunk(self, data: bytes) -> None:
        """Send a chunk of a body of unknown length; an empty one ends it."""
        self.line.sendall(f"{len(data):x}\r\n".encode() + data + b"\r\n")

    def answer(self) -> Answer:
        """Read the answer, whatever of the body is still unsent."""
        response = http.client.HTTPResponse(self.line)
        response.begin()
        return _read(response)


def encode(metadata: Mapping[str, str]) -> str:
    """Return Upload-Metadata as clients write it."""
    return ",".join(f"{key} {base64.b64encode(value.encode()).decode()}" for key, value in metadata.items())


def _read(response: http.client.HTTPResponse) -> Answer:
    return Answer(response.status, {name.lower(): value for name, value in response.getheaders()}, response.read())
