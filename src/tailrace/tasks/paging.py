"""The mark between two pages of tasks: where the last row stood in its order, opaque to callers."""

import base64
import json
from collections.abc import Callable
from dataclasses import dataclass
from datetime import date, datetime
from typing import Any

from sqlalchemy.orm import InstrumentedAttribute

from tailrace.errors import Invalid
from tailrace.tasks.fields import ID_MAX
from tailrace.tasks.models import Priority, Task

Value = datetime | date | Priority | str | None


@dataclass(frozen=True, slots=True)
class Order:
    """An order of tasks: by a column, then by id, both the same way."""

    name: str
    column: InstrumentedAttribute[Any]
    descending: bool

    @classmethod
    def named(cls, name: str) -> "Order":
        """Return the order of a `sort` parameter, such as `-due`; raises KeyError for an unknown one."""
        return cls(name, _COLUMNS[name.removeprefix("-")], name.startswith("-"))


@dataclass(frozen=True, slots=True)
class Cursor:
    """The place just behind a row."""

    value: Value
    id: int

    def encode(self, order: Order) -> str:
        """Return the text for `after`, which holds for this order alone."""
        text = self.value.isoformat() if isinstance(self.value, date) else self.value
        data = json.dumps([order.name, text, self.id], ensure_ascii=False)
        return base64.urlsafe_b64encode(data.encode()).decode().rstrip("=")

    @classmethod
    def decode(cls, text: str, order: Order) -> "Cursor":
        """Return the place that `encode` wrote; raises Invalid for anything else."""
        try:
            name, value, row_id = json.loads(base64.urlsafe_b64decode(text.encode() + b"=" * (-len(text) % 4)))
            if name != order.name or type(row_id) is not int or not 1 <= row_id <= ID_MAX:
                raise ValueError
            return cls(_PARSERS[order.name.removeprefix("-")](value), row_id)
        except (ValueError, TypeError, RecursionError) as error:
            message = "This `after` is not the `next` of an earlier page with the same sort; start at the first page."
            raise Invalid(message) from error


def _parse_title(value: Any) -> str:
    if type(value) is not str or "\0" in value:
        raise ValueError
    value.encode()
    return value


def _parse_moment(value: Any) -> datetime:
    moment = datetime.fromisoformat(value)
    if moment.utcoffset() is None or moment.utcoffset():
        raise ValueError
    return moment


_COLUMNS: dict[str, InstrumentedAttribute[Any]] = {
    "created": Task.created_at,
    "updated": Task.updated_at,
    "due": Task.due,
    "priority": Task.priority,
    "title": Task.title,
}
_PARSERS: dict[str, Callable[[Any], Value]] = {
    "created": _parse_moment,
    "updated": _parse_moment,
    "due": lambda value: None if value is None else date.fromisoformat(value),
    "priority": Priority,
    "title": _parse_title,
}
