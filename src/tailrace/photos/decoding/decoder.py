"""A decoder as its worker sees it: started when there is none, asked, and buried."""

import atexit
import logging
import os
import signal
import socket
import subprocess
import sys
import tempfile
import time
from collections.abc import Callable, Generator, Iterable, Iterator
from itertools import chain

from tailrace.photos.decoding.messages import Facts, Limits, Order, Reader, Rendition, encode
from tailrace.photos.errors import PictureRefused

_LOOK_EVERY_S = 0.1
_GRACE_S = 5.0
_PICTURES_EACH = 500
_ENVIRONMENT = ("PATH", "HOME", "LANG", "LC_ALL", "PYTHONPATH", "LD_LIBRARY_PATH", "DYLD_LIBRARY_PATH")
# libvips would move what is large to a file of its own, and a killed process would leave it.
_SETTINGS = {"VIPS_DISC_THRESHOLD": "1000g", "VIPS_WARNING": "0"}
_NO_MEMORY = ("failed to allocate", "MemoryError", "out of memory", "bad_alloc")

_log = logging.getLogger(__name__)
_idle: list["_Decoder"] = []


class OverLimit(PictureRefused):
    """This picture takes more time or memory to decode than it may."""


class DecoderLost(Exception):
    """The decoder ended while it had a picture; the message says how."""


def decode_apart(
    order: Order, picture: Iterable[bytes], *, limits: Limits, check: Callable[[], None]
) -> Generator[Facts | Rendition, None, None]:
    """Have a picture decoded in a process apart; yields its facts, then the renditions, the smallest first.

    `check` is called several times a second, and whatever it raises ends the work, as does not exhausting this.
    Raises PictureRefused for a picture that cannot be decoded, OverLimit for one that takes too much, DecoderLost when
    the process ended otherwise, and what `picture` raises.
    """
    decoder = _take(limits)
    try:
        yield from decoder.decode(order, picture, check)
    except BaseException as error:
        # After a plain refusal it waits for the next picture; after anything else, who knows what it would do.
        if not isinstance(error, PictureRefused) or isinstance(error, OverLimit):
            decoder.close()
        raise
    finally:
        if decoder.reusable:
            _idle.append(decoder)
        else:
            decoder.close()


def close_decoders() -> None:
    """End the decoders that this process keeps for its next picture."""
    while _idle:
        _idle.pop().close()


atexit.register(close_decoders)


def _take(limits: Limits) -> "_Decoder":
    while _idle:
        decoder = _idle.pop()
        if decoder.limits == limits and decoder.alive:
            return decoder
        decoder.close()
    return _Decoder(limits)


class _Decoder:
    """One decoder process."""

    def __init__(self, limits: Limits) -> None:
        self.limits = limits
        self._pictures = 0
        # It has no name, so nothing can stay behind.
        self._told = tempfile.TemporaryFile()  # noqa: SIM115 -- closed by `close`
        self._channel, theirs = socket.socketpair()
        self._channel.settimeout(_LOOK_EVERY_S)
        with theirs:
            arguments = map(str, (theirs.fileno(), limits.seconds, limits.megabytes))
            self._process = subprocess.Popen(
                [sys.executable, "-m", "tailrace.photos.decoding.child", *arguments],
                pass_fds=[theirs.fileno()],
                stdin=subprocess.DEVNULL,
                stdout=self._told,
                stderr=self._told,
                # Not the worker's: that names the database, and keys.
                env={name: os.environ[name] for name in _ENVIRONMENT if name in os.environ} | _SETTINGS,
            )

    @property
    def alive(self) -> bool:
        """Whether the process runs."""
        return self._process.poll() is None

    @property
    def reusable(self) -> bool:
        """Whether it may be given another picture; after many it is replaced, for what libraries leak."""
        return self._channel.fileno() >= 0 and self._pictures < _PICTURES_EACH

    def decode(self, order: Order, picture: Iterable[bytes], check: Callable[[], None]) -> Iterator[Facts | Rendition]:
        """Ask, and yield the answers; see `decode_apart`."""
        self._pictures += 1
        os.ftruncate(self._told.fileno(), 0)
        patience = _Patience(check, self.limits.seconds + _GRACE_S)
        try:
            self._send(order, picture, patience)
            yield from self._answers(patience)
        except EOFError:
            raise self._explain_end() from None

    def close(self) -> None:
        """End the process, whatever it does."""
        self._process.kill()
        self._process.wait()
        self._channel.close()
        self._told.close()

    def _send(self, order: Order, picture: Iterable[bytes], patience: "_Patience") -> None:
        for piece in chain([encode(order.to_json())], picture):
            rest = memoryview(piece)
            while rest:
                try:
                    rest = rest[self._channel.send(rest) :]
                except TimeoutError:
                    patience.tried()
                except OSError as error:
                    raise EOFError from error

    def _answers(self, patience: "_Patience") -> Iterator[Facts | Rendition]:
        reader = Reader(self._channel, patience.tried)
        while True:
            patience.renew()
            message = reader.message()
            match message.pop("answer"):
                case "facts":
                    yield Facts.from_json(message)
                case "rendition":
                    data = bytes(reader.payload(message.pop("bytes")))
                    yield Rendition(**message, data=data)
                case "refused":
                    raise PictureRefused(message["detail"])
                case "memory":
                    raise self._too_much_memory()
                case _:
                    return

    def _explain_end(self) -> PictureRefused | DecoderLost:
        """Return why the process is gone."""
        try:
            code = self._process.wait(_GRACE_S)
        except subprocess.TimeoutExpired:
            self._process.kill()
            code = self._process.wait()
        self._told.seek(0)
        told = self._told.read().decode(errors="replace")
        if code == -signal.SIGALRM:
            return OverLimit(f"This picture takes more than the {self.limits.seconds:g} s that it may to decode.")
        if any(sign in told for sign in _NO_MEMORY):
            return self._too_much_memory()
        _log.warning("A decoder ended with %d: %s", code, told[-2000:])
        how = f"was killed by {signal.Signals(-code).name}" if code < 0 else f"ended with exit code {code}"
        return DecoderLost(f"The process that decoded it {how}.")

    def _too_much_memory(self) -> OverLimit:
        return OverLimit(
            f"This picture takes more than the {self.limits.megabytes:,} MB of memory that it may to decode."
        )


class _Patience:
    """Looks, while a decoder is waited for, whether to go on waiting."""

    def __init__(self, check: Callable[[], None], seconds: float) -> None:
        self._check = check
        self._seconds = seconds
        self.renew()

    def renew(self) -> None:
        """Begin to wait anew."""
        self._until = time.monotonic() + self._seconds

    def tried(self) -> None:
        """Take note that nothing happened for a moment. Raises what the check raises, or DecoderLost at the end."""
        self._check()
        if time.monotonic() > self._until:
            raise DecoderLost("The process that decoded it hangs.")
