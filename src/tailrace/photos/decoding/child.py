"""The decoder: takes a picture, answers with what it shows, small; again, until nobody asks any more.

What can be hostile is decoded here and nowhere else. The kernel ends a picture that takes too long or too much: the
alarm's default action needs no cooperation of the code it interrupts.
"""

import resource
import signal
import socket
import sys
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

from tailrace.errors import TailraceError
from tailrace.photos import rendering
from tailrace.photos.decoding.messages import Facts, Order, Reader, encode
from tailrace.photos.exif import read_exif

_IDLE_S = 60.0
_LARGEST_FILE = 64 * 1024


def main() -> None:
    """Run as `python -m tailrace.photos.decoding.child DESCRIPTOR SECONDS MEGABYTES`."""
    descriptor, seconds, megabytes = int(sys.argv[1]), float(sys.argv[2]), int(sys.argv[3])
    asker = socket.socket(fileno=descriptor)
    _restrict(megabytes)
    reader = Reader(asker, wait=_leave)
    while True:
        asker.settimeout(_IDLE_S)
        try:
            order = Order.from_json(reader.message())
            data = reader.payload(order.size)
        except EOFError:
            return
        asker.settimeout(None)
        _answer(asker, order, data, seconds)


def _answer(asker: socket.socket, order: Order, data: bytearray, seconds: float) -> None:
    end: dict[str, object] = {"answer": "done"}
    alarm = _Alarm(seconds)
    try:
        with alarm.set():
            for message, payload in _work(order, data):
                with alarm.stopped():  # Whoever asks may be slow to take it.
                    asker.sendall(encode(message) + payload)
    except TailraceError as error:
        end = {"answer": "refused", "detail": error.detail}
    except MemoryError:
        end = {"answer": "memory"}
    asker.sendall(encode(end))


def _work(order: Order, data: bytearray) -> Iterator[tuple[dict[str, object], bytes]]:
    wanted = sorted(order.renditions, key=lambda rendition: rendition.longest)
    decoded = rendering.decode(data, order.format, longest=wanted[-1].longest, max_pixels=order.max_pixels)
    images = [decoded.image]
    for each in wanted[-2::-1]:
        images.insert(0, rendering.fit(images[0], each.longest))
    facts = Facts(rendering.placeholder(images[0]), read_exif(decoded.exif))
    yield {"answer": "facts", **facts.to_json()}, b""
    for each, image in zip(wanted, images, strict=True):
        made = rendering.encode(image, quality=each.quality, effort=each.effort)
        about = {"answer": "rendition", "name": each.name, "width": made.width, "height": made.height}
        yield {**about, "bytes": len(made.data)}, made.data


class _Alarm:
    """Ends the process when the time is up; it does not run on while it is stopped."""

    def __init__(self, seconds: float) -> None:
        self._left = seconds

    @contextmanager
    def set(self) -> Iterator[None]:
        signal.setitimer(signal.ITIMER_REAL, self._left)
        try:
            yield
        finally:
            signal.setitimer(signal.ITIMER_REAL, 0)

    @contextmanager
    def stopped(self) -> Iterator[None]:
        left, _ = signal.setitimer(signal.ITIMER_REAL, 0)
        try:
            yield
        finally:
            signal.setitimer(signal.ITIMER_REAL, max(left, 0.001))


def _restrict(megabytes: int) -> None:
    signal.signal(signal.SIGALRM, signal.SIG_DFL)
    for limit, most in ((resource.RLIMIT_CORE, 0), (resource.RLIMIT_FSIZE, _LARGEST_FILE)):
        resource.setrlimit(limit, (most, most))
    if sys.platform == "linux":
        # Private writable memory (setrlimit(2)); held so far is the sixth field of statm, in pages.
        held = int(Path("/proc/self/statm").read_text().split()[5]) * resource.getpagesize()
        most = held + megabytes * 1024 * 1024
        resource.setrlimit(resource.RLIMIT_DATA, (most, most))


def _leave() -> None:
    """Go, since nothing has come for a minute; the next picture has a new decoder."""
    raise SystemExit


if __name__ == "__main__":
    main()
