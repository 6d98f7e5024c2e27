"""Middleware that keeps a broken stream from being closed as if it were whole.

Between a stream and the server stand other people's middlewares, and some finish what they are given: every
`@app.middleware("http")` ends the body properly after the endpoint below it has failed. So the outermost middleware,
this one, is told by the stream itself that the body is broken and lets nothing more through: the server then sees a
response that was never completed and closes the connection, which is what tells the client. See
`docs/decisions/0101-breaking-a-stream.md`.
"""

import logging
import socket
import struct
from contextlib import suppress
from typing import Any

from starlette.types import ASGIApp, Message, Receive, Scope, Send

_NO_LINGER = struct.pack("ii", 1, 0)
_KEY = "tailrace.streams.line"
_logger = logging.getLogger("tailrace.streams")


class StreamBroken(Exception):
    """The stream was broken off on purpose, so that the client can tell that it is not whole."""


class StreamGuard:
    """Keeps broken streams broken, whatever middlewares there are; add it last, so that it is the outermost.

    It also lets a stream throw away what an idle reader has not taken, which frees its connection at once.
    """

    def __init__(self, app: ASGIApp) -> None:
        self.app = app

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        if scope["type"] != "http":
            await self.app(scope, receive, send)
            return
        line = scope[_KEY] = Line(receive)

        async def send_unless_broken(message: Message) -> None:
            if not line.broken:
                await send(message)

        try:
            await self.app(scope, receive, send_unless_broken)
        except StreamBroken as broken:
            _logger.info("%s %s was broken off: %s", scope["method"], scope["path"], broken)


class Line:
    """What a guarded stream can do to its connection."""

    def __init__(self, receive: Receive) -> None:
        self.broken = False
        self._receive = receive

    def break_off(self, *, discard: bool) -> None:
        """Let nothing more through; with `discard`, drop at once what the client has not read yet (a TCP reset)."""
        self.broken = True
        # ASGI has no word for this. uvicorn's `receive` is a method of an object that holds the transport.
        transport: Any = getattr(getattr(self._receive, "__self__", None), "transport", None)
        if discard and transport is not None:
            # A close without lingering is a reset; otherwise it would look like an orderly end of the connection.
            with suppress(OSError, AttributeError):
                transport.get_extra_info("socket").setsockopt(socket.SOL_SOCKET, socket.SO_LINGER, _NO_LINGER)
            transport.abort()


def line_of(scope: Scope) -> Line | None:
    """Return the line that a guard put around this request, or None where there is no guard."""
    line: Line | None = scope.get(_KEY)
    return line
