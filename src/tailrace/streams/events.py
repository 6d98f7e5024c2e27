"""The event log: one table that holds every published fact in the order in which readers meet it.

On SQLite the row id is that order, for there is one writer at a time. On PostgreSQL it is not: a transaction may take
id 7, another take and commit id 8, and a reader that went on to 8 would never see 7. So each row carries the id of its
transaction, readers go by (transaction, row), and read only what lies below the oldest transaction that is still
running (`pg_snapshot_xmin`), where nothing can appear any more. The price is that one long writing transaction, in any
database of the server, holds back the news of all others until it ends; reading transactions do not.
"""

import json
import re
from collections.abc import Collection, Sequence
from dataclasses import dataclass
from datetime import datetime
from typing import Any

from sqlalchemy import (
    BigInteger,
    Connection,
    Dialect,
    Index,
    Integer,
    Row,
    Select,
    Text,
    delete,
    insert,
    select,
    text,
    update,
)
from sqlalchemy import tuple_ as row_of
from sqlalchemy.ext.compiler import compiles
from sqlalchemy.orm import Mapped, Session, mapped_column
from sqlalchemy.sql.elements import ColumnElement
from sqlalchemy.sql.functions import FunctionElement

from tailrace.database import Base, Fact, UTCDateTime, utcnow
from tailrace.streams.cursors import START, Cursor

_SINGLE_LINE = re.compile(r"[^\r\n\0]+")
_BELOW_RUNNING = text("events.xid < pg_snapshot_xmin(pg_current_snapshot())::text::bigint")
_FROM_ELSEWHERE = text("events.xid >= pg_snapshot_xmax(pg_current_snapshot())::text::bigint")


class _CurrentTransaction(FunctionElement[int]):
    """The id of the transaction that inserts the row; 0 on SQLite, which needs none."""

    inherit_cache = True
    type = BigInteger()


@compiles(_CurrentTransaction)
def _compile_for_postgresql(_element: _CurrentTransaction, _compiler: Any, **_options: Any) -> str:
    return "(pg_current_xact_id()::text::bigint)"


@compiles(_CurrentTransaction, "sqlite")
def _compile_for_sqlite(_element: _CurrentTransaction, _compiler: Any, **_options: Any) -> str:
    return "0"


class EventRow(Base):
    """One row of the log."""

    __tablename__ = "events"
    __table_args__ = (
        Index("events_by_channel", "channel", "xid", "id").ddl_if(dialect="postgresql"),
        Index("events_in_order", "xid", "id").ddl_if(dialect="postgresql"),
        # SQLite appends the row id to every index by itself.
        Index("events_by_channel_on_sqlite", "channel").ddl_if(dialect="sqlite"),
        # Without AUTOINCREMENT, SQLite would give the id of a pruned last row to the next one.
        {"sqlite_autoincrement": True},
    )

    id: Mapped[int] = mapped_column(BigInteger().with_variant(Integer, "sqlite"), primary_key=True)
    xid: Mapped[int] = mapped_column(BigInteger, server_default=_CurrentTransaction())
    channel: Mapped[str] = mapped_column(Text)
    name: Mapped[str] = mapped_column(Text)
    data: Mapped[str] = mapped_column(Text)
    at: Mapped[datetime] = mapped_column(UTCDateTime)


_events = EventRow.__table__.c
_COLUMNS = (_events.xid, _events.id, _events.channel, _events.name, _events.data, _events.at)


@dataclass(frozen=True, slots=True)
class Event:
    """One fact as the log holds it: `data` is a JSON object as text, without line breaks."""

    cursor: Cursor
    channel: str
    name: str
    data: str
    at: datetime

    @property
    def id(self) -> str:
        """The cursor as clients see it."""
        return str(self.cursor)


def record(session: Session, facts: Sequence[Fact]) -> None:
    """Write `facts` to the log within the transaction of `session`; made to be the recorder of a `Database`.

    Raises ValueError if a name or channel is empty or spans lines, or a value is NaN or infinite, and TypeError if a
    value is none of JSON's: the transaction must not commit then.
    """
    now = utcnow()
    session.execute(insert(EventRow), [_as_row(fact, now) for fact in facts])


def _as_row(fact: Fact, now: datetime) -> dict[str, Any]:
    if not _SINGLE_LINE.fullmatch(fact.name) or not _SINGLE_LINE.fullmatch(fact.channel):
        raise ValueError(f"The name and the channel of a fact are one line each: {fact.name!r} on {fact.channel!r}")
    data = json.dumps(fact.data, separators=(",", ":"), allow_nan=False)
    return {"channel": fact.channel, "name": fact.name, "data": data, "at": now}


def read_events(
    session: Session | Connection,
    *,
    channels: Collection[str] | None = None,
    after: Cursor | None = None,
    upto: Cursor | None = None,
    limit: int,
) -> list[Event]:
    """Return the first `limit` events after `after` (without it: from the log's beginning) and up to `upto`, in order.

    `channels` leaves out all other channels. Fewer than `limit` events mean that there are no more at the moment.
    """
    query = _readable(session, channels).order_by(*_order(session)).limit(limit)
    if after is not None:
        query = query.where(_position(session) > _bound(session, after))
    if upto is not None:
        query = query.where(_position(session) <= _bound(session, upto))
    return [_as_event(row) for row in session.execute(query)]


def last_events(
    session: Session | Connection, *, channels: Collection[str], upto: Cursor | None = None, limit: int
) -> list[Event]:
    """Return the last `limit` events of `channels`, those after `upto` left out, in order."""
    descending = [column.desc() for column in _order(session)]
    query = _readable(session, channels).order_by(*descending).limit(limit)
    if upto is not None:
        query = query.where(_position(session) <= _bound(session, upto))
    return [_as_event(row) for row in session.execute(query)][::-1]


def latest(session: Session | Connection) -> Cursor:
    """Return the position after the last event that can be read at the moment."""
    return _edge(session, [column.desc() for column in _order(session)])


def oldest(session: Session | Connection) -> Cursor:
    """Return the position of the oldest event that the log still holds; a reader that stands before it missed some."""
    return _edge(session, _order(session))


def adopt_order(session: Session) -> None:
    """Make events readable that this server has not written; call it when a service starts.

    A database that was dumped and restored brings the numbers of the old server's transactions. Those above the new
    server's own would be hidden until it has counted so far, and would then come as news. Such events go to the front,
    in the order of their rows; a client that stood among them starts afresh.
    """
    if _on_postgresql(session):
        session.execute(update(EventRow).where(_FROM_ELSEWHERE).values(xid=0))


def prune_events(session: Session, *, before: datetime, limit: int = 50_000) -> int:
    """Delete the oldest events, up to `limit` of them, that were recorded before `before`, and return how many.

    Call it again, in another transaction, while it returns `limit`. The newest event stays whatever its age: by the
    oldest event that is left, a reader learns whether it missed any.
    """
    eldest = _readable(session, None).order_by(*_order(session)).limit(limit).subquery()
    aged = select(eldest.c.xid, eldest.c.id).where(eldest.c.at < before)
    cursors = sorted(Cursor(row.xid, row.id) for row in session.execute(aged))
    if cursors and cursors[-1] == latest(session):
        cursors.pop()
    if not cursors:
        return 0
    doomed = delete(EventRow).where(_position(session) <= _bound(session, cursors[-1]), _events.at < before)
    session.execute(doomed.execution_options(synchronize_session=False))
    return len(cursors)


def _on_postgresql(session: Session | Connection) -> bool:
    return _dialect(session).name == "postgresql"


def _dialect(session: Session | Connection) -> Dialect:
    return session.get_bind().dialect if isinstance(session, Session) else session.dialect


def _order(session: Session | Connection) -> list[ColumnElement[int]]:
    return [_events.xid, _events.id] if _on_postgresql(session) else [_events.id]


def _position(session: Session | Connection) -> ColumnElement[Any]:
    return row_of(_events.xid, _events.id) if _on_postgresql(session) else _events.id


def _bound(session: Session | Connection, cursor: Cursor) -> Any:
    return row_of(cursor.xid, cursor.id) if _on_postgresql(session) else cursor.id


def _readable(session: Session | Connection, channels: Collection[str] | None) -> Select[Any]:
    query = select(*_COLUMNS)
    if _on_postgresql(session):
        query = query.where(_BELOW_RUNNING)
    if channels is not None:
        query = query.where(_events.channel.in_(sorted(channels)))
    return query


def _edge(session: Session | Connection, order: Sequence[ColumnElement[int]]) -> Cursor:
    row = session.execute(_readable(session, None).order_by(*order).limit(1)).first()
    return START if row is None else Cursor(row.xid, row.id)


def _as_event(row: Row[Any]) -> Event:
    return Event(Cursor(row.xid, row.id), row.channel, row.name, row.data, row.at)
