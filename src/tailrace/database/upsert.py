"""Inserting a row, or changing the one that is there: in one statement, which two at the same moment both survive."""

from collections.abc import Mapping
from typing import Any

from sqlalchemy.dialects import postgresql, sqlite
from sqlalchemy.orm import Session

from tailrace.database.types import Base


def upsert(session: Session, model: type[Base], *, keys: Mapping[str, Any], values: Mapping[str, Any]) -> None:
    """Give the row of `model` with these `keys`, the whole of a unique index, these `values`; insert it if need be.

    The transaction's objects of that row, if there are any, stay as they were.
    """
    dialect = postgresql if session.get_bind().dialect.name == "postgresql" else sqlite
    statement = dialect.insert(model).values(**keys, **values)
    session.execute(statement.on_conflict_do_update(index_elements=list(keys), set_=dict(values)))
