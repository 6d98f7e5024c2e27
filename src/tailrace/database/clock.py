"""The clock that all machines share: the database's own.

What one machine writes and another compares (leases, retries, who is alive) must not depend on either machine's clock,
which may be wrong by an hour. SQLite has no clock but its machine's, and there is only one machine.
"""

from datetime import datetime, timedelta
from typing import Any

from sqlalchemy import BindParameter, bindparam, select
from sqlalchemy.ext.compiler import compiles
from sqlalchemy.orm import Session
from sqlalchemy.sql.functions import FunctionElement
from sqlalchemy.types import Float

from tailrace.database.types import UTCDateTime, utcnow


class _Moment(FunctionElement[datetime]):
    """Both forms of a moment, of which each database uses its own: seconds from its clock, or the machine's clock."""

    inherit_cache = True
    type = UTCDateTime()


def moment(offset_s: "float | BindParameter[float]" = 0) -> FunctionElement[datetime]:
    """Return the SQL expression for the present by the database's clock, or for `offset_s` seconds later.

    A parameter for `offset_s` stands for its value on PostgreSQL, and for 0 on SQLite.
    """
    shift = 0.0 if isinstance(offset_s, BindParameter) else offset_s
    seconds = bindparam(None, offset_s, type_=Float()) if isinstance(offset_s, (int, float)) else offset_s
    local = bindparam(None, callable_=lambda: utcnow() + timedelta(seconds=shift), type_=UTCDateTime())
    return _Moment(seconds, local)


def present(session: Session) -> datetime:
    """Return the present by the database's clock."""
    now: datetime = session.execute(select(moment())).scalar_one()
    return now


@compiles(_Moment)
def _compile_for_postgresql(element: _Moment, compiler: Any, **options: Any) -> str:
    seconds, _ = element.clauses
    # The clock of the statement: unlike `clock_timestamp()` it is one value for it, so an index can serve comparisons.
    offset = f"make_interval(secs => {compiler.process(seconds, **options)})"
    return f"((statement_timestamp() + {offset}) AT TIME ZONE 'UTC')"


@compiles(_Moment, "sqlite")
def _compile_for_sqlite(element: _Moment, compiler: Any, **options: Any) -> str:
    _, local = element.clauses
    return str(compiler.process(local, **options))
