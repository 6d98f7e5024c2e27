"""Sends one response body piece by piece, and ends it cleanly if and only if it is complete.

Every streaming response of this package is a `Stream`: it says in `produce` what to send, and this module does the
rest: notice a client that goes away, stops reading or reads too slowly, tell of the drain, and break a body that
failed.

On purpose different from Starlette's StreamingResponse: a client that has gone is noticed whatever the body does; a
reader that takes nothing for a while is cut; a failure breaks the transfer under other people's middlewares too.
"""

import asyncio
import logging
from collections.abc import Mapping
from dataclasses import dataclass

from starlette.datastructures import MutableHeaders
from starlette.responses import Response
from starlette.types import Receive, Scope, Send

from tailrace.streams.drain import Drain
from tailrace.streams.guard import StreamBroken, line_of

STALL_S = 30.0
DRAIN_GRACE_S = 2.0
_YIELD_EVERY = 8
_logger = logging.getLogger("tailrace.streams")


class Stalled(StreamBroken):
    """The reader took nothing for too long."""


class TooSlow(StreamBroken):
    """The reader took less than it has to, for too long."""


@dataclass(frozen=True, slots=True)
class LeastRate:
    """How much a reader has to take: so many bytes a second, on average over so many seconds."""

    bytes_per_s: int
    over_s: float


class EndNow(Exception):
    """Not a failure: the body ends cleanly here, with `farewell` as its last piece."""

    def __init__(self, farewell: bytes) -> None:
        super().__init__(farewell)
        self.farewell = farewell


class Writer:
    """The response of one request, on its way."""

    def __init__(self, scope: Scope, send: Send, *, least_rate: LeastRate | None = None) -> None:
        self.scope = scope
        self.started = False
        self.finished = False
        self._blocked_since: float | None = None
        self._least_rate = least_rate
        self._patience_s = least_rate.over_s if least_rate else 0.0
        self._send = send
        self._loop = asyncio.get_running_loop()
        self._writes = 0

    @property
    def blocked_s(self) -> float:
        """For how many seconds the client has let the present piece wait."""
        return 0.0 if self._blocked_since is None else self._loop.time() - self._blocked_since

    @property
    def least_rate_in_words(self) -> str:
        """What a reader has to take, for the log."""
        least = self._least_rate or LeastRate(0, 0)
        return f"{least.bytes_per_s:,} bytes a second for {least.over_s:g} s"

    @property
    def is_too_slow(self) -> bool:
        """Whether the client has used up the patience there is with it, which every byte that it takes renews a bit."""
        waits = self._least_rate is not None and self._blocked_since is not None
        return waits and self.blocked_s > self._patience_s

    async def start(self, status: int, headers: MutableHeaders) -> None:
        """Send the status and the headers; until then a failure can still become a proper error response."""
        self.started = True
        await self._send({"type": "http.response.start", "status": status, "headers": headers.raw})

    async def write(self, data: bytes) -> None:
        """Send a piece of the body; waits while the client is behind."""
        self._blocked_since = self._loop.time()
        if self._least_rate:
            self._patience_s += len(data) / self._least_rate.bytes_per_s
        await self._send({"type": "http.response.body", "body": data, "more_body": True})
        if self._least_rate:
            self._patience_s = min(self._patience_s - self.blocked_s, self._least_rate.over_s)
        self._blocked_since = None
        # A server that need not wait returns at once: without a pause now and then, a body that is always ready
        # would keep everybody else, and the news that the client has gone, from the event loop.
        self._writes += 1
        if self._writes % _YIELD_EVERY == 0:
            await asyncio.sleep(0)

    async def finish(self, data: bytes = b"") -> None:
        """Send the last piece and end the body: it is complete."""
        self._blocked_since = self._loop.time()
        await self._send({"type": "http.response.body", "body": data, "more_body": False})
        self.finished = True


class Stream(Response):
    """A response whose body is made while it is sent; subclasses say how in `produce`."""

    #: A reader that stays below it is cut; None for one that may take its time.
    least_rate: LeastRate | None = None

    def __init__(
        self,
        *,
        media_type: str,
        headers: Mapping[str, str] | None = None,
        drain: Drain | None = None,
        stall_s: float = STALL_S,
    ) -> None:
        # Like Starlette's own StreamingResponse this has no `body`, or there would be a Content-Length of 0.
        self.status_code = 200
        self.media_type = media_type
        self.background = None
        self.drain = drain or Drain()
        self.stall_s = stall_s
        self.init_headers(headers)

    async def produce(self, writer: Writer) -> None:
        """Start the response, write its body and finish it; raise to break it."""
        raise NotImplementedError

    def on_drain(self) -> None:
        """Called on the event loop when the server is about to stop; by default, breaks what is not whole after 2 s."""
        error = StreamBroken("the server is stopping")
        self._loop.call_later(DRAIN_GRACE_S, self.interrupt, error)

    def interrupt(self, error: Exception) -> None:
        """Break the body with `error`, or end it with an EndNow, whatever it is doing; from the event loop."""
        if not self._interrupted.done():
            self._interrupted.set_result(error)

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        self._loop = asyncio.get_running_loop()
        self._interrupted: asyncio.Future[Exception] = self._loop.create_future()
        writer = Writer(scope, send, least_rate=self.least_rate)
        gone = asyncio.create_task(_wait_until_gone(receive))
        with self.drain.watched(self.on_drain):
            try:
                await self._run(writer, gone)
            except Exception as error:
                if writer.started and not writer.finished:
                    await _break(scope, send, error, gone, blocked=writer.blocked_s > 0)
                raise
            finally:
                self._interrupted.cancel()
                await _cancel(gone)
        if self.background is not None:
            await self.background()

    async def _run(self, writer: Writer, gone: asyncio.Task[None]) -> None:
        body = asyncio.create_task(self.produce(writer))
        ends = (body, gone, self._interrupted)
        try:
            while not any(end.done() for end in ends):
                await asyncio.wait(ends, timeout=self.stall_s / 4, return_when=asyncio.FIRST_COMPLETED)
                if not body.done() and writer.blocked_s > self.stall_s:
                    self.interrupt(Stalled(f"the reader took nothing for {self.stall_s:g} s"))
                elif not body.done() and writer.is_too_slow:
                    self.interrupt(TooSlow(f"the reader stayed below {writer.least_rate_in_words}"))
        finally:
            unfinished = not body.done()
            await _cancel(body)
        if unfinished and self._interrupted.done():
            await self._end(writer, self._interrupted.result())
        elif not unfinished:
            body.result()

    async def _end(self, writer: Writer, reason: Exception) -> None:
        if not isinstance(reason, EndNow):
            raise reason
        if writer.blocked_s:
            raise StreamBroken("the reader was behind when the stream had to end")
        if not writer.started:
            await writer.start(self.status_code, self.headers)
        await writer.finish(reason.farewell)


async def _wait_until_gone(receive: Receive) -> None:
    while (await receive())["type"] != "http.disconnect":
        pass


async def _cancel(task: asyncio.Task[None]) -> None:
    task.cancel()
    await asyncio.wait((task,))
    if not task.cancelled():
        task.exception()  # so that it counts as looked at


async def _break(scope: Scope, send: Send, error: Exception, gone: asyncio.Task[None], *, blocked: bool) -> None:
    line = line_of(scope)
    if line is not None:
        # What a reader does not take would keep its connection open for as long as it likes. And over HTTP/1.0 a body
        # may end with its connection: only a reset tells that it is not whole.
        line.break_off(discard=blocked or scope["http_version"] == "1.0")
    elif "http.response.pathsend" not in scope.get("extensions", {}):
        # Without a guard: a middleware of Starlette passes this message on, and does not finish the body after it; the
        # server, which never offered to understand it, fails. The middleware may cancel us, so the error is told now.
        _logger.error("%s %s was broken off", scope["method"], scope["path"], exc_info=error)
        poison = asyncio.create_task(_send_poison(send))
        await asyncio.wait((poison, gone), return_when=asyncio.FIRST_COMPLETED)
        await _cancel(poison)


async def _send_poison(send: Send) -> None:
    await send({"type": "http.response.pathsend", "path": ""})
