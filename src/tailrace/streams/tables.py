"""Tables as CSV or JSON Lines, encoded by the database itself, straight from a SELECT.

Both databases make the same CSV (RFC 4180, UTF-8, but lines end in LF): text is always quoted; numbers, moments and
NULL never are, so an empty text, `""`, and NULL, nothing, differ. In both formats moments, which count as UTC where the
column has no zone, are ISO 8601 with six decimals and Z, and booleans are `true` and `false`. SQLite ends a text at a
NUL character: keep those out of the database.
"""

import re
from collections.abc import Callable, Generator, Iterator, Sequence
from dataclasses import dataclass

from sqlalchemy import Connection

from tailrace.streams.queries import Format, TableQuery
from tailrace.streams.tables_sqlite import encode_on_sqlite

CHUNK_BYTES = 64 * 1024
_SIMPLE_NAME = re.compile(r"\w+")


@dataclass(frozen=True, slots=True)
class Chunk:
    """Some whole lines of an encoded table, and how many rows of the query are in them (the header is none)."""

    data: bytes
    rows: int


def encode_table(
    connection: Connection, query: TableQuery, file_format: Format, *, guard: bool = False
) -> Generator[Chunk]:
    """Yield the rows of `query` as chunks of whole lines, CSV with its header in the first.

    The first chunk is small, so that it is there at once; the others have at least 64 KiB, but for the last. An empty
    table has one chunk all the same. `connection` should be a snapshot, for the rows are read in pages.

    `guard` puts an apostrophe before texts that a spreadsheet would run as a formula: those that begin with `=`, `+`,
    `-`, `@`, a tab or a return. It changes data, so it is for files that people open, not for programs.

    Raises ValueError for a column that has no text form.
    """
    header = _header(query.names) if file_format == "csv" else b""
    return _coalesce(header, _encoder(connection)(connection, query, file_format, guard=guard))


def _encoder(connection: Connection) -> Callable[..., Iterator[tuple[bytes, int]]]:
    if connection.dialect.name == "sqlite":
        return encode_on_sqlite
    # It needs psycopg, which an installation on SQLite does not have.
    from tailrace.streams.tables_postgresql import encode_on_postgresql

    return encode_on_postgresql


def _header(names: Sequence[str]) -> bytes:
    return (",".join(map(_header_cell, names)) + "\n").encode()


def _header_cell(name: str) -> str:
    return name if _SIMPLE_NAME.fullmatch(name) else '"' + name.replace('"', '""') + '"'


def _coalesce(header: bytes, pieces: Iterator[tuple[bytes, int]]) -> Generator[Chunk]:
    first, first_rows = next(pieces, (b"", 0))
    yield Chunk(header + first, first_rows)
    waiting: list[bytes] = []
    size = rows = 0
    for piece, piece_rows in pieces:
        waiting.append(piece)
        size += len(piece)
        rows += piece_rows
        if size >= CHUNK_BYTES:
            yield Chunk(b"".join(waiting), rows)
            waiting, size, rows = [], 0, 0
    if waiting:
        yield Chunk(b"".join(waiting), rows)
