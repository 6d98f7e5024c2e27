"""Notices that the source was written to while it was copied.

No service works on it meanwhile, but a command may (`tailrace user create`), or whoever opens the file. The copy sees
one state of the source, so what is written after that would be missing in it, and nobody would be told.
"""

from types import TracebackType
from typing import Self

from sqlalchemy import Engine

from tailrace.copying.errors import CopyError


class Stillness:
    """Watches a SQLite database from a connection of its own, as a context manager; begin before the first reading."""

    def __init__(self, source: Engine) -> None:
        self._connection = source.connect()
        self._before = self._version()

    def check(self) -> None:
        """Raise CopyError if anybody has committed anything since this was made."""
        if self._version() != self._before:
            raise CopyError(
                "The source was changed while it was copied: leave it alone, and run the same command again."
            )

    def __enter__(self) -> Self:
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        self._connection.close()

    def _version(self) -> int:
        # It changes with every commit of another connection (https://sqlite.org/pragma.html#pragma_data_version), but
        # not inside a transaction.
        version = int(self._connection.exec_driver_sql("PRAGMA data_version").scalar_one())
        self._connection.rollback()
        return version
