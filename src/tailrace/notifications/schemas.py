"""What requests about the inbox carry, and what is answered."""

from datetime import datetime
from typing import Annotated, Self

from pydantic import Field, StringConstraints, model_validator

from tailrace.accounts.schemas import Person
from tailrace.http.fields import Input, View
from tailrace.notifications import seen
from tailrace.notifications.kinds import Kind

IDS_MAX = 200
EntryId = Annotated[str, StringConstraints(pattern="^[0-9a-f]{32}$")]

SeenMark = Annotated[str, StringConstraints(pattern=seen.PATTERN)]


class EntryView(View):
    """One thing that concerned you, or several of a kind: `count` of them."""

    id: str
    kind: Kind
    text: str = Field(description="what happened, in a sentence without its full stop")
    title: str = Field(description="what the task, project, report or photo was called then")
    detail: str
    count: int
    actor: Person | None = Field(description="who did it")
    project: int | None
    task: int | None
    subject: str | None = Field(description="the id of the report or photo")
    url: str = Field(description="the page that shows it")
    created_at: datetime
    read_at: datetime | None


class InboxPage(View):
    """A page of entries, the newest first; `next` goes into `after` of the next request."""

    items: list[EntryView]
    next: str | None
    unread: int = Field(description="how many entries are unread, on this page or not")
    seen: str | None = Field(description="goes into `until`, to mark all that was there when this page was read")


class InboxQuery(Input):
    """Which entries."""

    unread: bool = Field(default=False, description="only those that are unread")
    after: EntryId | None = None
    limit: Annotated[int, Field(ge=1, le=200)] = 50


class MarkInput(Input):
    """Which entries to mark: some by `ids`, or `all` of them."""

    ids: Annotated[list[EntryId], Field(max_length=IDS_MAX)] = Field(default_factory=list)
    all: bool = False
    until: SeenMark | None = Field(default=None, description="with `all`: `seen` of the page that you read")
    read: bool = Field(default=True, description="false marks them as unread again")

    @model_validator(mode="after")
    def _some_or_all(self) -> Self:
        if self.all == bool(self.ids):
            raise ValueError("send either ids, or all as true")
        if self.all and not self.read:
            raise ValueError("only some entries, by their ids, can be marked as unread")
        return self


class Marked(View):
    """How many entries were marked, and how many are unread now."""

    marked: int
    unread: int


class ChoiceView(View):
    """Whether one kind of thing is told in the inbox, and by mail."""

    kind: Kind
    name: str
    inbox: bool
    mail: bool


class ChoiceList(View):
    """What you chose for every kind."""

    items: list[ChoiceView]


class ChoiceChange(Input):
    """What may change for one kind; a member that is left out stays as it is."""

    kind: Kind
    inbox: bool | None = None
    mail: bool | None = None


class ChoiceChanges(Input):
    """What changes, for some kinds."""

    items: Annotated[list[ChoiceChange], Field(max_length=len(Kind))]
