"""What of an inbox somebody saw, so that marking all of it as read leaves what came since.

The newest id does not tell: on PostgreSQL an entry with a lower one may be committed later, by a transaction that took
longer. There the mark is the oldest transaction that was still open, for what older ones wrote was there; and the
entries that were shown though younger ones wrote them. SQLite has one writer after another.
"""

from collections.abc import Collection
from dataclasses import dataclass

from sqlalchemy import BigInteger, ColumnElement, literal_column, or_, select, text
from sqlalchemy.orm import Session

from tailrace.errors import Invalid
from tailrace.notifications.models import InboxEntry

#: The id of an entry, or what `Seen` writes on PostgreSQL.
PATTERN = r"^([0-9a-f]{32}|[0-9]{1,18}(-[0-9a-f]{32}){0,200})$"
_ID_LENGTH = 32
_OLDEST_OPEN = "SELECT pg_snapshot_xmin(pg_current_snapshot())::text"
_NOW = "pg_snapshot_xmax(pg_current_snapshot())::text::bigint"
# A row knows the lower 32 bits of its transaction: it is the latest whose number ends so.
_writer: ColumnElement[int] = literal_column(
    f"({_NOW} - mod({_NOW} - inbox_entries.xmin::text::bigint, 4294967296))", BigInteger
)


@dataclass(frozen=True, slots=True)
class Horizon:
    """A moment, taken before an inbox is read: what older transactions wrote is there. None on SQLite."""

    transaction: int | None

    @classmethod
    def now(cls, session: Session) -> "Horizon":
        """Return this moment."""
        if session.get_bind().dialect.name != "postgresql":
            return cls(None)
        return cls(int(session.scalars(text(_OLDEST_OPEN)).one()))

    def mark(self, session: Session, shown: Collection[str]) -> str | None:
        """Return the mark of what was seen by somebody to whom these entries, the newest first, were `shown`."""
        if self.transaction is None:
            return next(iter(shown), None)
        young = select(InboxEntry.id).where(InboxEntry.id.in_(shown), _writer >= self.transaction)
        return "-".join([str(self.transaction), *session.scalars(young)])


def was_seen(session: Session, mark: str) -> ColumnElement[bool]:
    """Return what is true of an entry that was seen by `mark`, or is not newer than the entry of that id.

    Raises Invalid for the mark of another database.
    """
    if len(mark) == _ID_LENGTH:
        return InboxEntry.id <= mark
    if session.get_bind().dialect.name != "postgresql":
        raise Invalid("Send `until` as this inbox gave it in `seen`.")
    transaction, *young = mark.split("-")
    return or_(_writer < int(transaction), InboxEntry.id.in_(young))
