"""What several commands share."""

import fcntl
import logging
import os
import sys
from collections.abc import Iterator
from contextlib import contextmanager
from queue import Empty, SimpleQueue
from threading import Thread
from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from pathlib import Path

    from tailrace.bootstrap import Tailrace
    from tailrace.settings import Settings
    from tailrace.storage import Storage

_STORAGE_WITHIN_S = 5


class CommandError(Exception):
    """The command cannot do what was asked; the message is a sentence that names the cure."""


def expected_errors() -> tuple[type[Exception], ...]:
    """Return the errors that are told as a sentence rather than a traceback: those whose modules were imported."""
    names = (
        ("tailrace.settings", "SettingsError"),
        ("tailrace.errors", "TailraceError"),
        ("tailrace.jobs.errors", "JobError"),
        ("tailrace.storage.contract", "StorageError"),
        ("tailrace.mailer.contract", "MailError"),
        ("tailrace.database.engine", "DatabaseBusy"),
        ("tailrace.migrations", "SchemaTooNewError"),
        ("tailrace.migrations", "UnfinishedCopyError"),
        ("tailrace.copying.errors", "CopyError"),
        ("sqlalchemy.exc", "OperationalError"),
    )
    found = [getattr(sys.modules[module], name) for module, name in names if module in sys.modules]
    return (CommandError, *found)


def sentence_of(error: Exception, *, setting: str = "TAILRACE_DATABASE_URL") -> str:
    """Return what an expected error says to a person; a driver's words become one line, with the cure.

    `setting` is where they gave the database's address.
    """
    if getattr(error, "orig", None) is None:
        return str(error)
    from tailrace.operations.database_errors import cure_of, reason_of

    return f"The database cannot be used: {reason_of(error).removesuffix('.')}. {cure_of(error, setting=setting)}"


def existing_settings(**overrides: Any) -> "Settings":
    """Return the settings, `overrides` included, of a Tailrace that is there already; `serve` and `migrate` make one.

    Raises CommandError where there is none, so that a command in the wrong folder leaves nothing behind.
    """
    from pathlib import Path

    from sqlalchemy import make_url

    from tailrace.settings import load_settings

    settings = load_settings(**overrides)
    address = make_url(settings.database_address)
    if address.get_backend_name() == "sqlite" and address.database and not Path(address.database).exists():
        cure = "give its folder with TAILRACE_DATA, or start one with `tailrace serve`"
        raise CommandError(f"There is no Tailrace in {Path(address.database).parent}: {cure}.")
    return settings


@contextmanager
def alone_in(data: "Path", *, otherwise: str) -> Iterator[None]:
    """Be the only one to serve from the data folder; raises CommandError, with the cure `otherwise`, if it is served.

    It does so as well if there is no such folder. The lock goes with the process, however that ends.
    """
    try:
        descriptor = os.open(data / "serve.lock", os.O_RDWR | os.O_CREAT, 0o600)
    except OSError as error:
        cure = "give the folder of this Tailrace with TAILRACE_DATA"
        raise CommandError(f"The data folder {data} cannot be used: {error.strerror}; {cure}.") from error
    try:
        fcntl.flock(descriptor, fcntl.LOCK_EX | fcntl.LOCK_NB)
        yield
    except BlockingIOError:
        raise CommandError(f"Another `tailrace serve` works in {data} already; {otherwise}.") from None
    finally:
        os.close(descriptor)


def warn_of_unshared(tailrace: "Tailrace") -> None:
    """Log, in a sentence with the cure, each thing that workers on other machines would miss."""
    log = logging.getLogger(__name__)
    for finding in tailrace.unshared:
        log.warning("%s: %s%s", finding.detail.removesuffix("."), finding.cure[0].lower(), finding.cure[1:])


def check_storage(storage: "Storage") -> None:
    """Raise StorageRefused if the storage cannot work as it is set; only warn of what may pass, such as a full disk."""
    from tailrace.storage import StorageError, StorageRefused

    answers: SimpleQueue[StorageError | None] = SimpleQueue()

    def ask() -> None:
        try:
            storage.check()
        except StorageError as error:
            answers.put(error)
        else:
            answers.put(None)

    # In a thread that may be left behind: a server that is silent is asked again and again for half a minute.
    Thread(target=ask, name="storage-check", daemon=True).start()
    try:
        answer = answers.get(timeout=_STORAGE_WITHIN_S)
    except Empty:
        answer = StorageError(f"The storage has not answered for {_STORAGE_WITHIN_S} s.")
    if isinstance(answer, StorageRefused):
        raise answer
    if answer is not None:
        logging.getLogger(__name__).warning("%s; Tailrace starts all the same", str(answer).removesuffix("."))


@contextmanager
def opened() -> Iterator["Tailrace"]:
    """Give the service that the environment describes, its schema up to date, for a command that works beside it."""
    from tailrace.bootstrap import build
    from tailrace.logging_setup import configure_logging
    from tailrace.migrations import migrate

    settings = existing_settings()
    configure_logging(level="warning", style="console")
    tailrace = build(settings)
    try:
        migrate(tailrace.database)
        yield tailrace
    finally:
        tailrace.database.dispose()
