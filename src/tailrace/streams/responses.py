"""A table as a response."""

import json
from collections.abc import Generator, Hashable, Mapping
from contextlib import closing
from typing import Any

from starlette.datastructures import MutableHeaders

from tailrace.database import Database
from tailrace.streams.dispositions import content_disposition
from tailrace.streams.drain import Drain
from tailrace.streams.exchange import STALL_S, LeastRate, Stream, Writer
from tailrace.streams.pump import Pump, Slots, TooManyStreams
from tailrace.streams.queries import Format, TableQuery
from tailrace.streams.tables import Chunk, encode_table

MEDIA_TYPES: dict[Format, str] = {
    "csv": "text/csv; charset=utf-8; header=present",
    "jsonl": "application/jsonl; charset=utf-8",
}
TABLE_SLOTS = Slots(32, per_holder=4)
RETRY_AFTER_S = 5


class TableStream(Stream):
    """The rows of a query as CSV or JSON Lines, read from one state of the database while they are sent.

    The first rows are read before the headers go out: what fails by then is a proper error response, what fails later
    breaks the transfer. So does a reader that takes nothing for `stall_s` seconds, or stays below `least_rate`, and a
    drain that has waited 2 s.
    Memory does not grow with the table: a reader that is behind makes the database wait. Each stream has a thread and a
    database connection; when all `slots` are taken, or all that `holder` may have, the answer is 503 with Retry-After.
    """

    # Any network has as much. Who takes less holds a state of the database that grows old, and for as long as anybody
    # does, SQLite's log grows and PostgreSQL keeps what was deleted.
    least_rate = LeastRate(8 * 1024, over_s=60.0)

    def __init__(
        self,
        database: Database,
        query: TableQuery,
        file_format: Format,
        *,
        filename: str,
        guard: bool = False,
        headers: Mapping[str, str] | None = None,
        drain: Drain | None = None,
        slots: Slots = TABLE_SLOTS,
        holder: Hashable = None,
        stall_s: float = STALL_S,
    ) -> None:
        """Prepare the response; `guard` is that of `encode_table`, `holder` is whoever reads, such as a user's id."""
        own = {
            "Cache-Control": "no-store",
            "Content-Disposition": content_disposition(filename),
            "X-Accel-Buffering": "no",
            "X-Content-Type-Options": "nosniff",
        }
        super().__init__(
            media_type=MEDIA_TYPES[file_format], headers={**own, **(headers or {})}, drain=drain, stall_s=stall_s
        )
        self._database = database
        self._query = query
        self._file_format = file_format
        self._guard = guard
        self._slots = slots
        self._holder = holder

    async def produce(self, writer: Writer) -> None:
        """Read the first rows, then send and read on."""
        try:
            chunks = Pump(self._read, slots=self._slots, holder=self._holder)
        except TooManyStreams as error:
            await refuse(writer, error)
            return
        with closing(chunks):
            first = await anext(chunks)
            await writer.start(self.status_code, self.headers)
            if writer.scope["method"] != "HEAD":
                await writer.write(first.data)
                async for chunk in chunks:
                    await writer.write(chunk.data)
        await writer.finish()

    def _read(self) -> Generator[Chunk]:
        with self._database.snapshot() as connection:
            yield from encode_table(connection, self._query, self._file_format, guard=self._guard)


async def refuse(writer: Writer, error: TooManyStreams) -> None:
    """Answer that there is no room for one more stream at the moment."""
    headers = MutableHeaders({"Content-Type": "application/problem+json", "Retry-After": str(RETRY_AFTER_S)})
    problem: dict[str, Any] = {"title": "Unavailable", "status": 503, "detail": str(error)}
    await writer.start(503, headers)
    await writer.finish(json.dumps(problem).encode())
