"""Makes a report's file, and says that it is ready when, and only when, it is in storage."""

import logging
from contextlib import AbstractContextManager, ExitStack
from dataclasses import dataclass
from datetime import datetime, timedelta
from types import TracebackType
from typing import Any, Protocol, Self

from sqlalchemy.orm import Session

from tailrace.accounts import service as accounts
from tailrace.accounts.principal import Principal
from tailrace.database import publish, utcnow
from tailrace.errors import Forbidden
from tailrace.jobs import DoNotRetry, JobContext
from tailrace.notifications import inbox
from tailrace.notifications.service import send_mail
from tailrace.reports import wording
from tailrace.reports.formats import Format
from tailrace.reports.kinds import Making
from tailrace.reports.links import sign_path
from tailrace.reports.models import Report
from tailrace.reports.registry import KINDS
from tailrace.storage import Storage, Writer

_log = logging.getLogger(__name__)


class Resources(Protocol):
    """What making reports takes: where files live, the key that signs links, and after how many days files expire."""

    @property
    def storage(self) -> Storage: ...
    @property
    def secret(self) -> bytes: ...
    @property
    def report_days(self) -> int: ...


class IncompleteReport(Exception):
    """The file does not hold as much as was counted at the same moment."""


@dataclass(frozen=True, slots=True)
class BuiltFile:
    """A report's file, whole and in storage; `rows` counts what the kind is made of."""

    key: str
    rows: int
    bytes: int
    sha256: str
    made_at: datetime


def build(ctx: JobContext[Resources], report_id: str) -> None:
    """Make the file of a report that has none, and finish the report with it.

    A run that finds it ready was killed after its work was done, and has nothing left to do. Raises what a storage or
    database raises, DoNotRetry or Forbidden when another attempt could not succeed, IncompleteReport for a wrong count,
    MomentPassed when a later moment has to be shown.
    """
    with ctx.database.read() as session:
        report = session.get(Report, report_id)
    if report is None or report.deleted_at is not None or report.ready_at is not None:
        return
    # A run that was taken for dead may still write: it writes under another key.
    key = f"reports/{report.id}/{ctx.attempt}.{report.format}"
    with _LateWriter(ctx.resources.storage.write(key)) as late:
        rows = _fill(ctx, report, late)
        file = late.open()
    built = BuiltFile(key, rows, file.size, file.sha256, utcnow())
    _log.info("Stored %s entries as %s, %s bytes, SHA-256 %s", f"{rows:,}", key, f"{built.bytes:,}", built.sha256)
    if not _finish(ctx, report_id, built):
        ctx.resources.storage.delete(key)


class _LateWriter:
    """Begins a file in storage with its first byte, which of a spreadsheet comes after an hour's work at worst.

    By then the storage would have swept the file away, for what is not written to is taken for a killed process's.
    """

    def __init__(self, target: AbstractContextManager[Writer]) -> None:
        self._target = target
        self._block = ExitStack()
        self._writer: Writer | None = None

    def __enter__(self) -> Self:
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        self._block.__exit__(kind, error, trace)

    def open(self) -> Writer:
        if self._writer is None:
            self._writer = self._block.enter_context(self._target)
        return self._writer

    def write(self, data: bytes) -> None:
        self.open().write(data)


def _fill(ctx: JobContext[Resources], report: Report, writer: _LateWriter) -> int:
    kind = KINDS.get(report.kind)
    if kind is None:
        raise DoNotRetry(f"There is no longer a kind of report called {report.kind!r}.")
    with ctx.database.snapshot() as connection, Session(connection) as session:
        principal = _asker(session, report.user_id)
        filters = kind.filters.model_validate(report.filters)
        total = kind.count(session, principal, filters)
        _log.info("Writing %s %s", f"{total:,}", kind.unit)
        ctx.progress(0, total)
        making = Making(
            session=session,
            present=ctx.database.read,
            principal=principal,
            form=Format(report.format),
            total=total,
            storage=ctx.resources.storage,
            write=writer.write,
            on_done=lambda done: ctx.progress(min(done, total), total),
        )
        written = kind.write(making, filters)
    if written != total:
        raise IncompleteReport(f"{written:,} {kind.unit} were written, but {total:,} were counted at the same moment.")
    return written


def _asker(session: Session, user_id: int) -> Principal:
    user = accounts.get_user(session, user_id)
    if user.disabled:
        raise Forbidden("The account of the person who asked for this report is disabled.")
    return Principal(user_id=user.id, email=user.email, name=user.name, is_admin=user.is_admin, via="token")


def _finish(ctx: JobContext[Resources], report_id: str, built: BuiltFile) -> bool:
    """Mark the report ready and ask for its mail, in one transaction; return False if it was deleted meanwhile."""
    with ctx.transaction() as session:
        report = session.get(Report, report_id, with_for_update=True)
        if report is None or report.deleted_at is not None:
            return False
        report.rows, report.bytes, report.sha256, report.storage_key = built.rows, built.bytes, built.sha256, built.key
        report.ready_at = built.made_at
        report.expires_at = built.made_at + timedelta(days=ctx.resources.report_days)
        report.failed_at = report.cancelled_at = report.error = None
        tell(session, report, "ready")
        tell_asker(session, report, "ready")
        if report.email is not None:
            _mail_link(ctx, session, report)
    return True


def tell(session: Session, report: Report, what: str) -> None:
    """Let whoever follows the asker's channel know what became of the report."""
    data: dict[str, Any] = {"id": report.id, "kind": report.kind, "format": report.format, "error": report.error}
    publish(session, f"user:{report.user_id}", f"report.{what}", data)


def tell_asker(session: Session, report: Report, what: str) -> None:
    """Put into the asker's inbox what came of the report: `ready` or `failed`."""
    news = inbox.News(inbox.Kind.REPORT, wording.title(report), detail=what, subject=report.id)
    inbox.notify(session, [report.user_id], news)


def mail_key(report: Report, occasion: str) -> str:
    """Return the key under which a report's mail is sent once."""
    return f"report:{report.id}:{occasion}"


def _mail_link(ctx: JobContext[Resources], session: Session, report: Report) -> None:
    user = accounts.get_user(session, report.user_id)
    assert report.email is not None
    send_mail(
        session,
        to=report.email,
        template="report_ready",
        context={
            **wording.of_report(report, user),
            "amount": wording.amount(report),
            "size": wording.size(report.bytes or 0),
            "ready_at": wording.moment(report.ready_at, user.time_zone),
            "expires_at": wording.moment(report.expires_at, user.time_zone),
            "path": sign_path(ctx.resources.secret, report.id),
            "sha256": report.sha256,
        },
        key=mail_key(report, "ready"),
        owner=f"user:{report.user_id}",
    )
