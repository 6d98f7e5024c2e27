"""Gives each request an id, and tells what became of it: one log line and one observation for the metrics."""

import logging
import re
import time
from collections.abc import Callable
from dataclasses import dataclass

from starlette.datastructures import Headers, MutableHeaders
from starlette.types import ASGIApp, Message, Receive, Scope, Send

from tailrace.database import new_id
from tailrace.logging_setup import request_id

_log = logging.getLogger("tailrace.access")
# Asked every few seconds by machines: worth a line only when the answer is not the usual one.
_ROUTINE = frozenset({"/healthz", "/readyz", "/metrics"})
# An id from outside goes into logs and headers, so nothing that means something there is accepted.
_SAFE_ID = re.compile(r"[A-Za-z0-9._-]{1,64}")


@dataclass(frozen=True, slots=True)
class Answer:
    """What became of one request: `route` is the path's pattern, `status` is 0 when nothing was answered."""

    method: str
    route: str
    status: int
    duration_s: float
    bytes: int
    whole: bool
    #: The client went away, as a browser does that leaves a page with a stream of events.
    left: bool


class RequestLog:
    """Middleware that accepts or makes `X-Request-ID`, echoes it, logs the answer, and hands it to `observe`."""

    def __init__(self, app: ASGIApp, *, observe: Callable[[Answer], None]) -> None:
        self._app = app
        self._observe = observe

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        if scope["type"] != "http":
            await self._app(scope, receive, send)
            return
        given = Headers(scope=scope).get("x-request-id", "")
        token = request_id.set(given if _SAFE_ID.fullmatch(given) else new_id())
        watch = _Watch(receive, send, request_id.get() or "")
        try:
            await self._app(scope, watch.receive, watch.send)
        finally:
            self._tell(scope, watch)
            request_id.reset(token)

    def _tell(self, scope: Scope, watch: "_Watch") -> None:
        answer = watch.answer(scope)
        self._observe(answer)
        routine = answer.route in _ROUTINE and answer.status == 200
        # A browser leaves its stream of events with every page, and opens another one on the next; some pages are left
        # before anything was answered.
        turned = answer.method == "GET" and (watch.is_event_stream or not answer.status)
        level = logging.DEBUG if routine or (answer.left and turned) else logging.INFO
        duration_ms = round(answer.duration_s * 1000, 1)
        client, _port = scope.get("client") or ("unknown", 0)
        extra = {"client": client, "status": answer.status, "duration_ms": duration_ms, "bytes": answer.bytes}
        line = f"{answer.method} {_loggable(scope)} {answer.status} {duration_ms} ms {answer.bytes} bytes"
        end = "" if answer.whole else " (the client went away)" if answer.left else " (cut off)"
        _log.log(level, "%s", line + end, extra=extra)


class _Watch:
    """Counts what goes out, and sees whether the client stays."""

    def __init__(self, receive: Receive, send: Send, identifier: str) -> None:
        self._receive = receive
        self._send = send
        self._identifier = identifier
        self._began = time.perf_counter()
        self._status = 0
        self._bytes = 0
        self._whole = False
        self._left = False
        self.is_event_stream = False

    async def receive(self) -> Message:
        message = await self._receive()
        self._left = self._left or message["type"] == "http.disconnect"
        return message

    async def send(self, message: Message) -> None:
        if message["type"] == "http.response.start":
            self._status = message["status"]
            headers = MutableHeaders(scope=message)
            headers["X-Request-ID"] = self._identifier
            self.is_event_stream = headers.get("content-type", "").startswith("text/event-stream")
        await self._send(message)
        if message["type"] == "http.response.body":
            self._bytes += len(message.get("body", b""))
            self._whole = not message.get("more_body", False)

    def answer(self, scope: Scope) -> Answer:
        return Answer(
            method=scope["method"],
            route=getattr(scope.get("route"), "path", "unmatched"),
            status=self._status,
            duration_s=time.perf_counter() - self._began,
            bytes=self._bytes,
            whole=self._whole,
            left=self._left and not self._whole,
        )


def _loggable(scope: Scope) -> str:
    # Without the query, which may carry an address or a signature, and with nothing that could begin a new line.
    return str(scope["path"]).encode("unicode_escape").decode()[:500]
