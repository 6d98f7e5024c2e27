"""uvicorn's HTTP/1.1 over httptools, with the bound on a request's head that both of them lack, and fewer copies.

What comes is received into one buffer of the event loop's thread, as large as what may come next, and a piece of a body
reaches the application as the object that the parser made of it. uvicorn alone receives up to 256 KiB into new memory
and copies it three times before the application has it: for uploads that is a third of the work, and most memory.
"""

import asyncio
import json
import threading
from typing import Any, cast

from uvicorn.protocols.http.httptools_impl import HttpToolsProtocol, RequestResponseCycle

HEAD_BYTES = 64 * 1024
PIECE_BYTES = 127 * 1024  # with what Python adds still below the 128 KiB for which malloc asks the kernel each time
_LINGER_S, _LINGER_BYTES = 1.0, 512 * 1024
_DETAIL = f"The head of the request is larger than {HEAD_BYTES} bytes."
_PROBLEM = json.dumps(
    {"type": "about:blank", "title": "Request Header Fields Too Large", "status": 431, "detail": _DETAIL}
)
_REFUSAL = (
    "HTTP/1.1 431 Request Header Fields Too Large\r\n"
    "Content-Type: application/problem+json\r\n"
    f"Content-Length: {len(_PROBLEM)}\r\n"
    "Connection: close\r\n\r\n"
    f"{_PROBLEM}"
).encode()


class _Arrivals(threading.local):
    """Where an event loop puts what comes: one buffer is enough, for it is parsed before anything else comes."""

    def __init__(self) -> None:
        self.buffer = memoryview(bytearray(PIECE_BYTES))


_arrivals = _Arrivals()


class Http(asyncio.BufferedProtocol):
    """A connection: gives the transport a buffer to receive into, and all else to uvicorn's protocol."""

    def __init__(self, *args: Any, **kwargs: Any) -> None:
        """Take what uvicorn gives its protocols."""
        # Not a base class: uvloop gives a buffer to no protocol that could also take bytes.
        self._http = _BoundedHeads(*args, **kwargs)

    def get_buffer(self, sizehint: int) -> memoryview:
        """Give room for as much as may come now."""
        return _arrivals.buffer[: self._http.room]

    def buffer_updated(self, nbytes: int) -> None:
        """Parse what came."""
        self._http.data_received(_arrivals.buffer[:nbytes])

    def connection_made(self, transport: asyncio.BaseTransport) -> None:
        """Begin."""
        self._http.connection_made(cast(asyncio.Transport, transport))

    def connection_lost(self, exc: Exception | None) -> None:
        """End."""
        self._http.connection_lost(exc)

    def pause_writing(self) -> None:
        """Let the application wait before it sends more."""
        self._http.pause_writing()

    def resume_writing(self) -> None:
        """Let it send more."""
        self._http.resume_writing()


class _BoundedHeads(HttpToolsProtocol):
    """Answers 431 (RFC 6585, section 5) to a head over 64 KiB, and closes; the parser would collect it without end.

    The same goes for trailers, which may be twice as long; there a request is open, and the connection is just closed.
    A head that begins in the midst of what comes, behind another request, counts from the next bytes on.
    """

    def __init__(self, *args: Any, **kwargs: Any) -> None:
        super().__init__(*args, **kwargs)
        #: How many bytes may come before the parser completes something.
        self.room = HEAD_BYTES
        #: Whether the body that waits for the application is an object of the parser, which cannot be appended to.
        self._lent = False
        self._refused = 0

    def data_received(self, data: bytes | memoryview) -> None:
        if self._refused:
            self._throw_away(data)
            return
        self.room -= len(data)
        # Whatever the parser completes makes room again.
        super().data_received(data)  # type: ignore[arg-type]  # the parser takes any buffer
        if self.room <= 0 and not self.transport.is_closing():
            self._refuse()

    def on_headers_complete(self) -> None:
        super().on_headers_complete()
        self.room = PIECE_BYTES

    def on_body(self, body: bytes) -> None:
        cycle: RequestResponseCycle | None = self.cycle
        if cycle is not None and not cycle.body:
            # Its own empty bytearray would be appended to, and copied when the application asks for it.
            cycle.body, body, self._lent = body, b"", True  # type: ignore[assignment]
        elif cycle is not None and self._lent:
            cycle.body, self._lent = bytearray(cycle.body), False
        super().on_body(body)
        self.room = PIECE_BYTES

    def on_message_complete(self) -> None:
        super().on_message_complete()
        self.room = HEAD_BYTES

    def _refuse(self) -> None:
        # In the midst of another answer this one would be taken for a part of it.
        before: RequestResponseCycle | None = self.cycle
        if before is None or before.response_complete:
            self.transport.write(_REFUSAL)
            self.transport.write_eof()
            # To close while more comes would be a reset, which may overtake the answer.
            self._refused, self.room = HEAD_BYTES, PIECE_BYTES
            self.loop.call_later(_LINGER_S, self.transport.close)
        else:
            self.transport.close()

    def _throw_away(self, data: bytes | memoryview) -> None:
        self._refused += len(data)
        if self._refused > _LINGER_BYTES:
            self.transport.close()
