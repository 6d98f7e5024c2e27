"""Copies a whole installation: checks both ends, copies, and takes the copy into use."""

from collections.abc import Iterator
from contextlib import ExitStack, contextmanager, suppress
from dataclasses import dataclass
from zlib import crc32

from sqlalchemy import Connection, Engine, inspect, select, text
from sqlalchemy.exc import SQLAlchemyError

from tailrace import jobs
from tailrace.copying import ledger
from tailrace.copying.errors import CopyDiffers, CopyError
from tailrace.copying.objects import copy_objects
from tailrace.copying.progress import Progress
from tailrace.copying.stillness import Stillness
from tailrace.copying.tables import copy_table, set_sequences
from tailrace.database import Base, Database, LockHeld
from tailrace.migrations import COPYING, HEAD, current_revision, migrate
from tailrace.storage import Storage

_LOCK_KEY = crc32(b"tailrace.copy")


@dataclass(frozen=True, slots=True)
class Files:
    """Where objects are copied from and to; `address` is how a person names the target."""

    source: Storage
    target: Storage
    address: str


def check_target(address: str) -> None:
    """Raise CopyError unless `address` is one of PostgreSQL, the only database that is copied to."""
    if not address.startswith(("postgresql://", "postgresql+psycopg://")):
        raise CopyError("The target is PostgreSQL: give its address as postgresql://USER:PASSWORD@HOST/NAME.")


def copy_installation(source: Database, target: Database, files: Files | None, progress: Progress) -> None:
    """Copy the SQLite database `source`, which no service uses, to the PostgreSQL database `target`, and the files.

    The target is empty, or holds a half-done copy of the same source, which is then finished. Jobs that were running
    are available afterwards. Raises CopyError, StorageError, or what the databases raise; after each of them, the same
    call goes on with what is missing.
    """
    _check_source(source)
    check_target(str(target.url))
    name = str(source.engine.url.database)
    with _at_rest(source), _alone(target.engine):
        _prepare(target, files, name)
        with target.engine.begin() as connection:
            resumed = ledger.begin(connection, name, files.address if files else None)
        if resumed:
            progress.note("The target holds a half-done copy of this installation, which goes on.")
        with Stillness(source.engine) as stillness, source.snapshot() as snapshot:
            _copy_tables(snapshot, target.engine, progress, resumed=resumed)
            if files is not None:
                copy_objects(files.source, files.target, target.engine, progress)
            with target.write() as session:
                stillness.check()
                set_sequences(snapshot, session.connection(), Base.metadata.sorted_tables)
                jobs.adopt(session)
                ledger.close(session.connection(), name)


def _copy_tables(source: Connection, target: Engine, progress: Progress, *, resumed: bool) -> None:
    try:
        for table in Base.metadata.sorted_tables:
            copy_table(source, target, table, progress)
    except CopyDiffers as difference:
        if not resumed:
            raise
        progress.note(f"{difference} The source has changed since the copy was begun: its tables are copied afresh.")
        _empty(target)
        _copy_tables(source, target, progress, resumed=False)


def _empty(target: Engine) -> None:
    with target.begin() as connection:
        quote = connection.dialect.identifier_preparer.format_table
        connection.execute(text(f"TRUNCATE {', '.join(map(quote, Base.metadata.sorted_tables))}"))
        ledger.forget_tables(connection)


def _check_source(source: Database) -> None:
    if not source.is_sqlite:
        raise CopyError("Only an installation on SQLite is copied; PostgreSQL brings pg_dump for its own.")
    revision = current_revision(source)
    if revision != HEAD:
        raise CopyError(f"The source is at revision {revision or 'none'}, not {HEAD}: run `tailrace migrate` first.")
    unknown = _tables_of(source.engine) - _known_tables()
    if unknown:
        raise CopyError(f"The source has tables that this version does not know: {', '.join(sorted(unknown))}.")


def _tables_of(engine: Engine) -> set[str]:
    # The tables of the full-text index are made of the others, in another way on each database.
    return {name for name in inspect(engine).get_table_names() if not name.startswith("task_search")}


def _known_tables() -> set[str]:
    return {*Base.metadata.tables, "alembic_version"}


def _prepare(target: Database, files: Files | None, source: str) -> None:
    if current_revision(target) == COPYING:
        return
    if when := ledger.completed_at(target.engine, source):
        raise CopyError(f"The target has held the whole copy of this installation since {when}: start Tailrace on it.")
    if found := _first_in(target.engine):
        raise CopyError(f"The target is not empty, it has {found}: make a new database for the copy.")
    if files is not None and (key := next(iter(files.target.keys()), None)) is not None:
        raise CopyError(f"{files.address} is not empty, it holds {key}: choose another bucket or prefix.")
    migrate(target)


def _first_in(target: Engine) -> str | None:
    # Tables of ours without rows are what `tailrace migrate` leaves, or a copy killed in its first moment.
    with target.connect() as connection:
        for name in sorted(_tables_of(target)):
            if name not in _known_tables():
                return f"a table {name}"
            table = Base.metadata.tables.get(name)
            if table is not None and connection.execute(select(table).limit(1)).first() is not None:
                return f"rows in {name}"
    return None


@contextmanager
def _at_rest(source: Database) -> Iterator[None]:
    with ExitStack() as stack:
        try:
            stack.enter_context(source.hold("engine"))
        except LockHeld:
            raise CopyError("An engine works on the source: stop the service, then copy.") from None
        yield


@contextmanager
def _alone(target: Engine) -> Iterator[None]:
    with target.connect().execution_options(isolation_level="AUTOCOMMIT") as connection:
        if not connection.scalar(text("SELECT pg_try_advisory_lock(:key)"), {"key": _LOCK_KEY}):
            raise CopyError("Another `tailrace copy` works on this target: let it finish.")
        try:
            yield
        finally:
            with suppress(SQLAlchemyError):  # A lost connection has freed the lock already.
                connection.execute(text("SELECT pg_advisory_unlock(:key)"), {"key": _LOCK_KEY})
