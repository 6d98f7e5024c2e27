"""A client that sends a request as it likes: not whole, slowly, too much, or without reading."""

import contextlib
import json
import socket
from collections.abc import Iterable
from dataclasses import dataclass
from typing import Any, Self

from tests.streams.receiver import TOKEN
from tests.streams.serving import WAIT_S


@dataclass(frozen=True)
class Reply:
    """What came back: everything until the server closed, or until the answer was whole."""

    interim: bytes
    status: int
    headers: dict[str, str]
    body: bytes

    def json(self) -> Any:
        """Return the body as the JSON value that it is."""
        return json.loads(self.body)


class Sender:
    """One connection."""

    def __init__(self, url: str) -> None:
        host, _, port = url.removeprefix("http://").partition(":")
        self._socket = socket.create_connection((host, int(port)), timeout=WAIT_S)

    def begin(self, path: str, *headers: str, token: str = TOKEN) -> Self:
        """Send the request's line and headers, and nothing more."""
        lines = (f"POST {path} HTTP/1.1", "Host: localhost", f"Authorization: {token}", *headers)
        return self.send("".join(f"{line}\r\n" for line in lines).encode() + b"\r\n")

    def send(self, data: bytes) -> Self:
        """Send bytes of the body."""
        self._socket.sendall(data)
        return self

    def send_chunks(self, chunks: Iterable[bytes]) -> Self:
        """Send a chunked body, without its end."""
        for chunk in chunks:
            self.send(b"%x\r\n%s\r\n" % (len(chunk), chunk))
        return self

    def reply(self) -> Reply:
        """Read until there is a final answer, whole."""
        interim, received = b"", b""
        while True:
            while b"\r\n\r\n" not in received:
                received += self._more()
            head, _, received = received.partition(b"\r\n\r\n")
            if b" 100 " not in head.split(b"\r\n")[0]:
                break
            interim += head
        status, *lines = head.decode().split("\r\n")
        headers = dict(line.lower().split(": ", 1) for line in lines)
        while len(received) < int(headers.get("content-length", "0")):
            received += self._more()
        return Reply(interim, int(status.split()[1]), headers, received)

    def wait_for_interim(self) -> bytes:
        """Return the next bytes that come, such as `100 Continue`."""
        return self._more()

    def is_closed(self) -> bool:
        """Wait until the server closes; whether it did so without another word."""
        try:
            return self._socket.recv(1) == b""
        except ConnectionResetError:
            return True

    def end_sending(self) -> Self:
        """Tell the server that nothing more will come, but go on listening."""
        self._socket.shutdown(socket.SHUT_WR)
        return self

    def close(self) -> None:
        """Go away."""
        self._socket.close()

    def __enter__(self) -> Self:
        return self

    def __exit__(self, *_error: object) -> None:
        with contextlib.suppress(OSError):
            self.close()

    def _more(self) -> bytes:
        more = self._socket.recv(65536)
        if not more:
            raise ConnectionError("the server closed before its answer was whole")
        return more
