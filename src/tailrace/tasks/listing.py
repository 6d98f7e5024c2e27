"""Pages of tasks, quick however many there are: every page begins where the last one ended.

A caller sees some projects, and asks for some states. For each state of each project, the first rows of the page come
from a short walk along an index that begins with both; merged, they are the page. So its cost follows its length and
the number of projects, not of tasks, and what was done long ago costs nothing to whoever looks at what is open. The
title has no index, and a search walks what it found; both sort their rows, keeping a page's worth. Other filters are
looked at on the way, and what does not meet them is stepped over.

Tasks without a due date come last in both directions. Neither database walks an index like that, so the rows with a
value and those without are two sections, asked one after the other until the page is full.
"""

from collections.abc import Iterator, Sequence
from datetime import date

from sqlalchemy import ColumnElement, Select, and_, literal, select, tuple_, union_all
from sqlalchemy.orm import Session

from tailrace.tasks.models import Status, Task
from tailrace.tasks.paging import Cursor, Order, Value

# SQLite joins 500 selects at most.
PARTS_MAX = 200
Conditions = Sequence[ColumnElement[bool]]
_INDEXED_BY_STATUS_ALONE = (Task.due, Task.priority)


def page_of_ids(
    session: Session,
    *,
    project_ids: Sequence[int],
    statuses: Sequence[Status],
    together: bool,
    conditions: Conditions,
    order: Order,
    after: Cursor | None,
    limit: int,
) -> list[Cursor]:
    """Return the places of the first `limit` tasks behind `after`, in these projects, that meet all `conditions`.

    They are in any state if there are no `statuses`. `together` asks once for all projects and states instead of once
    for each, for conditions that are an index by themselves.
    """
    if together:
        parts: Conditions = [and_(Task.project_id.in_(project_ids), *_in_any(statuses))]
    else:
        states = _states_walked(statuses, order)
        parts = [and_(Task.project_id == project_id, *state) for project_id in project_ids for state in states]
    found: list[Cursor] = []
    for section in _sections(order, after):
        if parts and len(found) < limit:
            found += _first(session, parts, [*conditions, *section], order, limit - len(found))
    return found


def _in_any(statuses: Sequence[Status]) -> Conditions:
    return [Task.status.in_(statuses)] if statuses else []


def _states_walked(statuses: Sequence[Status], order: Order) -> Sequence[Conditions]:
    """Return the conditions for the state, one walk for each."""
    if not statuses and not any(order.column is each for each in _INDEXED_BY_STATUS_ALONE):
        return [[]]
    return [[Task.status == status] for status in dict.fromkeys(statuses or Status)]


def _sections(order: Order, after: Cursor | None) -> Iterator[Conditions]:
    by_due = order.column is Task.due
    if after is None:
        # A range, where IS NOT NULL would let SQLite walk over every row without a value first.
        yield [Task.due >= date.min] if by_due else []
    elif after.value is not None:
        yield [_behind(order, after)]
    if by_due:
        without = Task.due.is_(None)
        yield [without] if after is None or after.value is not None else [without, _behind(order, after)]


def _behind(order: Order, after: Cursor) -> ColumnElement[bool]:
    if after.value is None:
        return Task.id < after.id if order.descending else Task.id > after.id
    here = tuple_(order.column, Task.id)
    there = tuple_(literal(after.value, order.column.type), literal(after.id))
    return here < there if order.descending else here > there


def _first(session: Session, parts: Conditions, conditions: Conditions, order: Order, limit: int) -> list[Cursor]:
    walks = [_walk(order).where(part, *conditions).limit(limit) for part in parts]
    if len(walks) > 1:
        ids: list[int] = []
        for start in range(0, len(walks), PARTS_MAX):
            some = union_all(*(select(walk.subquery().c.id) for walk in walks[start : start + PARTS_MAX]))
            ids += [row.id for row in session.execute(_walk(order).where(Task.id.in_(some)).limit(limit))]
        walks = [_walk(order).where(Task.id.in_(ids)).limit(limit)]
    return [Cursor(row.value, row.id) for row in session.execute(walks[0])]


def _walk(order: Order) -> Select[tuple[int, Value]]:
    keys = (order.column, Task.id)
    rows = select(Task.id, order.column.label("value"))
    return rows.order_by(*(key.desc() if order.descending else key.asc() for key in keys))
