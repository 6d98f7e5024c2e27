"""uvicorn's HTTP/1.1 over httptools, with the bound on a request's head that both of them lack."""

import json
from typing import Any

from uvicorn.protocols.http.httptools_impl import HttpToolsProtocol, RequestResponseCycle

HEAD_BYTES = 64 * 1024
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


class BoundedHeads(HttpToolsProtocol):
    """Answers 431 (RFC 6585, section 5) to a head over 64 KiB, and closes; the parser would collect it without end.

    The same goes for trailers, during which a request is open already: there the connection is just closed. A head
    that begins in the midst of what comes, behind another request, counts from the next 64 KiB on.
    """

    def __init__(self, *args: Any, **kwargs: Any) -> None:
        """Take what uvicorn gives its protocols."""
        super().__init__(*args, **kwargs)
        self._room = HEAD_BYTES

    def data_received(self, data: bytes) -> None:
        """Parse what came, in steps small enough to stop at the bound."""
        rest = memoryview(data)
        while rest and not self.transport.is_closing():
            step, rest = rest[: self._room], rest[self._room :]
            # Whatever the parser completes in this step makes room again.
            self._room -= len(step)
            super().data_received(bytes(step))
            if self._room <= 0 and not self.transport.is_closing():
                self._refuse()

    def on_headers_complete(self) -> None:
        """Start the request."""
        super().on_headers_complete()
        self._room = HEAD_BYTES

    def on_body(self, body: bytes) -> None:
        """Hand a piece of the body on."""
        super().on_body(body)
        self._room = HEAD_BYTES

    def on_message_complete(self) -> None:
        """End the body; what follows is the next request's head."""
        super().on_message_complete()
        self._room = HEAD_BYTES

    def _refuse(self) -> None:
        # In the midst of another answer this one would be taken for a part of it.
        before: RequestResponseCycle | None = self.cycle
        if before is None or before.response_complete:
            self.transport.write(_REFUSAL)
        self.transport.close()
