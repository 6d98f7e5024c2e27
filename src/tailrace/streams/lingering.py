"""Middleware for answers that come before the request's body was read, such as the refusal of an upload.

A server that closes a connection while the client still sends resets it, and the client never sees why. One that keeps
it open reads the whole body for nothing. So the answer is sent at once, the connection is announced to close, and it
lingers: a little of what still comes is read and thrown away, which is the time the client has to look at the answer.
"""

import asyncio
from contextlib import suppress
from functools import partial

from starlette.datastructures import Headers, MutableHeaders
from starlette.types import ASGIApp, Message, Receive, Scope, Send

from tailrace.streams.drain import Drain

LINGER_S = 2.0
# A server that stops ends what is unanswered after a while; this must fit in beside the grace that uploads have.
DRAIN_LINGER_S = 0.3
LINGER_BYTES = 8 * 1024 * 1024
# So little is read to its end instead, and the connection serves the next request.
_LITTLE = 256 * 1024
_MOST_DIGITS = 18


class EarlyAnswer:
    """Lets a client that still sends read the answer it was given; add it before StreamGuard, so that it stands inside.

    No more than 8 MiB are read on, for no longer than 2 s. Once `drain` has started no answer waits for anything, and
    its client has 0.3 s to look at it.
    """

    def __init__(self, app: ASGIApp, *, drain: Drain | None = None) -> None:
        self._app = app
        self._drain = drain or Drain()

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        if scope["type"] != "http" or not _has_body(Headers(scope=scope)):
            await self._app(scope, receive, send)
            return
        exchange = _Exchange(Headers(scope=scope), receive, send, self._drain)
        try:
            await self._app(scope, exchange.receive, exchange.send)
        except Exception:
            await exchange.end()
            raise
        await exchange.end()


class _Exchange:
    """A request whose body may be unread, and its answer, whose very end is held back until the body was."""

    def __init__(self, request: Headers, receive: Receive, send: Send, drain: Drain) -> None:
        self._request = request
        self._receive = receive
        self._send = send
        self._drain = drain
        self._received = 0
        self._whole = False
        self._held_back = False

    async def receive(self) -> Message:
        message = await self._receive()
        self._received += len(message.get("body", b""))
        self._whole = not message.get("more_body", False)
        return message

    async def send(self, message: Message) -> None:
        if message["type"] == "http.response.start":
            await self._start(message)
        elif not self._whole:
            self._held_back = not message.get("more_body", False)
            message = {**message, "more_body": True}
        await self._send(message)

    async def _start(self, message: Message) -> None:
        if not self._whole and self._lacks_little():
            await self._linger(in_drain_s=0)
        if not self._whole:
            MutableHeaders(scope=message)["Connection"] = "close"

    async def end(self) -> None:
        """Linger, if the answer was early, and end it."""
        if self._held_back:
            await self._linger(in_drain_s=DRAIN_LINGER_S)
            await self._send({"type": "http.response.body", "body": b""})

    async def _linger(self, *, in_drain_s: float) -> None:
        stop = self._received + LINGER_BYTES
        with suppress(TimeoutError):
            async with asyncio.timeout(LINGER_S) as limit:
                with self._drain.watched(partial(_hurry, limit, in_drain_s)):
                    while not self._whole and self._received < stop:
                        await self.receive()

    def _lacks_little(self) -> bool:
        # Who expects to be asked for the body has sent none of it yet, and to read would be to ask.
        length = self._request.get("content-length", "")
        known = length.isascii() and length.isdigit() and len(length) <= _MOST_DIGITS
        return known and int(length) - self._received <= _LITTLE and "expect" not in self._request


def _hurry(limit: asyncio.Timeout, seconds: float) -> None:
    soon = asyncio.get_running_loop().time() + seconds
    with suppress(RuntimeError):  # the time is up already
        limit.reschedule(min(soon, limit.when() or soon))


def _has_body(request: Headers) -> bool:
    return request.get("content-length", "0") != "0" or "transfer-encoding" in request
