"""One database: how it is opened, and the three ways to use it (read, write, snapshot)."""

import math
import random
import sqlite3
import time
from collections.abc import Iterator
from contextlib import AbstractContextManager, contextmanager
from pathlib import Path
from typing import Any

import sqlalchemy
from sqlalchemy import URL, Connection, event, make_url
from sqlalchemy.exc import DisconnectionError
from sqlalchemy.orm import Session, sessionmaker

from tailrace.database.doorbell import Doorbell, Listener, NotifyDoorbell, SocketDoorbell
from tailrace.database.lock import Hold, hold_advisory, hold_file
from tailrace.database.publishing import Recorder, forget_what_is_undone, take_facts

BUSY_TIMEOUT_MS = 10_000
_WRITES = "tailrace_writes"
_RESTS_SINCE = "tailrace_rests_since"
_RESTED_AFTER_S = 1.0
# A server that vanishes without a word (a cable, a firewall) is given up after half a minute, not after hours (libpq,
# "Parameter Key Words"). What the address says itself wins.
_NOTICE_SILENCE = {
    "connect_timeout": "10",
    "keepalives_idle": "10",
    "keepalives_interval": "5",
    "keepalives_count": "3",
    "tcp_user_timeout": "25000",
}


class DatabaseBusy(Exception):
    """The database stayed locked by another writer for longer than the busy timeout (10 s)."""


class Database:
    """One database and its transactions.

    On SQLite every connection uses the write-ahead log with `synchronous=FULL`, so what was committed survives a power
    cut, and every writing transaction begins with BEGIN IMMEDIATE: one that begins as a reader and then writes fails at
    once when another writer came between, whatever the busy timeout says.
    """

    def __init__(self, url: str | URL, *, record: Recorder | None = None, pool_size: int = 20) -> None:
        """Open (SQLite: and create, its folder too) the database at `url`; `record` is given each transaction's facts.

        Raises ValueError for an address of a database that Tailrace cannot use.
        """
        self.url = make_url(url)
        self._record = record
        self.engine, self._bell = _open(self.url, pool_size)
        self._readers = sessionmaker(self.engine, expire_on_commit=False)
        self._writers = sessionmaker(self.engine.execution_options(**{_WRITES: True}), expire_on_commit=False)
        forget_what_is_undone(self._writers)

    @property
    def is_sqlite(self) -> bool:
        """Whether this is SQLite; the only other possibility is PostgreSQL."""
        return self.engine.dialect.name == "sqlite"

    @contextmanager
    def read(self) -> Iterator[Session]:
        """Give a session to read with.

        On SQLite it sees one state of the database from its first query on. On PostgreSQL each query sees what is
        committed by then (READ COMMITTED), which is cheaper: two of them may contradict each other if something is
        committed in between. Where they must not, use `snapshot`.
        """
        with self._readers() as session:
            yield session

    @contextmanager
    def write(self) -> Iterator[Session]:
        """Give a session whose transaction commits at the end of the block and rolls back if the block raises.

        The transaction begins with the first statement, so prepare what takes time (a password hash) before it.
        Raises DatabaseBusy if another writer held the database for over 10 s.
        """
        with self._writers() as session:
            yield session
            self._commit(session)
        self._bell.ring()

    @contextmanager
    def snapshot(self) -> Iterator[Connection]:
        """Give a connection that sees one unchanging state for as long as it is used, to stream from."""
        level = {} if self.is_sqlite else {"isolation_level": "REPEATABLE READ", "postgresql_readonly": True}
        with self.engine.connect().execution_options(**level) as connection:
            yield connection

    def listen(self) -> Listener:
        """Return a listener that hears of every commit made through a `Database`, in any process on this database."""
        return self._bell.listen()

    def hold(self, name: str) -> AbstractContextManager[Hold]:
        """Return a context that holds the lock `name`, which one process on this database can; raises LockHeld.

        It gives a `Hold`, to be checked every few seconds.
        """
        if self.is_sqlite:
            return hold_file(Path(str(self.engine.url.database)), name)
        return hold_advisory(self.engine, name)

    def dispose(self) -> None:
        """Close every idle connection."""
        self.engine.dispose()

    def _commit(self, session: Session) -> None:
        facts = take_facts(session)
        if not session.in_transaction() and not session.new and not facts:
            return
        if facts and self._record is not None:
            self._record(session, facts)
        session.flush()
        self._bell.announce(session)
        session.commit()


def _open(url: URL, pool_size: int) -> tuple[sqlalchemy.Engine, Doorbell]:
    backend = url.get_backend_name()
    if backend == "sqlite":
        return _open_sqlite(url, pool_size)
    if backend == "postgresql":
        return _open_postgresql(url, pool_size)
    raise ValueError(f"Tailrace runs on SQLite and PostgreSQL, not on {backend!r}.")


def _open_postgresql(url: URL, pool_size: int) -> tuple[sqlalchemy.Engine, Doorbell]:
    options = {name: value for name, value in _NOTICE_SILENCE.items() if name not in url.query}
    engine = sqlalchemy.create_engine(url, pool_size=pool_size, max_overflow=40, connect_args=options)
    _check_options(engine)
    event.listen(engine, "checkin", _note_rest)
    event.listen(engine, "checkout", _check_if_rested)
    return engine, NotifyDoorbell(engine)


def _check_options(engine: sqlalchemy.Engine) -> None:
    from psycopg import ProgrammingError
    from psycopg.conninfo import make_conninfo

    _, options = engine.dialect.create_connect_args(engine.url)
    try:
        make_conninfo(**{name: value for name, value in options.items() if name != "context"})
    except ProgrammingError as error:
        raise ValueError(str(error).strip()) from error


def _note_rest(_connection: Any, record: Any) -> None:
    record.info[_RESTS_SINCE] = time.monotonic()


def _check_if_rested(connection: Any, record: Any, _proxy: Any) -> None:
    # A server that was restarted left dead connections in the pool. Asking before every use (`pool_pre_ping`) takes a
    # tenth of a busy process's time, so it is asked after a rest.
    if time.monotonic() - record.info.get(_RESTS_SINCE, math.inf) < _RESTED_AFTER_S:
        return
    try:
        connection.execute("SELECT 1")
        connection.rollback()
    except Exception as error:
        raise DisconnectionError from error


def _open_sqlite(url: URL, pool_size: int) -> tuple[sqlalchemy.Engine, Doorbell]:
    if not url.database or url.database == ":memory:":
        raise ValueError("Tailrace keeps its data in a file; a SQLite database in memory would not survive a restart.")
    path = Path(url.database).absolute()
    path.parent.mkdir(parents=True, exist_ok=True)
    # Nobody else's to read, whatever the folder allows; SQLite gives its log and index files the same mode.
    path.touch(mode=0o600)
    engine = sqlalchemy.create_engine(url.set(database=str(path)), pool_size=pool_size, max_overflow=80)
    event.listen(engine, "connect", _prepare_sqlite)
    event.listen(engine, "begin", _begin_sqlite)
    return engine, SocketDoorbell(path)


def _prepare_sqlite(connection: Any, _record: Any) -> None:
    # The driver must not begin transactions by itself: `_begin_sqlite` chooses how.
    connection.isolation_level = None
    connection.execute(f"PRAGMA busy_timeout={BUSY_TIMEOUT_MS}")
    _switch_to_wal(connection)
    for pragma in ("synchronous=FULL", "foreign_keys=ON"):
        connection.execute(f"PRAGMA {pragma}")


def _switch_to_wal(connection: Any) -> None:
    # A new database is switched while nobody else uses it, and for that SQLite waits for no busy timeout.
    deadline = time.monotonic() + BUSY_TIMEOUT_MS / 1000
    while True:
        try:
            connection.execute("PRAGMA journal_mode=WAL")
            return
        except sqlite3.OperationalError as error:
            if "locked" not in str(error) or time.monotonic() > deadline:
                raise
            time.sleep(random.uniform(0.0005, 0.002))  # noqa: S311 - no secret


def _begin_sqlite(connection: Connection) -> None:
    if connection.get_execution_options().get(_WRITES, False):
        _begin_immediate(connection.connection.driver_connection)
    else:
        connection.exec_driver_sql("BEGIN")


def _begin_immediate(connection: Any) -> None:
    # SQLite's own busy handler sleeps ever longer, up to 100 ms, while the lock is taken and freed many times: whoever
    # waits loses against whoever comes. Asking again after a short random pause gives all the same chance.
    connection.execute("PRAGMA busy_timeout=0")
    deadline = time.monotonic() + BUSY_TIMEOUT_MS / 1000
    try:
        while not _try_to_begin(connection):
            if time.monotonic() > deadline:
                raise DatabaseBusy("The database is busy: another writer has held it for over 10 s.")
            time.sleep(random.uniform(0.0005, 0.002))  # noqa: S311 - no secret
    finally:
        connection.execute(f"PRAGMA busy_timeout={BUSY_TIMEOUT_MS}")


def _try_to_begin(connection: Any) -> bool:
    try:
        connection.execute("BEGIN IMMEDIATE")
    except sqlite3.OperationalError as error:
        if error.sqlite_errorcode & 0xFF != sqlite3.SQLITE_BUSY:
            raise
        return False
    return True
