"""One's own inbox: reading and marking it, and choosing what comes. Who tells something calls `notify`, offered too."""

from collections.abc import Collection, Sequence
from datetime import datetime

from sqlalchemy import ColumnElement, func, select, update
from sqlalchemy.orm import Session

from tailrace.accounts import service as accounts
from tailrace.accounts.principal import Principal
from tailrace.database import utcnow
from tailrace.errors import NotFound
from tailrace.notifications.choices import choices_of, choose
from tailrace.notifications.delivery import forget, gathered, notify, tell_unread
from tailrace.notifications.kinds import NAMES, Choice, Kind, News
from tailrace.notifications.models import InboxEntry
from tailrace.notifications.schemas import ChoiceChange, ChoiceView, EntryView, InboxPage, InboxQuery
from tailrace.notifications.seen import Horizon, was_seen
from tailrace.notifications.wording import path_of, sentence

__all__ = [
    "Kind",
    "News",
    "change_settings",
    "count_marked",
    "count_unread",
    "forget",
    "gathered",
    "list_entries",
    "list_settings",
    "mark",
    "mark_all",
    "notify",
    "open_entry",
    "tell_unread",
    "unmark",
]


def list_entries(session: Session, principal: Principal, query: InboxQuery) -> InboxPage:
    """Return a page of the caller's entries, the newest first."""
    horizon = Horizon.now(session)
    found = select(InboxEntry).where(*_mine(principal)).order_by(InboxEntry.id.desc()).limit(query.limit + 1)
    if query.unread:
        found = found.where(InboxEntry.read_at.is_(None))
    if query.after is not None:
        found = found.where(InboxEntry.id < query.after)
    rows = session.scalars(found).all()
    items = _views(session, rows[: query.limit])
    more = items[-1].id if len(rows) > query.limit else None
    seen = horizon.mark(session, [entry.id for entry in items])
    return InboxPage(items=items, next=more, unread=count_unread(session, principal), seen=seen)


def count_unread(session: Session, principal: Principal) -> int:
    """Return how many entries the caller has not read."""
    return _count(session, *_mine(principal), InboxEntry.read_at.is_(None))


def open_entry(session: Session, principal: Principal, entry_id: str) -> str:
    """Mark an entry as read and return the path of what it tells of; raises NotFound."""
    entry = session.scalars(select(InboxEntry).where(*_mine(principal), InboxEntry.id == entry_id)).one_or_none()
    if entry is None:
        raise NotFound("This entry is no longer there: a newer one took its place, or what it told of is gone.")
    mark(session, principal, [entry_id])
    return path_of(entry)


def mark(session: Session, principal: Principal, ids: Collection[str], *, read: bool = True) -> int:
    """Mark some of the caller's entries as read, or as unread again; return how many were not so before."""
    other = InboxEntry.read_at.is_(None) if read else InboxEntry.read_at.is_not(None)
    return _mark(session, principal, utcnow() if read else None, InboxEntry.id.in_(ids), other)


def mark_all(session: Session, principal: Principal, *, until: str | None = None) -> tuple[int, datetime]:
    """Mark all entries as read, or those that were there when a page of them was read whose `seen` is `until`.

    Returns how many they were, and the moment by which `unmark` can take this back. Raises Invalid for a mark of
    another database.
    """
    now = utcnow()
    upto = [] if until is None else [was_seen(session, until)]
    return _mark(session, principal, now, InboxEntry.read_at.is_(None), *upto), now


def unmark(session: Session, principal: Principal, moment: datetime) -> int:
    """Take back what `mark_all` marked at `moment`; return how many entries are unread again by it."""
    return _mark(session, principal, None, InboxEntry.read_at == moment)


def count_marked(session: Session, principal: Principal, moment: datetime) -> int:
    """Return how many entries `unmark` would mark as unread again."""
    return _count(session, *_mine(principal), InboxEntry.read_at == moment)


def list_settings(session: Session, principal: Principal) -> list[ChoiceView]:
    """Return what the caller hears of, and how."""
    chosen = choices_of(session, principal.user_id)
    return [ChoiceView(kind=kind, name=NAMES[kind], inbox=chosen[kind].inbox, mail=chosen[kind].mail) for kind in Kind]


def change_settings(session: Session, principal: Principal, changes: Sequence[ChoiceChange]) -> list[ChoiceView]:
    """Change what the caller hears of, from now on, and return all of it; of several for one kind the last counts."""
    chosen = choices_of(session, principal.user_id)
    for change in changes:
        before = chosen[change.kind]
        inbox = before.inbox if change.inbox is None else change.inbox
        chosen[change.kind] = Choice(inbox, before.mail if change.mail is None else change.mail)
    choose(session, principal.user_id, {change.kind: chosen[change.kind] for change in changes})
    return list_settings(session, principal)


def _mine(principal: Principal) -> list[ColumnElement[bool]]:
    return [InboxEntry.user_id == principal.user_id]


def _count(session: Session, *conditions: ColumnElement[bool]) -> int:
    return session.scalar(select(func.count()).select_from(InboxEntry).where(*conditions)) or 0


def _mark(session: Session, principal: Principal, moment: datetime | None, *which: ColumnElement[bool]) -> int:
    # What another transaction marks or replaces at this moment is left to it: waiting for rows in whatever order they
    # come could end with each of the two waiting for the other.
    query = select(InboxEntry.id).where(*_mine(principal), *which).with_for_update(skip_locked=True)
    ids = session.scalars(query).all()
    for start in range(0, len(ids), 500):
        some = InboxEntry.id.in_(ids[start : start + 500])
        statement = update(InboxEntry).where(some).values(read_at=moment)
        session.execute(statement.execution_options(synchronize_session=False))
    if ids:
        tell_unread(session, [principal.user_id])
    return len(ids)


def _views(session: Session, entries: Sequence[InboxEntry]) -> list[EntryView]:
    people = accounts.find_people(session, {entry.actor_id for entry in entries if entry.actor_id is not None})
    views = []
    for entry in entries:
        actor = None if entry.actor_id is None else people[entry.actor_id]
        views.append(
            EntryView(
                id=entry.id,
                kind=Kind(entry.kind),
                text=sentence(entry, actor.name if actor else ""),
                title=entry.title,
                detail=entry.detail,
                count=entry.count,
                actor=actor,
                project=entry.project_id,
                task=entry.task_id,
                subject=entry.subject,
                url=path_of(entry),
                created_at=entry.created_at,
                read_at=entry.read_at,
            )
        )
    return views
