"""Facts that a transaction makes known: collected while it runs, written by its own commit.

Whoever changes something calls `publish`. A `Database` made with a recorder (the event log of `tailrace.streams`) hands
it every fact of a transaction just before the commit, so a fact is known if and only if its cause was committed. What
was published within a savepoint that is rolled back is forgotten with it.
"""

from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from typing import Any
from weakref import WeakKeyDictionary

from sqlalchemy import event
from sqlalchemy.orm import Session, SessionTransaction, sessionmaker

_PENDING = "tailrace.facts"
_MARKS = "tailrace.facts_before"


@dataclass(frozen=True, slots=True)
class Fact:
    """One thing that happened: where it concerns (`project:7`), what it is (`task.created`), and its data as JSON
    values.
    """

    channel: str
    name: str
    data: Mapping[str, Any]


Recorder = Callable[[Session, Sequence[Fact]], None]


def publish(session: Session, channel: str, name: str, data: Mapping[str, Any]) -> None:
    """Make a fact known when, and only if, the transaction of `session` commits."""
    session.info.setdefault(_PENDING, []).append(Fact(channel, name, data))


def take_facts(session: Session) -> list[Fact]:
    """Return the facts collected in `session` and forget them."""
    facts: list[Fact] = session.info.pop(_PENDING, [])
    return facts


def forget_what_is_undone(sessions: sessionmaker[Session]) -> None:
    """Have the sessions that `sessions` makes forget the facts of each transaction or savepoint that is rolled back."""
    event.listen(sessions, "after_transaction_create", _mark)
    event.listen(sessions, "after_soft_rollback", _cut)


def _mark(session: Session, transaction: SessionTransaction) -> None:
    # Weak, for a transaction is told to have ended before it is told to have been rolled back.
    session.info.setdefault(_MARKS, WeakKeyDictionary())[transaction] = len(session.info.get(_PENDING, ()))


def _cut(session: Session, transaction: SessionTransaction) -> None:
    facts: list[Fact] = session.info.get(_PENDING, [])
    del facts[session.info[_MARKS][transaction] :]
