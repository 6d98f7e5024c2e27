"""Writes what is received where it belongs, looked at on the way, and leaves nothing of what fails."""

from collections.abc import AsyncIterable, Sequence
from contextlib import AbstractContextManager, ExitStack
from dataclasses import dataclass
from functools import partial
from typing import Generic, Protocol, TypeVar

from tailrace.streams.belt import Belt
from tailrace.streams.threads import in_upload_thread


class Sink(Protocol):
    """Takes bytes, and may block."""

    def write(self, data: bytes, /) -> object:
        """Append `data`."""


class Inspector(Protocol):
    """Looks at bytes as they come, in pieces of any size; raises what it likes to refuse them."""

    def feed(self, data: bytes, /) -> object:
        """Look at the next piece, before it is written."""

    def finish(self) -> object:
        """Told that the last piece has come, before what was written is made visible."""


S = TypeVar("S", bound=Sink)


async def store(
    pieces: AsyncIterable[bytes],
    target: AbstractContextManager[S],
    *,
    inspectors: Sequence[Inspector] = (),
    keep_on: tuple[type[Exception], ...] = (),
) -> S:
    """Write `pieces` to the sink that `target` gives, and return the sink once the block of `target` has been left.

    Whatever goes wrong (in the pieces, an inspector, the sink, or by cancelling) is given to the block, which is to
    leave nothing behind, and raised. For an error of the kinds `keep_on` the block is left as if the pieces had ended,
    so that what came is kept; the inspectors are not told of an end, and the error is raised.
    """
    received = await receive(pieces, target, inspectors=inspectors, keep_on=keep_on)
    return await received.keep()


async def receive(
    pieces: AsyncIterable[bytes],
    target: AbstractContextManager[S],
    *,
    inspectors: Sequence[Inspector] = (),
    keep_on: tuple[type[Exception], ...] = (),
) -> "Received[S]":
    """Do as `store`, but leave it to the caller to `keep` what came, perhaps while more is received."""
    # A stack knows whether the block was entered, also when we are cancelled just then.
    block = ExitStack()
    interruption: Exception | None = None
    try:
        sink = await in_upload_thread(block.enter_context, target)
        try:
            await Belt(partial(_put, sink, inspectors)).carry(pieces)
            await in_upload_thread(_finish, inspectors)
        except keep_on as error:
            interruption = error
    except BaseException as error:
        await in_upload_thread(block.__exit__, type(error), error, error.__traceback__)
        raise
    return Received(sink, block, interruption)


@dataclass(frozen=True, slots=True)
class Received(Generic[S]):
    """What came, written to `sink` whose block has not been left yet: it must be kept."""

    sink: S
    _block: ExitStack
    _interruption: Exception | None

    async def keep(self) -> S:
        """Leave the block, so that what came is there, and return the sink; raises what interrupted the pieces."""
        await in_upload_thread(self._block.close)
        if self._interruption is not None:
            raise self._interruption
        return self.sink


def _put(sink: Sink, inspectors: Sequence[Inspector], piece: bytes) -> None:
    for inspector in inspectors:
        inspector.feed(piece)
    sink.write(piece)


def _finish(inspectors: Sequence[Inspector]) -> None:
    for inspector in inspectors:
        inspector.finish()
