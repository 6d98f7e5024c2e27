"""Where a reader of the event log stands."""

import re
from dataclasses import dataclass
from typing import Self

_PATTERN = re.compile(r"(?:([0-9]{1,19})-)?([0-9]{1,19})")
_LARGEST = 2**63 - 1


class MalformedCursor(ValueError):
    """This is not a position in the event log: send back the id of the last event as it was received."""

    def __init__(self) -> None:
        super().__init__(self.__doc__)


@dataclass(frozen=True, slots=True, order=True)
class Cursor:
    """A position in the event log, after one event and before the next; cursors compare in the order of the log.

    Ids follow the order of commits on SQLite, so there `xid` is always 0. On PostgreSQL it is the id of the transaction
    that wrote the event.
    """

    xid: int
    id: int

    def __str__(self) -> str:
        """Return the text that clients see as the id of an event: `123`, or `7001-123` on PostgreSQL."""
        return f"{self.xid}-{self.id}" if self.xid else str(self.id)

    @classmethod
    def parse(cls, text: str) -> Self:
        """Return the cursor that `text`, for instance a `Last-Event-ID` header, stands for; raises MalformedCursor."""
        match = _PATTERN.fullmatch(text)
        if match is None:
            raise MalformedCursor
        cursor = cls(int(match[1] or 0), int(match[2]))
        if max(cursor.xid, cursor.id) > _LARGEST:
            raise MalformedCursor
        return cursor


START = Cursor(0, 0)
