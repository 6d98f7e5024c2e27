r"""A form with files (multipart/form-data, RFC 7578), read part by part while it comes.

    body = "--" boundary *( CRLF headers CRLF CRLF data CRLF "--" boundary ) "--" epilogue

On purpose different from Starlette's `request.form()`: no part is kept anywhere, each is given out as soon as its
headers have come, and the form is refused where it leaves the grammar, not mended.
"""

import re
from collections.abc import AsyncGenerator, AsyncIterable, Mapping
from urllib.parse import unquote

from tailrace.streams.refusals import BodyTooLarge, MalformedMultipart, NotMultipart

#: The most that the headers of one part may have, and what stands before the first part and after the last.
HEADER_BYTES = 8 * 1024
_END = b"--"
_LINE_END = b"\r\n"
# RFC 2046, section 5.1.1: up to 70 of these, not ending in a space.
_BOUNDARY = re.compile(r"[0-9A-Za-z'()+_,\-./:=? ]{0,69}[0-9A-Za-z'()+_,\-./:=?]")
_HEADER = re.compile(r"([!#$%&'*+.^_`|~0-9A-Za-z-]+):[ \t]*([^\x00\r\n]*)")
_PARAMETER = re.compile(r';\s*([^\s=;"]+)\s*=\s*("(?:\\.|[^"\\])*"|[^;"]*)')
# RFC 7578, section 4.7: nothing else is to be sent, so nothing else needs to be decoded.
_PLAIN = frozenset({"7bit", "8bit", "binary"})


async def multipart(
    pieces: AsyncIterable[bytes], content_type: str | None, *, max_parts: int = 200
) -> AsyncGenerator["Part"]:
    """Yield the parts of the form that comes in `pieces`; `content_type` is the request's header.

    A part can be read until the next one is asked for, which throws away what is left of it. `store` interrupts its
    reading where it fails: to go on with the form after that, let `pieces` be an `Incoming`, for a generator has ended.

    Raises NotMultipart, MalformedMultipart, also when the body ends before the form does, BodyTooLarge for more than
    `max_parts` parts, and what `pieces` raises.
    """
    delimiter = b"\r\n--" + _boundary(content_type)
    body = _Body(pieces)
    await body.before(delimiter, HEADER_BYTES)
    count = 0
    while (mark := await body.take(2)) == _LINE_END:
        count += 1
        if count > max_parts:
            raise BodyTooLarge(f"The form has more than {max_parts} parts, which is the limit.")
        part = Part(body, delimiter, _parse_headers(await body.before(b"\r\n\r\n", HEADER_BYTES)))
        yield part
        await part.discard()
    if mark != _END:
        raise MalformedMultipart("A line of the form begins with the boundary, and goes on.")
    await body.finish(HEADER_BYTES)


class Part:
    """One part of a form: a field, or with a `filename` a file."""

    def __init__(self, body: "_Body", delimiter: bytes, headers: Mapping[str, str]) -> None:
        """Raise MalformedMultipart if the headers are not those of a form's part."""
        parameters = _disposition(headers)
        if "name" not in parameters:
            raise MalformedMultipart("A part of the form has no name.")
        if headers.get("content-transfer-encoding", "binary").lower() not in _PLAIN:
            raise MalformedMultipart("A part of the form is encoded for mail; send its bytes as they are.")
        self.name = parameters["name"]
        #: As the client wrote it: something to show, after cleaning, and never a path to open.
        self.filename = parameters.get("filename")
        self.content_type = headers.get("content-type")
        self._body = body
        self._delimiter = delimiter
        self._ended = False

    async def pieces(self) -> AsyncGenerator[bytes]:
        """Yield what is left of the part, as it comes."""
        while not self._ended:
            size = await self._body.look_for(self._delimiter)
            # No name keeps a piece alive here: a slow client's upload holds no memory while it waits.
            if size:
                yield self._body.cut(size)
            else:
                self._body.cut(len(self._delimiter))
                self._ended = True

    async def text(self, max_bytes: int = HEADER_BYTES) -> str:
        """Return what is left of the part as text; raises BodyTooLarge, or MalformedMultipart if it is not UTF-8."""
        collected = b""
        async for piece in self.pieces():
            collected += piece
            self._check(len(collected), max_bytes)
        try:
            return collected.decode()
        except UnicodeDecodeError:
            raise MalformedMultipart(f"The field {self.name[:80]!r} is no UTF-8 text.") from None

    async def discard(self, max_bytes: int | None = None) -> None:
        """Read what is left of the part and forget it; raises BodyTooLarge if it is more than `max_bytes`."""
        seen = 0
        async for piece in self.pieces():
            seen += len(piece)
            self._check(seen, max_bytes)

    def _check(self, size: int, max_bytes: int | None) -> None:
        if max_bytes is not None and size > max_bytes:
            raise BodyTooLarge(f"The part {self.name[:80]!r} of the form is larger than {max_bytes} bytes.")


class _Body:
    """Bytes that are taken up to one delimiter after the other; what `_held` has from `_at` on was not taken yet."""

    def __init__(self, pieces: AsyncIterable[bytes]) -> None:
        self._pieces = aiter(pieces)
        # The first boundary stands at the body's beginning, as if a line had just ended.
        self._held, self._at = _LINE_END, 0

    @property
    def _left(self) -> int:
        return len(self._held) - self._at

    async def look_for(self, delimiter: bytes) -> int:
        """Return how many bytes surely stand before the next `delimiter`; 0 if it is what comes next."""
        while (at := self._find(delimiter)) < 0:
            if sure := self._count_before(delimiter):
                return sure
            await self._hold_more()
        return at - self._at

    def _find(self, delimiter: bytes) -> int:
        # Most pieces have none, which `rfind` knows in a third of the time; once each, for it looks at all of it.
        if not self._at and self._held.rfind(delimiter) < 0:
            return -1
        return self._held.find(delimiter, self._at)

    def _count_before(self, delimiter: bytes) -> int:
        """Return how many bytes came before any that may be the beginning of the delimiter, which begins with CR."""
        at = self._held.find(b"\r", max(len(self._held) - len(delimiter) + 1, self._at))
        while at >= 0 and not delimiter.startswith(self._held[at:]):
            at = self._held.find(b"\r", at + 1)
        return at - self._at if at >= 0 else self._left

    def cut(self, size: int) -> bytes:
        """Take `size` bytes of those that have come."""
        taken = self._held[self._at : self._at + size]
        self._at += size
        if not self._left:
            self._held, self._at = b"", 0
        return taken

    async def before(self, delimiter: bytes, most: int) -> bytes:
        """Take all that stands before the next `delimiter`, and it too; raises MalformedMultipart over `most` bytes."""
        collected = b""
        while size := await self.look_for(delimiter):
            collected += self.cut(size)
            if len(collected) > most:
                raise MalformedMultipart(f"The form has more than {most} bytes where headers or a boundary should be.")
        self.cut(len(delimiter))
        return collected

    async def take(self, size: int) -> bytes:
        """Take `size` bytes."""
        while self._left < size:
            await self._hold_more()
        return self.cut(size)

    async def finish(self, most: int) -> None:
        """Take what is left; raises MalformedMultipart over `most` bytes."""
        left = self._left
        while left <= most:
            piece = await anext(self._pieces, None)
            if piece is None:
                return
            left += len(piece)
        raise MalformedMultipart(f"The body goes on for more than {most} bytes after the end of the form.")

    async def _hold_more(self) -> None:
        try:
            self._held, self._at = self._held[self._at :] + await anext(self._pieces), 0
        except StopAsyncIteration:
            raise MalformedMultipart("The body ends before the form does.") from None


def _boundary(content_type: str | None) -> bytes:
    kind, _, parameters = (content_type or "").partition(";")
    if kind.strip().lower() != "multipart/form-data":
        raise NotMultipart
    boundary = _parse_parameters(f";{parameters}").get("boundary", "")
    if _BOUNDARY.fullmatch(boundary) is None:
        raise MalformedMultipart("The Content-Type names no boundary, or one that RFC 2046 does not allow.")
    return boundary.encode()


def _parse_headers(block: bytes) -> dict[str, str]:
    headers: dict[str, str] = {}
    for line in block.decode("utf-8", "replace").split("\r\n"):
        found = _HEADER.fullmatch(line)
        if found is None or found[1].lower() in headers:
            raise MalformedMultipart("A part of the form has a header that is none, or that comes twice.")
        headers[found[1].lower()] = found[2].strip()
    return headers


def _disposition(headers: Mapping[str, str]) -> dict[str, str]:
    kind, _, parameters = headers.get("content-disposition", "").partition(";")
    if kind.strip().lower() != "form-data":
        raise MalformedMultipart("A part of the form has no Content-Disposition: form-data.")
    return _parse_parameters(f";{parameters}")


def _parse_parameters(text: str) -> dict[str, str]:
    found: dict[str, str] = {}
    for name, value in _PARAMETER.findall(text):
        # RFC 7578 forbids `filename*`, yet common clients send it, and it alone, for a name that is not ASCII.
        extended = name.endswith("*")
        read = unquote(value.rpartition("'")[2], errors="replace") if extended else _unquoted(value)
        found.setdefault(name.lower().removesuffix("*"), read)
    return found


def _unquoted(value: str) -> str:
    if not value.startswith('"'):
        return value.strip()
    # curl escapes these two, browsers nothing: before any other character a backslash is itself.
    return re.sub(r'\\(["\\])', r"\1", value[1:-1])
