"""A task's time line as a page shows it: what somebody did to its photos in one go is one line."""

from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from datetime import datetime, timedelta

from markupsafe import Markup

from tailrace.accounts.schemas import Person
from tailrace.tasks.schemas import ActivityView, CommentView
from tailrace.web.wording import change, plural

#: Photos that come further apart than this are told one by one.
_IN_ONE_GO = timedelta(minutes=15)


@dataclass(frozen=True, slots=True)
class Change:
    """One line: what `user` did, as the rest of a sentence that begins with their name."""

    id: int
    user: Person
    at: datetime
    told: Markup


def lines(entries: Sequence[CommentView | ActivityView], *, more: bool) -> list[CommentView | Change]:
    """Return the lines of these comments and changes, oldest first; `more` tells that there are older ones."""
    groups = list(_grouped(entries))
    return [_line(group, cut=more and group is groups[0]) for group in groups]


def _grouped(entries: Sequence[CommentView | ActivityView]) -> Iterator[list[CommentView | ActivityView]]:
    group: list[CommentView | ActivityView] = []
    for entry in entries:
        if group and not _go_together(group[-1], entry):
            yield group
            group = []
        group.append(entry)
    if group:
        yield group


def _go_together(one: CommentView | ActivityView, other: CommentView | ActivityView) -> bool:
    if isinstance(one, CommentView) or isinstance(other, CommentView):
        return False
    same = one.field == other.field == "photo" and one.user.id == other.user.id
    return same and (one.new is None) == (other.new is None) and other.at - one.at <= _IN_ONE_GO


def _line(group: Sequence[CommentView | ActivityView], *, cut: bool) -> CommentView | Change:
    first, at = group[0], _moment(group[-1])
    if isinstance(first, CommentView):
        return first
    if len(group) == 1:
        return Change(first.id, first.user, first.at, change(first))
    verb = Markup("removed") if first.new is None else Markup("added")
    # Where older entries are not shown, some of them may belong to it.
    return Change(first.id, first.user, at, verb + " " + plural(len(group), "photo") + (" or more" if cut else ""))


def _moment(entry: CommentView | ActivityView) -> datetime:
    return entry.created_at if isinstance(entry, CommentView) else entry.at
