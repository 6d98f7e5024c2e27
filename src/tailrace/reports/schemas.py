"""What requests about reports carry, and what is answered."""

from datetime import datetime
from enum import StrEnum
from typing import Annotated, Any, Self

from pydantic import AfterValidator, Field, model_validator

from tailrace.http.fields import Email, Input, View
from tailrace.notifications.service import MailState
from tailrace.reports.formats import Format
from tailrace.reports.registry import KINDS


class ReportState(StrEnum):
    """Where a report stands."""

    WAITING = "waiting"
    RUNNING = "running"
    RETRYING = "retrying"
    READY = "ready"
    FAILED = "failed"
    CANCELLED = "cancelled"
    EXPIRED = "expired"


UNFINISHED = frozenset({ReportState.WAITING, ReportState.RUNNING, ReportState.RETRYING})


def _known_kind(value: str) -> str:
    if value not in KINDS:
        raise ValueError(f"there is no such kind of report; there is {', '.join(sorted(KINDS))}")
    return value


class ReportInput(Input):
    """A report to be made; without anything it is all tasks as CSV."""

    kind: Annotated[str, AfterValidator(_known_kind)] = "tasks"
    format: Format | None = Field(default=None, description="one that the kind has; else the first of those")
    filters: dict[str, Any] = Field(default={}, description="as for the list of what the report shows")
    email: Email | None = Field(default=None, description="who gets a mail with a link when the file is ready")

    @model_validator(mode="after")
    def _a_format_that_the_kind_has(self) -> Self:
        formats = KINDS[self.kind].formats
        if self.format is not None and self.format not in formats:
            raise ValueError(f"{self.kind} do not come as {self.format}; they come as {', '.join(formats)}")
        return self

    @property
    def chosen_format(self) -> Format:
        """The format that was asked for, or that the kind prefers."""
        return self.format or KINDS[self.kind].formats[0]


class ReportQuery(Input):
    """Which page of one's reports."""

    after: Annotated[str, Field(max_length=32, pattern="^[0-9a-f]*$")] = ""
    limit: Annotated[int, Field(ge=1, le=200)] = 50


class ReportStarted(View):
    """A report that was accepted: `url` is the file's, `events` tells how far it has come."""

    detail: str
    id: str
    state: ReportState
    url: str
    job: str
    events: str


class ReportView(View):
    """A report. `error` says what to do; `mail` is where its mail stands, and `mail_error` why it is not sent.

    `rows_done` and `rows_total` count what the kind is made of, which `unit` names: rows, or photos.
    """

    id: str
    kind: str
    format: Format
    filters: dict[str, Any]
    email: str | None
    state: ReportState
    unit: str
    rows_done: int
    rows_total: int | None
    bytes: int | None
    sha256: str | None
    error: str | None
    mail: MailState | None
    mail_error: str | None
    url: str
    job: str
    events: str
    created_at: datetime
    ready_at: datetime | None
    expires_at: datetime | None


class ReportPage(View):
    """A page of reports, the newest first; `next` goes into `after` of the next request."""

    items: list[ReportView]
    next: str | None
