"""Runs a blocking producer in a thread of its own, a few pieces ahead of the event loop that sends them.

The thread is not one of the pool that runs `def` endpoints, for a slow reader keeps its producer as long as it likes.
"""

import asyncio
import threading
from collections import Counter, deque
from collections.abc import Callable, Generator, Hashable
from contextlib import closing, suppress
from typing import Generic, TypeVar

T = TypeVar("T")


class TooManyStreams(Exception):
    """As many streams are being made as this process allows; try again in a moment."""


class Slots:
    """How many producers may run at once, and how many of them for one holder, such as a person."""

    def __init__(self, count: int, *, per_holder: int | None = None) -> None:
        """Allow `count` in all; None for no bound of its own on one holder."""
        self.count = count
        self._per_holder = count if per_holder is None else per_holder
        self._free = count
        self._held: Counter[Hashable] = Counter()
        self._lock = threading.Lock()

    @property
    def free(self) -> int:
        """How many more may begin now."""
        return self._free

    def take(self, holder: Hashable = None) -> None:
        """Take a slot, for nobody in particular if `holder` is None; raises TooManyStreams if there is none for it."""
        with self._lock:
            if not self._free:
                raise TooManyStreams(TooManyStreams.__doc__)
            if holder is not None and self._held[holder] >= self._per_holder:
                raise TooManyStreams(
                    f"You have {self._per_holder} streams open, as many as one may: let one end first."
                )
            self._free -= 1
            self._held[holder] += 1

    def give_back(self, holder: Hashable = None) -> None:
        """Free a slot that was taken for `holder`."""
        with self._lock:
            self._free += 1
            self._held[holder] -= 1
            if not self._held[holder]:
                del self._held[holder]


class Pump(Generic[T]):
    """An asynchronous iterator over what `produce` yields in a thread, `ahead` pieces ahead of the consumer.

    The generator is closed, and so releases what it holds, in its own thread as soon as the pump is stopped.
    """

    def __init__(
        self, produce: Callable[[], Generator[T]], *, slots: Slots, holder: Hashable = None, ahead: int = 4
    ) -> None:
        """Start the thread, with a slot for `holder`; raises TooManyStreams. Make it on the loop that consumes it."""
        self._produce = produce
        self._slots = slots
        self._holder = holder
        self._ahead = ahead
        self._loop = asyncio.get_running_loop()
        self._pieces: deque[T] = deque()
        self._changed = threading.Condition()
        self._stopped = False
        self._ended = False
        self._error: BaseException | None = None
        self._waiting: asyncio.Future[None] | None = None
        slots.take(holder)
        try:
            threading.Thread(target=self._run, name="tailrace-stream", daemon=True).start()
        except BaseException:
            slots.give_back(holder)
            raise

    def __aiter__(self) -> "Pump[T]":
        return self

    async def __anext__(self) -> T:
        while True:
            with self._changed:
                if self._pieces:
                    self._changed.notify()
                    return self._pieces.popleft()
                if self._error is not None:
                    raise self._error
                if self._ended:
                    raise StopAsyncIteration
                self._waiting = waiting = self._loop.create_future()
            await waiting

    def close(self) -> None:
        """Have the producer stop after its present piece; does not wait for it."""
        with self._changed:
            self._stopped = True
            self._changed.notify()

    def _run(self) -> None:
        error: BaseException | None = None
        try:
            with closing(self._produce()) as pieces:
                for piece in pieces:
                    if not self._put(piece):
                        break
        except BaseException as raised:  # noqa: BLE001 - it is raised again where the pieces are consumed
            error = raised
        self._slots.give_back(self._holder)
        with self._changed:
            self._error = error
            self._ended = True
            self._wake()

    def _put(self, piece: T) -> bool:
        with self._changed:
            self._changed.wait_for(lambda: self._stopped or len(self._pieces) < self._ahead)
            if self._stopped:
                return False
            self._pieces.append(piece)
            self._wake()
            return True

    def _wake(self) -> None:
        waiting, self._waiting = self._waiting, None
        if waiting is not None:
            with suppress(RuntimeError):  # the loop is closed: nobody waits any more
                self._loop.call_soon_threadsafe(_settle, waiting)


def _settle(waiting: asyncio.Future[None]) -> None:
    if not waiting.done():
        waiting.set_result(None)
