"""Tells every open stream, once, that the server is about to stop.

uvicorn waits without limit for open streams before it runs an application's shutdown, so they must learn of the signal
itself: `Drain.on_signals` wraps the handlers that uvicorn has installed by the time an application starts.
"""

import asyncio
import signal
import threading
from collections.abc import Callable, Iterator
from contextlib import contextmanager, suppress
from dataclasses import dataclass
from types import FrameType
from typing import Any

_SIGNALS = (signal.SIGINT, signal.SIGTERM)


class Drain:
    """The end of a server's life, known to all its streams; starts once and never stops."""

    def __init__(self) -> None:
        self.started = False
        self._streams: set[_Stream] = set()
        self._lock = threading.RLock()  # a signal may arrive while its own thread holds it

    @property
    def open_streams(self) -> int:
        """How many streams are open."""
        return len(self._streams)

    def start(self) -> None:
        """Tell every open stream, and each that opens later, to end; from any thread, or a signal handler."""
        with self._lock:
            if self.started:
                return
            self.started = True
            for stream in self._streams:
                stream.tell()

    @contextmanager
    def watched(self, on_start: Callable[[], None]) -> Iterator[None]:
        """Count one more open stream during the block; `on_start` is called on its event loop when the drain starts."""
        stream = _Stream(asyncio.get_running_loop(), on_start)
        with self._lock:
            self._streams.add(stream)
            if self.started:
                stream.tell()
        try:
            yield
        finally:
            with self._lock:
                self._streams.discard(stream)

    @contextmanager
    def on_signals(self) -> Iterator[None]:
        """Start at SIGTERM or SIGINT during the block, and then do what the signal did before.

        Use it in an application's lifespan. Outside the main thread, where Python has no signals, it does nothing.
        """
        if threading.current_thread() is not threading.main_thread():
            yield
            return
        previous = {number: signal.getsignal(number) for number in _SIGNALS}

        def handle(number: int, frame: FrameType | None) -> None:
            self.start()
            _chain(previous[signal.Signals(number)], number, frame)

        for number in _SIGNALS:
            signal.signal(number, handle)
        try:
            yield
        finally:
            _restore(previous, handle)


@dataclass(frozen=True, eq=False, slots=True)
class _Stream:
    loop: asyncio.AbstractEventLoop
    on_start: Callable[[], None]

    def tell(self) -> None:
        with suppress(RuntimeError):  # its loop is closed, and the stream with it
            self.loop.call_soon_threadsafe(self.on_start)


def _chain(previous: Any, number: int, frame: FrameType | None) -> None:
    if callable(previous):
        previous(number, frame)
    elif previous == signal.SIG_DFL:
        signal.signal(number, signal.SIG_DFL)
        signal.raise_signal(number)


def _restore(previous: dict[signal.Signals, Any], ours: Any) -> None:
    for number, handler in previous.items():
        # Whoever installed a handler after us keeps it; None is one that was not installed from Python.
        if signal.getsignal(number) is ours and handler is not None:
            signal.signal(number, handler)
