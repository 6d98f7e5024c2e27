"""What each person wants to hear of, and how. Only what was ever chosen is stored; the rest is in `kinds`."""

from collections.abc import Collection, Mapping

from sqlalchemy import select
from sqlalchemy.orm import Session

from tailrace.database import upsert
from tailrace.notifications.kinds import DEFAULTS, Choice, Kind
from tailrace.notifications.models import InboxChoice


def choices_of(session: Session, user_id: int) -> dict[Kind, Choice]:
    """Return what a person chose for every kind, or else its defaults."""
    columns = select(InboxChoice.kind, InboxChoice.inbox, InboxChoice.mail)
    rows = session.execute(columns.where(InboxChoice.user_id == user_id))
    return DEFAULTS | {Kind(row.kind): Choice(row.inbox, row.mail) for row in rows}


def choices_for(session: Session, user_ids: Collection[int], kind: Kind) -> dict[int, Choice]:
    """Return what each of these people chose for one kind, or else its default."""
    rows = session.scalars(select(InboxChoice).where(InboxChoice.user_id.in_(user_ids), InboxChoice.kind == kind))
    return dict.fromkeys(user_ids, DEFAULTS[kind]) | {row.user_id: Choice(row.inbox, row.mail) for row in rows}


def choose(session: Session, user_id: int, chosen: Mapping[Kind, Choice]) -> None:
    """Keep what a person chose for some kinds; the others stay as they are."""
    for kind, choice in sorted(chosen.items()):
        values = {"inbox": choice.inbox, "mail": choice.mail}
        upsert(session, InboxChoice, keys={"user_id": user_id, "kind": kind}, values=values)
