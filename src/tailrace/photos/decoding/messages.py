"""What a decoder and whoever asks it say to each other: a line of JSON, which tells how many bytes follow it.

JSON, because a picture may have taken the decoder over: what it says is read, never run.
"""

import json
import socket
from collections.abc import Callable
from dataclasses import asdict, dataclass
from typing import Any

from tailrace.photos.exif import CameraFacts, Location

MAX_LINE = 64 * 1024
_PIECE = 256 * 1024


@dataclass(frozen=True, slots=True)
class Limits:
    """What one picture may take: seconds of time, and MiB of memory beyond what a decoder needs for itself."""

    seconds: float
    megabytes: int


@dataclass(frozen=True, slots=True)
class RenditionOrder:
    """A rendition to be made: the longest edge in pixels, WebP's quality (1 to 100) and effort (0 to 6)."""

    name: str
    longest: int
    quality: int
    effort: int


@dataclass(frozen=True, slots=True)
class Order:
    """A picture of `size` bytes to be decoded, and the renditions to be made of it."""

    format: str
    size: int
    max_pixels: int
    renditions: tuple[RenditionOrder, ...]

    def to_json(self) -> dict[str, Any]:
        """Return what the decoder is told."""
        return asdict(self)

    @classmethod
    def from_json(cls, message: dict[str, Any]) -> "Order":
        """Read what `to_json` made."""
        return cls(**{**message, "renditions": tuple(RenditionOrder(**each) for each in message["renditions"])})


@dataclass(frozen=True, slots=True)
class Facts:
    """What is known when the picture is decoded: its thumbhash in base64, and what the camera wrote."""

    placeholder: str
    camera: CameraFacts

    def to_json(self) -> dict[str, Any]:
        """Return what the asker is told."""
        return asdict(self)

    @classmethod
    def from_json(cls, message: dict[str, Any]) -> "Facts":
        """Read what `to_json` made."""
        camera = dict(message["camera"])
        location = camera.pop("location")
        where = None if location is None else Location(**location)
        return cls(message["placeholder"], CameraFacts(**camera, location=where))


@dataclass(frozen=True, slots=True)
class Rendition:
    """A rendition that was made: a WebP, and its size in pixels."""

    name: str
    width: int
    height: int
    data: bytes


def encode(message: dict[str, Any]) -> bytes:
    """Return a message as the line that is sent."""
    return json.dumps(message).encode() + b"\n"


class Reader:
    """Reads messages from a socket; `wait` is called whenever nothing has come for as long as the socket's timeout."""

    def __init__(self, channel: socket.socket, wait: Callable[[], None]) -> None:
        self._channel = channel
        self._wait = wait
        self._read = bytearray()

    def message(self) -> dict[str, Any]:
        """Return the next message. Raises EOFError when there is no other side any more."""
        while (end := self._read.find(b"\n")) < 0:
            if len(self._read) > MAX_LINE:
                raise EOFError
            self._receive()
        line = bytes(self._read[:end])
        del self._read[: end + 1]
        message: dict[str, Any] = json.loads(line)
        return message

    def payload(self, size: int) -> bytearray:
        """Return the `size` bytes behind a message. Raises EOFError."""
        data, view_from = bytearray(size), min(size, len(self._read))
        data[:view_from] = self._read[:view_from]
        del self._read[:view_from]
        with memoryview(data) as view:
            while view_from < size:
                view_from += self._receive_into(view[view_from:])
        return data

    def _receive(self) -> None:
        piece = bytearray(_PIECE)
        self._read += piece[: self._receive_into(memoryview(piece))]

    def _receive_into(self, view: memoryview) -> int:
        while True:
            try:
                got = self._channel.recv_into(view)
            except TimeoutError:
                self._wait()
                continue
            except OSError as error:
                raise EOFError from error
            if not got:
                raise EOFError
            return got
