"""The body of a request, received piece by piece: its length is checked before the first byte, then counted.

On purpose different from Starlette's `request.stream()`: a client that announces or sends too much, sends too slowly,
or goes away halfway is told apart, each as an error of its own; and a server that stops does not wait for the rest.
"""

import asyncio
from collections.abc import AsyncGenerator
from dataclasses import dataclass
from typing import Self

from starlette.requests import Request
from starlette.types import Message

from tailrace.streams.drain import Drain
from tailrace.streams.refusals import BodyTooLarge, ClientGone, ClientTooSlow, MalformedBody, ServerStopping

PIECE = 512 * 1024  # no server gives as much at once; to cut its messages would be to copy them
DRAIN_GRACE_S = 1.0
_MOST_DIGITS = 18


@dataclass(frozen=True, slots=True)
class Intake:
    """How much is received, and how slowly.

    A client may let us wait for `patience_s` seconds, and each `least_rate` bytes that come give it one of them back:
    silence of that length is too much, and so is a rate that stays below. What the receiver takes itself, to write to
    a slow disk, does not count.
    """

    max_bytes: int
    patience_s: float = 30.0
    least_rate: int = 1024


class Incoming:
    """The body of one request, on its way in.

    Nothing is read, and a client that sent `Expect: 100-continue` is not asked for the body, before it is
    iterated: until then the request can be refused for the price of its headers.
    """

    def __init__(self, request: Request, intake: Intake, *, drain: Drain | None = None) -> None:
        """Raise BodyTooLarge or MalformedBody for what the header Content-Length says."""
        #: What Content-Length says; None for a body that comes without one.
        self.length = _declared_length(request.headers.get("content-length"))
        #: How many bytes have come.
        self.received = 0
        #: Whether the whole body has been given out.
        self.ended = False
        self._intake = intake
        self._drain = drain or Drain()
        self._receive = request.receive
        self._message, self._given = b"", 0
        self._more = True
        self._patience_s = intake.patience_s
        self._stop_at: float | None = None
        self._waiting: asyncio.Timeout | None = None
        self._check(self.length or 0)

    def __aiter__(self) -> Self:
        return self

    async def __anext__(self) -> bytes:
        """Return the next piece; one who is cancelled here has lost nothing, and may ask again. Raises as `pieces`."""
        size = await self._come(PIECE)
        if not size:
            raise StopAsyncIteration
        return self._cut(size)

    async def pieces(self, at_most: int | None = None) -> AsyncGenerator[bytes]:
        """Yield the body as it comes, in pieces of up to 512 KiB, and end with it, or after `at_most` bytes.

        To go on after `at_most` bytes, call again; `ended` tells whether there is more. Raises BodyTooLarge,
        ClientTooSlow, ClientGone, and ServerStopping when the body is not complete a second after the drain's start.
        """
        left = at_most
        while left != 0 and (size := await self._come(PIECE if left is None else min(PIECE, left))):
            if left is not None:
                left -= size
            # No name keeps a piece alive here: a slow client's upload holds no memory while it waits.
            yield self._cut(size)

    async def _come(self, most: int) -> int:
        """Return how many bytes are here, up to `most`, once there are any; 0 at the end of the body."""
        while not self.ended:
            await self._fill()
            if size := min(len(self._message) - self._given, most):
                return size
        return 0

    async def _fill(self) -> None:
        if self._given == len(self._message) and self._more:
            message = await self._next_message()
            self._message, self._given = message.get("body", b""), 0
            self._more = message.get("more_body", False)
        self._note_end()

    def _cut(self, size: int) -> bytes:
        piece = self._message[self._given : self._given + size]
        self._given += size
        self._note_end()
        return piece

    def _note_end(self) -> None:
        if self._given == len(self._message):
            self._message, self._given = b"", 0
            self.ended = not self._more

    async def _next_message(self) -> Message:
        began = asyncio.get_running_loop().time()
        message = await self._wait(began)
        if message["type"] == "http.disconnect":
            raise ClientGone
        size = len(message.get("body", b""))
        self.received += size
        self._check(self.received)
        waited_s = asyncio.get_running_loop().time() - began
        self._patience_s = min(self._patience_s - waited_s + size / self._intake.least_rate, self._intake.patience_s)
        return message

    async def _wait(self, now: float) -> Message:
        with self._drain.watched(self._on_drain):
            self._check_time(now)
            try:
                async with asyncio.timeout_at(self._deadline(now)) as self._waiting:
                    return await self._receive()
            except TimeoutError:
                self._check_time(asyncio.get_running_loop().time())
                raise ClientTooSlow from None
            finally:
                self._waiting = None

    def _deadline(self, now: float) -> float:
        out_of_patience = now + self._patience_s
        return out_of_patience if self._stop_at is None else min(out_of_patience, self._stop_at)

    def _on_drain(self) -> None:
        if self._stop_at is None:
            now = asyncio.get_running_loop().time()
            self._stop_at = now + DRAIN_GRACE_S
            if self._waiting is not None:
                self._waiting.reschedule(self._deadline(now))

    def _check_time(self, now: float) -> None:
        if self._stop_at is not None and now >= self._stop_at:
            raise ServerStopping

    def _check(self, size: int) -> None:
        if size > self._intake.max_bytes:
            raise BodyTooLarge(f"The request body is larger than the limit of {self._intake.max_bytes} bytes.")


def _declared_length(header: str | None) -> int | None:
    if header is None:
        return None
    if not (header.isascii() and header.isdigit()):
        raise MalformedBody("The Content-Length header is no number.")
    digits = header.lstrip("0") or "0"
    # Python refuses to convert thousands of digits; these are too many for any limit already.
    return int(digits) if len(digits) <= _MOST_DIGITS else 10**_MOST_DIGITS
