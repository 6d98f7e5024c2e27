"""The one place where a job's state changes: obeys the drawing in `models`, and makes every change known."""

from collections.abc import Iterable, Mapping, Sequence
from datetime import datetime
from typing import Any, TypedDict

from sqlalchemy import ColumnElement, Float, Insert, Row, RowMapping, Update, bindparam, insert, literal, select, update
from sqlalchemy.dialects import postgresql, sqlite
from sqlalchemy.orm import Session
from typing_extensions import Unpack

from tailrace.database import moment, new_id, publish, utcnow
from tailrace.jobs.errors import BadArguments
from tailrace.jobs.kinds import JobKind, find_kind
from tailrace.jobs.models import COLUMNS, FAILED, JOBS, SOURCES, State, channel_of

_AFTER = "after_s"


class EnqueueOptions(TypedDict, total=False):
    """How one job differs from what its kind says."""

    queue: str | None
    priority: int | None
    run_at: datetime | None
    unique_key: str | None
    max_attempts: int | None
    owner: str | None


def in_state(*states: State) -> ColumnElement[bool]:
    """Return the condition that a job is in one of `states`.

    They are written out: SQLite uses a partial index only where the query, without its parameters, implies its
    condition.
    """
    values = [literal(state.value, literal_execute=True) for state in states]
    return JOBS.c.state == values[0] if len(values) == 1 else JOBS.c.state.in_(values)


def create(session: Session, kind: JobKind, args: Mapping[str, Any], **options: Unpack[EnqueueOptions]) -> Row[Any]:
    """Insert a job and return it, or the one that has its unique key already. Raises BadArguments."""
    values = _new_row(kind, args, **options)
    if values["unique_key"] is None:
        row = session.execute(_by_the_clock(insert(JOBS), values).returning(*COLUMNS), values).one()
    else:
        insertion = _by_the_clock(_insert_unless_known(session), values)
        found = session.execute(insertion.returning(*COLUMNS), values).one_or_none()
        if found is None:
            return session.execute(select(*COLUMNS).where(JOBS.c.unique_key == values["unique_key"])).one()
        row = found
    _publish_state(session, row._mapping)
    return row


def create_many(
    session: Session, kind: JobKind, args: Iterable[Mapping[str, Any]], **options: Unpack[EnqueueOptions]
) -> list[str]:
    """Insert one job for each of `args` and return their ids in order. Raises BadArguments."""
    rows = [_new_row(kind, each, number, **options) for number, each in enumerate(args)]
    if rows:
        session.execute(_by_the_clock(insert(JOBS), rows[0]), rows)
    for row in rows:
        _publish_state(session, row)
    return [row["id"] for row in rows]


def move(
    session: Session,
    conditions: Iterable[ColumnElement[bool]],
    to: State,
    *,
    sources: Iterable[State] | None = None,
    **values: Any,
) -> Sequence[Row[Any]]:
    """Move the jobs that meet `conditions`, and are in one of `sources`, to another state; return them as they are
    then.

    Without `sources` they are all from which the drawing leads there. A job elsewhere stays as it is.
    """
    allowed = SOURCES[to] if sources is None else SOURCES[to] & frozenset(sources)
    statement: Update = update(JOBS).where(*conditions, in_state(*allowed)).values(state=to, **values)
    rows = session.execute(statement.returning(*COLUMNS)).all()
    for row in rows:
        _publish_state(session, row._mapping)
        if to in FAILED:
            _answer_failure(session, row)
    return rows


def _new_row(
    kind: JobKind, args: Mapping[str, Any], number: int = 0, **options: Unpack[EnqueueOptions]
) -> dict[str, Any]:
    """Return the values of a new job, the one after `number` others of its transaction."""
    kind.check(args)
    run_at = options.get("run_at")
    priority, max_attempts = options.get("priority"), options.get("max_attempts")
    if max_attempts is not None and max_attempts < 1:
        raise BadArguments("A job needs at least one attempt.")
    return {
        "id": new_id(),
        "kind": kind.name,
        "args": dict(args),
        "queue": options.get("queue") or kind.queue,
        "priority": kind.priority if priority is None else priority,
        "state": State.SCHEDULED if run_at is not None and run_at > utcnow() else State.AVAILABLE,
        "attempt": 0,
        "failures": 0,
        "crashes": 0,
        "max_attempts": max_attempts or kind.max_attempts,
        "owner": options.get("owner"),
        "unique_key": options.get("unique_key"),
        **({} if run_at is None else {"run_at": run_at}),
        "error": None,
        _AFTER: number / 1_000_000,
    }


def _by_the_clock(statement: Insert, values: Mapping[str, Any]) -> Insert:
    """Let the database say when a job was made, and when it is due unless `values` do.

    Jobs of one statement are a microsecond apart there, which keeps them in their order.
    """
    now = moment(bindparam(_AFTER, type_=Float()))
    return statement.values(created_at=now) if "run_at" in values else statement.values(created_at=now, run_at=now)


def _insert_unless_known(session: Session) -> Insert:
    dialect = postgresql if session.get_bind().dialect.name == "postgresql" else sqlite
    statement: Insert = dialect.insert(JOBS).on_conflict_do_nothing(index_elements=["unique_key"])
    return statement


def _publish_state(session: Session, row: Mapping[str, Any] | RowMapping) -> None:
    data = {name: row[name] for name in ("kind", "state", "attempt", "error")}
    publish(session, channel_of(row["id"]), "state", data)


def _answer_failure(session: Session, row: Row[Any]) -> None:
    kind = find_kind(row.kind)
    if kind is None or kind.on_failure is None:
        return
    args = {"job_id": row.id, "state": row.state, "error": row.error or "", "args": row.args}
    # A job that is retried and fails again is answered again; one failure is answered once.
    key = f"failure:{row.id}:{row.attempt}:{row.finished_at.isoformat()}"
    create(session, kind.on_failure, args, owner=row.owner, unique_key=key)
