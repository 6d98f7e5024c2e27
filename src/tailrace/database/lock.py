"""A lock that one process in the whole installation holds, and that its death frees."""

import contextlib
import fcntl
import os
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Protocol
from zlib import crc32

from sqlalchemy import Connection, Engine, text
from sqlalchemy.exc import SQLAlchemyError

_SILENT_FOR_S = 7


class LockHeld(Exception):
    """Another process holds this lock."""


class LockLost(Exception):
    """This process held the lock, and does not any more."""


class Hold(Protocol):
    """A lock that is held."""

    def check(self) -> None:
        """Raise LockLost if the lock was lost. Call it every few seconds: a holder silent for 7 s loses it, so that one
        that hangs, or is cut off from the database, makes room for another.
        """


@contextmanager
def hold_file(database: Path, name: str) -> Iterator[Hold]:
    """Hold the lock of a SQLite database: flock on the file `DATABASE.NAME.lock`, so one machine. Raises LockHeld."""
    descriptor = os.open(database.with_name(f"{database.name}.{name}.lock"), os.O_RDWR | os.O_CREAT, 0o600)
    try:
        try:
            fcntl.flock(descriptor, fcntl.LOCK_EX | fcntl.LOCK_NB)
        except BlockingIOError as error:
            raise LockHeld(f"Another process holds the lock {name!r} of {database}.") from error
        yield _FileHold()
    finally:
        os.close(descriptor)


class _FileHold:
    def check(self) -> None:
        """Nothing but the end of the process frees it."""


@contextmanager
def hold_advisory(engine: Engine, name: str) -> Iterator[Hold]:
    """Hold the lock of a PostgreSQL database: an advisory lock on a connection of its own. Raises LockHeld."""
    with engine.connect().execution_options(isolation_level="AUTOCOMMIT") as connection:
        key = {"key": crc32(f"tailrace.{name}".encode())}
        if not connection.execute(text("SELECT pg_try_advisory_lock(:key)"), key).scalar_one():
            raise LockHeld(f"Another process holds the lock {name!r} of this database.")
        # The server ends the session of a holder that is silent, and with it frees the lock (since PostgreSQL 14).
        connection.execute(text(f"SET idle_session_timeout = '{_SILENT_FOR_S}s'"))
        try:
            yield _AdvisoryHold(connection, name)
        finally:
            with contextlib.suppress(Exception):  # A lost connection has freed the lock already.
                connection.execute(text("SET idle_session_timeout = 0"))
                connection.execute(text("SELECT pg_advisory_unlock(:key)"), key)


class _AdvisoryHold:
    def __init__(self, connection: Connection, name: str) -> None:
        self._connection = connection
        self._name = name

    def check(self) -> None:
        # A connection that failed once would be replaced by the next statement, but not the lock that it held.
        if not self._connection.invalidated:
            with contextlib.suppress(SQLAlchemyError):
                self._connection.execute(text("SELECT 1"))
                return
        raise LockLost(f"The connection that held the lock {self._name!r} was lost.")
