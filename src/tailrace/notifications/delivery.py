"""Telling people what concerns them, in the transaction of what happened: both are there, or neither.

    notify(session, {bea.id}, News(Kind.ASSIGNED, task.title, …))

What comes to somebody again about the same thing, before they read it, becomes one entry with a count; so does what one
change does to many tasks, within `gathered`. An entry is replaced then, not changed: a mark that somebody set on the
old one at that moment does not hide the news.
"""

from collections.abc import Collection, Iterator
from contextlib import contextmanager
from dataclasses import replace
from itertools import groupby
from typing import Any

from sqlalchemy import ColumnElement, delete, func, select
from sqlalchemy.orm import Session

from tailrace.accounts import service as accounts
from tailrace.accounts.schemas import Person
from tailrace.database import new_id, publish
from tailrace.notifications.choices import choices_for
from tailrace.notifications.kinds import News
from tailrace.notifications.models import InboxEntry
from tailrace.notifications.service import send_mail, withdraw_mails
from tailrace.notifications.wording import path_of, sentence

_GATHERED = "tailrace.inbox"
_PLAIN = {"synchronize_session": False}
# Nobody can have an address there (RFC 2606); the invented people of the demonstration do.
_NOBODYS = ".example"


def notify(session: Session, user_ids: Collection[int], news: News) -> None:
    """Tell some people something, each as they chose; whoever did it, and who may not come in any more, is left out.

    What is about a project is for its members alone, whose places the caller holds until the transaction ends.
    """
    told = sorted(set(user_ids) - {news.actor_id})
    gathered: list[tuple[int, News]] | None = session.info.get(_GATHERED)
    if gathered is not None:
        gathered += [(user_id, news) for user_id in told]
    elif told:
        _deliver(session, told, news)


@contextmanager
def gathered(session: Session) -> Iterator[None]:
    """Make one entry for each person of what would be many of a kind: what is told in the block is told at its end."""
    pending: list[tuple[int, News]] = session.info.setdefault(_GATHERED, [])
    try:
        yield
    finally:
        session.info.pop(_GATHERED, None)
    for user_id, news in _together(pending):
        _deliver(session, [user_id], news)


def forget(session: Session, *, task_id: int | None = None, user_id: int | None = None, subject: str = "") -> None:
    """Remove every entry about a task, or a person's about a report or photo (`subject`), which is going away.

    With the latter go the mails about it that still wait.
    """
    of_task = InboxEntry.task_id == task_id
    gone = of_task if task_id is not None else (InboxEntry.user_id == user_id) & (InboxEntry.subject == subject)
    statement = delete(InboxEntry).where(gone).returning(InboxEntry.user_id)
    tell_unread(session, set(session.scalars(statement, execution_options=_PLAIN)))
    if subject:
        withdraw_mails(session, _mails_about(subject))


def tell_unread(session: Session, user_ids: Collection[int]) -> None:
    """Publish to each of these people how many unread entries they have, as far as this transaction knows."""
    mine = (InboxEntry.user_id.in_(user_ids), InboxEntry.read_at.is_(None))
    query = select(InboxEntry.user_id, func.count()).where(*mine).group_by(InboxEntry.user_id)
    counts: dict[int, int] = dict(session.execute(query).all()) if user_ids else {}
    for user_id in sorted(user_ids):
        publish(session, f"user:{user_id}", "inbox.changed", {"unread": counts.get(user_id, 0)})


def _deliver(session: Session, user_ids: Collection[int], news: News) -> None:
    choices = choices_for(session, user_ids, news.kind)
    actors = {news.actor_id} if news.actor_id is not None else set()
    people = accounts.find_people(session, {*user_ids, *actors})
    actor = people[news.actor_id].name if news.actor_id in people else ""
    here = accounts.who_may_come_in(session, user_ids)
    for user_id in sorted(here):
        if choices[user_id].inbox:
            _enter(session, user_id, news)
        if choices[user_id].mail:
            _mail(session, people[user_id], news, actor)
    session.flush()
    tell_unread(session, [user_id for user_id in here if choices[user_id].inbox])


def _enter(session: Session, user_id: int, news: News) -> None:
    """Add the entry, in place of an unread one about the same thing."""
    # What another transaction replaces at this moment is not found again here: its count is in the other's entry.
    statement = delete(InboxEntry).where(*_same(user_id, news)).returning(InboxEntry.count)
    earlier = session.scalars(statement, execution_options=_PLAIN).all()
    session.add(
        InboxEntry(
            user_id=user_id,
            kind=news.kind,
            title=news.title[:300],
            detail=news.detail,
            count=news.count + sum(earlier),
            actor_id=news.actor_id,
            project_id=news.project_id,
            task_id=news.task_id,
            subject=news.subject,
        )
    )


def _same(user_id: int, news: News) -> list[ColumnElement[bool]]:
    """Return what is true of an unread entry that the news would repeat or outdate."""
    same: list[ColumnElement[bool]] = [
        InboxEntry.user_id == user_id,
        InboxEntry.read_at.is_(None),
        InboxEntry.kind == news.kind,
        InboxEntry.project_id.is_not_distinct_from(news.project_id),
        InboxEntry.task_id.is_not_distinct_from(news.task_id),
        InboxEntry.subject.is_not_distinct_from(news.subject),
    ]
    if news.task_id is None and news.subject is None:
        # Counts of different things do not add up.
        same += [InboxEntry.detail == news.detail, InboxEntry.actor_id.is_not_distinct_from(news.actor_id)]
    return same


def _mail(session: Session, person: Person, news: News, actor: str) -> None:
    if person.email.endswith(_NOBODYS):
        return
    context = {
        "text": sentence(news, actor),
        "path": path_of(news),
        "place": news.place,
        # Not shown: by it the mail is kept back from who has left the project when it is sent.
        "project_id": news.project_id,
    }
    send_mail(
        session, to=person.email, template="inbox", context=context, key=f"{_mails_about(news.subject)}{new_id()}"
    )


def _mails_about(subject: str | None) -> str:
    """Return what the keys of all mails about a report or a photo begin with."""
    return f"inbox:{subject or ''}:"


def _together(pending: list[tuple[int, News]]) -> Iterator[tuple[int, News]]:
    for (user_id, *_), group in groupby(sorted(pending, key=_likeness), key=_likeness):
        some = [news for _, news in group]
        one = some[0]
        if len(some) > 1:
            one = replace(one, title=one.place, task_id=None, subject=None, count=sum(news.count for news in some))
        yield user_id, one


def _likeness(item: tuple[int, News]) -> tuple[Any, ...]:
    user_id, news = item
    return user_id, news.kind, news.project_id or 0, news.detail
