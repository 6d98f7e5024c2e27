"""What a format's generator may want next of the bytes that arrive, and the window through which it sees them."""

import re
from collections.abc import Generator
from typing import Protocol, TypeAlias, TypeVar

from tailrace.photos.errors import BrokenPicture

T = TypeVar("T")

_MAX_STEPS = 250_000


class Window:
    """The bytes that have arrived and are still needed; `at` is where the next want begins, perhaps beyond them."""

    __slots__ = ("at", "data")

    def __init__(self) -> None:
        self.data: bytes | memoryview = b""
        self.at = 0

    def append(self, data: memoryview) -> None:
        """Let more have arrived. They are not copied where none before them are still needed."""
        self.data = bytes(self.data) + data if self.data else data

    def forget(self) -> None:
        """Keep nothing of what lies before `at`, and nothing of what others may change."""
        passed = min(self.at, len(self.data))
        self.data = bytes(self.data[passed:])
        self.at -= passed


class Want(Protocol):
    """Something a generator waits for."""

    def take(self, window: Window) -> bytes | None:
        """Return what was wanted and move on behind it; None as long as more bytes are needed for that."""


class Read:
    """The next `size` bytes."""

    __slots__ = ("size",)

    def __init__(self, size: int) -> None:
        self.size = size

    def take(self, window: Window) -> bytes | None:
        start = window.at
        end = start + self.size
        if end > len(window.data):
            return None
        window.at = end
        return bytes(window.data[start:end])


class Skip:
    """Nothing of the next `size` bytes; that they arrive at all is checked at the end."""

    __slots__ = ("size",)

    def __init__(self, size: int) -> None:
        self.size = size

    def take(self, window: Window) -> bytes | None:
        window.at += self.size
        return b""


class Find:
    """The next match of `pattern`, which is always two bytes long; what lies before it is skipped."""

    __slots__ = ("pattern",)

    def __init__(self, pattern: re.Pattern[bytes]) -> None:
        self.pattern = pattern

    def take(self, window: Window) -> bytes | None:
        match = self.pattern.search(window.data, window.at)
        if match is None:
            window.at = max(window.at, len(window.data) - 1)
            return None
        window.at = match.end()
        return match.group()


class Rest:
    """The last bytes of all that come, up to `most`: taken when no more will come."""

    __slots__ = ("_most", "tail")

    def __init__(self, most: int) -> None:
        self._most = most
        self.tail = b""

    def take(self, window: Window) -> None:
        arrived = window.data[window.at :]
        self.tail = (self.tail + arrived[-self._most :])[-self._most :]
        window.at += len(arrived)


Scan: TypeAlias = Generator[Want, bytes, T]


class Stepper:
    """Drives a generator over bytes that arrive in pieces; `done` when it wants no more of them."""

    def __init__(self, scan: Scan[None]) -> None:
        self._scan = scan
        self._window = Window()
        self._want = next(scan)
        self._steps = 0
        self.done = False

    @property
    def ahead(self) -> bool:
        """Whether the generator has skipped bytes that have not arrived."""
        return self._window.at > len(self._window.data)

    def feed(self, data: memoryview) -> None:
        """Go on as far as `data` leads. Raises what the generator raises, or BrokenPicture for too many tiny pieces."""
        if self.done and not self.ahead:
            return
        window = self._window
        window.append(data)
        self._advance(window)
        window.forget()

    def finish(self) -> None:
        """Answer a generator that waits for the end: no more will come. Raises what the generator raises."""
        if isinstance(self._want, Rest) and not self.done:
            self._send(self._want.tail)

    def _advance(self, window: Window) -> None:
        while not self.done and (taken := self._want.take(window)) is not None:
            self._count()
            self._send(taken)

    def _send(self, taken: bytes) -> None:
        try:
            self._want = self._scan.send(taken)
        except StopIteration:
            self.done = True

    def _count(self) -> None:
        # Millions of pieces of a few bytes each would cost minutes of computing; no real picture has as many.
        self._steps += 1
        if self._steps > _MAX_STEPS:
            raise BrokenPicture("This picture is made of far too many tiny pieces. Save it again with another program.")
