"""What can concern a person: the kinds of things that the inbox tells, and what each does unless a person chose."""

from dataclasses import dataclass
from enum import StrEnum


class Kind(StrEnum):
    """A kind of thing that concerns somebody."""

    ASSIGNED = "assigned"
    MENTION = "mention"
    COMMENT = "comment"
    STATUS = "status"
    DUE = "due"
    PROJECT = "project"
    REPORT = "report"
    PHOTO = "photo"


@dataclass(frozen=True, slots=True)
class Choice:
    """Whether a kind is told in the inbox, and whether by mail."""

    inbox: bool
    mail: bool


@dataclass(frozen=True, slots=True)
class News:
    """Something that happened, as it is told to whom it concerns.

    `title` is what the thing is called now, `place` is the project's name, `detail` is what the kind has to add: the
    new state, `ready` or `failed`, `soon` or `late` and the day. What is about several things of a project has `count`
    of them, no `task_id`, and the project's name for its title.
    """

    kind: Kind
    title: str
    detail: str = ""
    place: str = ""
    actor_id: int | None = None
    project_id: int | None = None
    task_id: int | None = None
    subject: str | None = None
    count: int = 1


DEFAULTS = {kind: Choice(inbox=True, mail=kind in {Kind.ASSIGNED, Kind.MENTION}) for kind in Kind}
NAMES = {
    Kind.ASSIGNED: "A task is assigned to me",
    Kind.MENTION: "Somebody mentions me with @",
    Kind.COMMENT: "A comment on a task that I am assigned to, created or commented on",
    Kind.STATUS: "Somebody else changes the status of a task of mine",
    Kind.DUE: "A task of mine is due tomorrow, or was due yesterday",
    Kind.PROJECT: "I am added to a project",
    Kind.REPORT: "A report of mine is ready or has failed",
    Kind.PHOTO: "A photo of mine could not be processed",
}
