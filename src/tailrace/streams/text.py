"""Text, or anything else that comes piece by piece from an asynchronous generator, sent as it comes."""

import asyncio
from collections.abc import AsyncGenerator, Mapping
from contextlib import aclosing

from tailrace.streams.drain import Drain
from tailrace.streams.exchange import STALL_S, EndNow, Stream, Writer
from tailrace.streams.guard import StreamBroken
from tailrace.streams.messages import encode_message

# Proxies must neither keep nor repack what is meant to arrive at once.
LIVE_HEADERS = {"Cache-Control": "no-store, no-transform", "X-Accel-Buffering": "no"}


class TextStream(Stream):
    """Sends each piece as it comes, and ends when the generator does.

    A generator that raises breaks the transfer. When the server is about to stop, the stream ends with `farewell`, a
    last line that tells the reader to come back; without one it breaks, so that the text does not look whole.
    """

    def __init__(
        self,
        pieces: AsyncGenerator[bytes],
        *,
        media_type: str = "text/plain; charset=utf-8",
        headers: Mapping[str, str] | None = None,
        farewell: bytes | None = None,
        drain: Drain | None = None,
        stall_s: float = STALL_S,
    ) -> None:
        super().__init__(
            media_type=media_type, headers={**LIVE_HEADERS, **(headers or {})}, drain=drain, stall_s=stall_s
        )
        self.headers["X-Content-Type-Options"] = "nosniff"
        self._pieces = pieces
        self._farewell = farewell

    def on_drain(self) -> None:
        """End or break at once: nobody can say when the next piece would come."""
        if self._farewell is None:
            self.interrupt(StreamBroken("the server is stopping"))
        else:
            self.interrupt(EndNow(self._farewell))

    async def produce(self, writer: Writer) -> None:
        """Send the pieces until there are no more."""
        async with aclosing(self._pieces):
            await writer.start(self.status_code, self.headers)
            if writer.scope["method"] != "HEAD":
                async for piece in self._pieces:
                    await writer.write(piece)
            await writer.finish()


def counter_stream(limit: int, interval_s: float, *, drain: Drain | None = None) -> TextStream:
    """Return a stream of server-sent events that counts from 1 to `limit`, one each `interval_s` seconds, and ends.

    It needs nothing but the connection, so an operator sees by it whether something on the way keeps or cuts streams.
    """
    farewell = encode_message(name="drain", data='{"reason":"shutdown"}')
    return TextStream(_count(limit, interval_s), media_type="text/event-stream", farewell=farewell, drain=drain)


async def _count(limit: int, interval_s: float) -> AsyncGenerator[bytes]:
    for number in range(1, limit + 1):
        if number > 1:
            await asyncio.sleep(interval_s)
        yield encode_message(message_id=str(number), data=str(number))
