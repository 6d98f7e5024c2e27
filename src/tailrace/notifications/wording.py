"""What an entry says, in one sentence without its full stop, and where it leads."""

from datetime import date
from typing import Protocol

from tailrace.notifications.kinds import Kind


class Told(Protocol):
    """What a sentence is made of: an entry of the inbox, or the news of it."""

    @property
    def kind(self) -> str: ...
    @property
    def title(self) -> str: ...
    @property
    def detail(self) -> str: ...
    @property
    def count(self) -> int: ...
    @property
    def task_id(self) -> int | None: ...
    @property
    def project_id(self) -> int | None: ...
    @property
    def subject(self) -> str | None: ...


def sentence(told: Told, actor: str) -> str:
    """Return what happened; `actor` is the name of whoever did it."""
    return _SENTENCES[Kind(told.kind)](told, actor)


def path_of(told: Told) -> str:
    """Return the path of the page that shows what is told of."""
    if told.kind == Kind.REPORT:
        return f"/web/reports#report-{told.subject}"
    if told.kind == Kind.PHOTO:
        return f"/web/photos/{told.subject}"
    if told.task_id is not None:
        return f"/web/tasks/{told.task_id}"
    return "/" if told.project_id is None else f"/web/projects/{told.project_id}"


def _assigned(told: Told, actor: str) -> str:
    if told.task_id is not None:
        return f"{actor} assigned “{told.title}” to you"
    return f"{_tasks(told.count)} {_were(told.count)} assigned to you in {told.title} by {actor}"


def _mention(told: Told, actor: str) -> str:
    times = "" if told.count == 1 else f" {told.count:,} times"
    return f"{actor} mentioned you{times} in “{told.title}”"


def _comment(told: Told, actor: str) -> str:
    if told.count == 1:
        return f"{actor} commented on “{told.title}”"
    return f"{told.count:,} comments on “{told.title}”, the last by {actor}"


def _status(told: Told, actor: str) -> str:
    state = "To do" if told.detail == "todo" else told.detail.capitalize()
    what = f"“{told.title}”" if told.task_id is not None else f"{told.count:,} of your tasks in {told.title}"
    return f"{actor} set {what} to {state}"


def _due(told: Told, _actor: str) -> str:
    nearness, _, text = told.detail.partition(" ")
    day = f"{date.fromisoformat(text):%-d %B %Y}"
    one = told.task_id is not None
    what = f"“{told.title}”" if one else f"{_tasks(told.count)} of yours in {told.title}"
    if nearness == "soon":
        return f"{what} {'is' if one or told.count == 1 else 'are'} due on {day}"
    return f"{what} {'was' if one else _were(told.count)} due on {day} and still open"


def _project(told: Told, actor: str) -> str:
    return f"{actor} added you to the project {told.title}"


def _report(told: Told, _actor: str) -> str:
    return f"Your report “{told.title}” " + ("is ready" if told.detail == "ready" else "could not be made")


def _photo(told: Told, _actor: str) -> str:
    return f"Your photo “{told.title}” could not be processed"


def _tasks(count: int) -> str:
    return f"{count:,} task{'' if count == 1 else 's'}"


def _were(count: int) -> str:
    return "was" if count == 1 else "were"


_SENTENCES = {
    Kind.ASSIGNED: _assigned,
    Kind.MENTION: _mention,
    Kind.COMMENT: _comment,
    Kind.STATUS: _status,
    Kind.DUE: _due,
    Kind.PROJECT: _project,
    Kind.REPORT: _report,
    Kind.PHOTO: _photo,
}
