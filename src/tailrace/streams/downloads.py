"""A stored file as a response: whole, or the part that a client still lacks (RFC 9110), with its digest (RFC 9530)."""

import base64
from collections.abc import Generator, Hashable, Iterator, Mapping
from contextlib import closing
from datetime import UTC, datetime
from email.utils import format_datetime
from typing import Protocol, runtime_checkable

from starlette.datastructures import Headers, MutableHeaders

from tailrace.streams.conditions import (
    NotModified,
    PreconditionFailed,
    RangeNotSatisfiable,
    Validators,
    choose_range,
)
from tailrace.streams.dispositions import content_disposition
from tailrace.streams.drain import Drain
from tailrace.streams.exchange import STALL_S, Stream, Writer
from tailrace.streams.pump import Pump, Slots, TooManyStreams
from tailrace.streams.responses import refuse

DOWNLOAD_SLOTS = Slots(64, per_holder=8)
# So much of a file in storage is read ahead of the slowest client, which keeps no slot for longer than that takes. And
# a page may have dozens of pictures, for which a browser asks all at once.
_READ_AHEAD = 1024 * 1024
_NOT_MODIFIED_HEADERS = ("cache-control", "etag", "last-modified")


class ByteSource(Protocol):
    """A file that never changes: its size in bytes, its SHA-256 in hexadecimal digits, and its bytes."""

    @property
    def size(self) -> int: ...

    @property
    def sha256(self) -> str: ...

    def read(self, start: int, stop: int) -> Iterator[bytes]:
        """Yield the bytes from `start` to before `stop`; may block, and raise when the file cannot be read."""
        ...


@runtime_checkable
class LinkedSource(ByteSource, Protocol):
    """A file that may also lie where clients can fetch it themselves."""

    def link(self, headers: Mapping[str, str]) -> str | None:
        """Return an address that serves the file with `headers` for a while; None if it is to be had from here only."""
        ...


class SourceChanged(Exception):
    """The file has not the size that was promised."""


class FileDownload(Stream):
    """A file, or the one range of it that the request asks for.

    Its ETag and `Repr-Digest` are the SHA-256, so a client that lost the connection can go on with Range and If-Range,
    and see at the end whether it has what was stored. A source that fails, or has fewer bytes than it said, breaks the
    transfer. `Content-Encoding: identity` keeps middlewares and proxies from compressing: the digest and the ranges are
    those of the file as it is stored. When all `slots` are taken, or all that `holder` may have for what is larger than
    1 MiB, the answer is 503 with Retry-After.

    A client is sent on (307) to the link of a LinkedSource that has one, after its conditions were looked at here.
    """

    def __init__(
        self,
        source: ByteSource,
        *,
        filename: str,
        media_type: str = "application/octet-stream",
        last_modified: datetime | None = None,
        inline: bool = False,
        headers: Mapping[str, str] | None = None,
        drain: Drain | None = None,
        slots: Slots = DOWNLOAD_SLOTS,
        holder: Hashable = None,
        stall_s: float = STALL_S,
    ) -> None:
        """Prepare the response; `last_modified` is aware, `inline` shows the file instead of saving it.

        `holder` is whoever reads, such as a user's id.
        """
        self._source = source
        self._slots = slots
        self._holder = holder
        self._validators = Validators(f'"{source.sha256}"', last_modified)
        own = {
            "Accept-Ranges": "bytes",
            "Cache-Control": "private, no-cache",
            "Content-Disposition": content_disposition(filename, inline=inline),
            "Content-Encoding": "identity",
            "ETag": self._validators.etag,
            "Repr-Digest": f"sha-256=:{base64.b64encode(bytes.fromhex(source.sha256)).decode()}:",
            "X-Content-Type-Options": "nosniff",
        }
        if last_modified is not None:
            own["Last-Modified"] = format_datetime(last_modified.astimezone(UTC), usegmt=True)
        super().__init__(media_type=media_type, headers={**own, **(headers or {})}, drain=drain, stall_s=stall_s)

    async def produce(self, writer: Writer) -> None:
        """Answer what the request's conditions ask for."""
        request = Headers(scope=writer.scope)
        try:
            self._validators.check(request)
            wanted = choose_range(request.get("range"), self._source.size) if self._ranges(writer, request) else None
        except PreconditionFailed:
            await self._answer_bodiless(writer, 412, {"Content-Length": "0"})
        except NotModified:
            await self._answer_bodiless(writer, 304, {name: self.headers[name] for name in self._validator_names()})
        except RangeNotSatisfiable:
            await self._answer_bodiless(
                writer, 416, {"Content-Range": f"bytes */{self._source.size}", "Content-Length": "0"}
            )
        else:
            await self._send(writer, wanted)

    def _ranges(self, writer: Writer, request: Headers) -> bool:
        return writer.scope["method"] == "GET" and self._validators.allow_range(request)

    def _validator_names(self) -> list[str]:
        return [name for name in _NOT_MODIFIED_HEADERS if name in self.headers]

    async def _answer_bodiless(self, writer: Writer, status: int, headers: Mapping[str, str]) -> None:
        await writer.start(status, MutableHeaders(headers))
        await writer.finish()

    async def _send(self, writer: Writer, wanted: tuple[int, int] | None) -> None:
        link = self._link() if writer.scope["method"] == "GET" else None
        if link is None:
            await self._send_range(writer, wanted)
        else:
            elsewhere = {"Location": link, "Cache-Control": "no-store", "Content-Length": "0"}
            await self._answer_bodiless(writer, 307, elsewhere)

    def _link(self) -> str | None:
        return self._source.link(self.headers) if isinstance(self._source, LinkedSource) else None

    async def _send_range(self, writer: Writer, wanted: tuple[int, int] | None) -> None:
        start, stop = wanted or (0, self._source.size)
        headers = self.headers.mutablecopy()
        headers["Content-Length"] = str(stop - start)
        if wanted:
            headers["Content-Range"] = f"bytes {start}-{stop - 1}/{self._source.size}"
        status = 206 if wanted else 200
        if writer.scope["method"] == "HEAD":
            await writer.start(status, headers)
            await writer.finish()
            return
        holder = self._holder if stop - start > _READ_AHEAD else None
        try:
            pieces = Pump(lambda: self._read(start, stop), slots=self._slots, holder=holder)
        except TooManyStreams as error:
            await refuse(writer, error)
            return
        with closing(pieces):
            piece = await anext(pieces, b"")
            await writer.start(status, headers)
            await writer.write(piece)
            async for piece in pieces:
                await writer.write(piece)
        await writer.finish()

    def _read(self, start: int, stop: int) -> Generator[bytes]:
        missing = stop - start
        for piece in self._source.read(start, stop):
            missing -= len(piece)
            if missing < 0:
                break
            yield piece
        if missing:
            raise SourceChanged(f"{SourceChanged.__doc__} It lacks {missing} bytes.")
