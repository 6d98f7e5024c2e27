"""Is each part of the service able to work? Each check returns a finding; none raises."""

import shutil
import time
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Literal

from sqlalchemy import text
from sqlalchemy.exc import SQLAlchemyError
from sqlalchemy.orm import Session

from tailrace.database import Database, DatabaseBusy, utcnow
from tailrace.jobs import EngineInfo, list_engines, list_jobs, list_queues
from tailrace.mailer import Mailer, MailError
from tailrace.migrations import HEAD, current_revision
from tailrace.operations.database_errors import cure_of, reason_of
from tailrace.storage import Storage, StorageError

_GIB = 1024**3
_CLOCK_TOLERANCE_S = 5
_START = "Start `tailrace serve`, or `tailrace worker` where TAILRACE_ENGINE is celery."
_MEND = "Check that the broker works, and TAILRACE_BROKER_URL."


@dataclass(frozen=True, slots=True)
class Finding:
    """What was found about one part; `cure` says what to do unless it is ok."""

    part: str
    state: Literal["ok", "warn", "fail"]
    detail: str
    cure: str = ""


def check_database(database: Database) -> Finding:
    """Answer whether the database can be read and its write lock be had, and would take writes; writes nothing."""
    began = time.perf_counter()
    try:
        with database.write() as session:
            writable = _takes_writes(session, is_sqlite=database.is_sqlite)
            session.rollback()
    except DatabaseBusy as error:
        return Finding("database", "fail", str(error), "Find the process that holds it, or wait.")
    except (SQLAlchemyError, OSError) as error:
        return Finding("database", "fail", reason_of(error), cure_of(error))
    if not writable:
        return Finding("database", "fail", "The database is read-only.", "Point TAILRACE_DATABASE_URL at the primary.")
    kind = "SQLite" if database.is_sqlite else "PostgreSQL"
    return Finding("database", "ok", f"{kind} answered in {(time.perf_counter() - began) * 1000:.0f} ms.")


def check_migrations(database: Database) -> Finding:
    """Answer whether the schema is the one that this version works with."""
    try:
        revision = current_revision(database)
    except (SQLAlchemyError, OSError) as error:
        return Finding("migrations", "fail", reason_of(error), "Mend the database first.")
    if revision == HEAD:
        return Finding("migrations", "ok", f"The schema is at revision {revision}.")
    found = f"The schema is at revision {revision or 'none'}, not {HEAD}."
    return Finding("migrations", "fail", found, "Run `tailrace migrate`.")


def check_storage(storage: Storage) -> Finding:
    """Answer whether a file can be stored."""
    try:
        storage.check()
    except StorageError as error:
        return Finding("storage", "fail", str(error), "Check TAILRACE_STORAGE_URL, the room, and the rights.")
    return Finding("storage", "ok", "A probe was written and removed.")


def check_mail(mailer: Mailer) -> Finding:
    """Answer whether the mailer would take a message."""
    try:
        mailer.check()
    except MailError as error:
        what = "TAILRACE_MAIL_URL" if mailer.delivers else "the room, and the rights on the folder"
        return Finding("mail", "fail", str(error), f"Check {what}; mails wait, and go out when it works again.")
    return Finding("mail", "ok", mailer.describe())


def check_engine(database: Database) -> Finding:
    """Answer whether an engine runs jobs."""
    try:
        with database.read() as session:
            alive = [engine for engine in list_engines(session) if engine.alive]
    except (SQLAlchemyError, OSError) as error:
        return Finding("engine", "fail", reason_of(error), "Mend the database first.")
    troubles = [f"{engine.host}: {engine.trouble}" for engine in alive if engine.trouble]
    if not alive:
        return Finding("engine", "warn", "No engine was heard of lately, so jobs wait.", _START)
    if len(troubles) == len(alive):
        return Finding("engine", "warn", f"No engine can work. {troubles[0]}", _MEND)
    running = f"{len(alive)} running, {sum(engine.workers for engine in alive)} jobs at a time."
    if troubles:
        # It may be the one that publishes for all.
        return Finding("engine", "warn", " ".join([running, *troubles]), _MEND)
    return Finding("engine", "ok", running)


def check_queues(database: Database) -> Finding:
    """Answer whether an engine that can work takes each queue in which jobs wait."""
    try:
        with database.read() as session:
            alive = [engine for engine in list_engines(session) if engine.alive]
            waiting = list_queues(session)
    except (SQLAlchemyError, OSError) as error:
        return Finding("queues", "fail", reason_of(error), "Mend the database first.")
    untaken = _untaken(waiting, [engine for engine in alive if not engine.trouble])
    if untaken:
        cure = _cure_of_untaken(untaken, alive)
        return Finding("queues", "warn", f"Jobs wait that no engine can take, in {', '.join(untaken)}.", cure)
    return Finding("queues", "ok", "An engine takes each queue in which jobs wait." if waiting else "No jobs wait.")


def check_disk(folder: Path) -> Finding:
    """Answer whether there is room beside the data."""
    try:
        usage = shutil.disk_usage(folder)
    except OSError as error:
        return Finding("disk", "fail", reason_of(error), f"Make {folder} readable.")
    found = f"{usage.free / _GIB:.1f} GiB of {usage.total / _GIB:.0f} GiB are free."
    if usage.free < _GIB:
        state: Literal["warn", "fail"] = "fail" if usage.free < _GIB // 10 else "warn"
        return Finding("disk", state, found, "Make room, or choose another folder with TAILRACE_DATA.")
    return Finding("disk", "ok", found)


def check_clock(database: Database) -> Finding:
    """Answer whether this machine's clock is right, as far as the database can tell: leases and expiry depend on it."""
    try:
        with database.read() as session:
            wrong_s = _seconds_gone_back(session) if database.is_sqlite else _seconds_from_server(session)
    except (SQLAlchemyError, OSError) as error:
        return Finding("clock", "fail", reason_of(error), "Mend the database first.")
    if wrong_s > _CLOCK_TOLERANCE_S:
        return Finding("clock", "fail", f"The clock is wrong by {wrong_s:.0f} s.", "Synchronise this machine's clock.")
    return Finding("clock", "ok", f"It is {utcnow():%Y-%m-%d %H:%M:%S} UTC.")


def run_checks(checks: list[Callable[[], Finding]]) -> list[Finding]:
    """Run the checks in order."""
    return [check() for check in checks]


def _untaken(queues: Sequence[str], engines: Sequence[EngineInfo]) -> list[str]:
    return [queue for queue in queues if not any(engine.takes(queue) for engine in engines)]


def _cure_of_untaken(untaken: Sequence[str], alive: Sequence[EngineInfo]) -> str:
    if not alive:
        return _START
    # Of the rest the engines are there, and in trouble.
    missing = _untaken(untaken, alive)
    return f"Start `tailrace worker --queues {','.join(missing)}`." if missing else _MEND


def _takes_writes(session: Session, *, is_sqlite: bool) -> bool:
    if is_sqlite:
        # BEGIN IMMEDIATE succeeds on a read-only file. This raises there, and is rolled back elsewhere.
        session.execute(text("PRAGMA user_version = 0"))
        return True
    return bool(session.execute(text("SHOW transaction_read_only")).scalar_one() == "off")


def _seconds_gone_back(session: Session) -> float:
    newest = list_jobs(session, limit=1)
    return max(0.0, (newest[0].created_at - utcnow()).total_seconds()) if newest else 0.0


def _seconds_from_server(session: Session) -> float:
    theirs = session.execute(text("SELECT extract(epoch FROM clock_timestamp())")).scalar_one()
    return abs(float(theirs) - time.time())
