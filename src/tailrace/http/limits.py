"""Refuses what no route should see: a body over the limit, an address that is no text."""

from urllib.parse import unquote_to_bytes

from starlette.datastructures import Headers
from starlette.requests import Request
from starlette.types import ASGIApp, Message, Receive, Scope, Send

from tailrace.errors import TooLarge
from tailrace.http.problems import Problem
from tailrace.streams import Incoming, Intake

_MOST_DIGITS = 18
_KEY = "tailrace.http.body_limit"


class BodyLimit:
    """Middleware that answers 413 to a body over `max_bytes` when a route reads it: by its declared length before the
    first byte, else while it comes. A route that reads its body by `open_body` has a limit of its own.
    """

    def __init__(self, app: ASGIApp, *, max_bytes: int) -> None:
        self._app = app
        self._max_bytes = max_bytes

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        if scope["type"] != "http":
            await self._app(scope, receive, send)
            return
        length = Headers(scope=scope).get("content-length", "0")
        if not (length.isascii() and length.isdigit()):
            await Problem(400, "The Content-Length header is no number.")(scope, receive, send)
            return
        declared = int(length) if len(length) <= _MOST_DIGITS else 10**_MOST_DIGITS
        counter = scope[_KEY] = _Counter(scope, receive, send, declared=declared, max_bytes=self._max_bytes)
        await self._app(scope, counter.receive, counter.send)


def open_body(request: Request, intake: Intake) -> Incoming:
    """Return the request's body, for a route that reads it as a stream and bounds it by `intake` instead.

    It ends early when the application's `state.drain` starts. Raises BodyTooLarge, before a byte of it is read.
    """
    incoming = Incoming(request, intake, drain=request.app.state.drain)
    counter: _Counter | None = request.scope.get(_KEY)
    if counter is not None:
        counter.lifted = True
    return incoming


class _Counter:
    """Counts a body; once over the limit, the answer is 413 whatever the application makes of it."""

    def __init__(self, scope: Scope, receive: Receive, send: Send, *, declared: int, max_bytes: int) -> None:
        self.lifted = False
        self._scope = scope
        self._receive = receive
        self._send = send
        self._declared = declared
        self._max_bytes = max_bytes
        self._received = 0
        self._exceeded = False
        self._started = False
        self._refused = False

    async def receive(self) -> Message:
        self._check(self._declared)
        message = await self._receive()
        self._received += len(message.get("body", b""))
        self._check(self._received)
        return message

    async def send(self, message: Message) -> None:
        if self._refused:
            return
        if self._exceeded and not self._started:
            self._refused = True
            sentence = f"The request body is larger than the limit of {self._max_bytes} bytes."
            await Problem(413, sentence, title=TooLarge.title)(self._scope, self._receive, self._send)
            return
        self._started = True
        await self._send(message)

    def _check(self, size: int) -> None:
        if size > self._max_bytes and not self.lifted:
            self._exceeded = True
            raise TooLarge


class TextOnly:
    """Middleware that answers 400 to a path or query that is not UTF-8, or holds a NUL, which no database stores."""

    def __init__(self, app: ASGIApp) -> None:
        self._app = app

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        if scope["type"] == "http" and not (_is_text(scope.get("raw_path") or b"") and _is_text(scope["query_string"])):
            sentence = "The address holds bytes that are no UTF-8 text, or a NUL; encode it as UTF-8 and leave NUL out."
            await Problem(400, sentence)(scope, receive, send)
            return
        await self._app(scope, receive, send)


def _is_text(encoded: bytes) -> bool:
    try:
        return "\0" not in unquote_to_bytes(encoded).decode()
    except UnicodeDecodeError:
        return False
