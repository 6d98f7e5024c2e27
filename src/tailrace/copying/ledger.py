"""What a half-done copy has done so far, written down in its target in the same transactions that do it."""

import json
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass
from typing import Any

from sqlalchemy import (
    JSON,
    BigInteger,
    Column,
    Connection,
    Engine,
    MetaData,
    String,
    Table,
    Text,
    delete,
    insert,
    inspect,
    select,
    text,
)
from sqlalchemy.dialects.postgresql import insert as upsert
from sqlalchemy.schema import SetTableComment

from tailrace.copying.errors import CopyError
from tailrace.migrations import COPYING, HEAD

_COPIED = "tailrace copy: "
# Not among the tables of the models: they are there only while a copy is under way.
_METADATA = MetaData()
_COPY = Table("tailrace_copy", _METADATA, Column("source", Text, primary_key=True), Column("storage", Text))
_TABLES = Table(
    "tailrace_copy_tables",
    _METADATA,
    Column("name", String(63), primary_key=True),
    Column("last_key", JSON, nullable=False),
)
_OBJECTS = Table(
    "tailrace_copy_objects",
    _METADATA,
    Column("key", Text, primary_key=True),
    Column("bytes", BigInteger, nullable=False),
    Column("sha256", String(64), nullable=False),
)


@dataclass(frozen=True, slots=True)
class Object:
    """An object of a storage: its key, its length, and the SHA-256 of its bytes in hexadecimal."""

    key: str
    bytes: int
    sha256: str


def begin(connection: Connection, source: str, storage: str | None) -> bool:
    """Open the ledger of a copy from `source`, files going to `storage`; return whether one was open already.

    Raises CopyError if the open one belongs to another copy.
    """
    if not connection.dialect.has_table(connection, _COPY.name):
        _METADATA.create_all(connection)
        connection.execute(insert(_COPY), {"source": source, "storage": storage})
        connection.execute(text("UPDATE alembic_version SET version_num = :it"), {"it": COPYING})
        return False
    found = connection.execute(select(_COPY.c.source, _COPY.c.storage)).one()
    if found.source != source:
        raise CopyError(f"The target holds a half-done copy of {found.source}: go on with that one, or empty it.")
    if found.storage != storage:
        kept = f"with --to-storage {found.storage}" if found.storage else "without --to-storage"
        raise CopyError(f"This copy was begun {kept}: go on with it so, or empty the target.")
    return True


def is_open(connection: Connection) -> bool:
    """Return whether the database holds a half-done copy."""
    return connection.dialect.has_table(connection, _COPY.name)


def close(connection: Connection, source: str) -> None:
    """Take the copy into use: the schema is of its true revision, and of the ledger only a comment is left.

    It tells one who was interrupted in the last moment, and begins again, that nothing is left to do.
    """
    _METADATA.drop_all(connection)
    connection.execute(text("UPDATE alembic_version SET version_num = :it"), {"it": HEAD})
    now = connection.scalar(text("SELECT to_char(now() AT TIME ZONE 'UTC', 'YYYY-MM-DD HH24:MI \"UTC\"')"))
    comment = f"{_COPIED}{json.dumps([source, now])}"
    connection.execute(SetTableComment(Table("alembic_version", MetaData(), comment=comment)))


def completed_at(database: Engine, source: str) -> str | None:
    """Return when a copy of `source` to this database became whole, or None if there was none."""
    with database.connect() as connection:
        if not connection.dialect.has_table(connection, "alembic_version"):
            return None
        comment = inspect(connection).get_table_comment("alembic_version")["text"] or ""
    if not comment.startswith(_COPIED):
        return None
    copied, when = json.loads(comment.removeprefix(_COPIED))
    return str(when) if copied == source else None


def last_key(connection: Connection, table: Table) -> Sequence[Any] | None:
    """Return the primary key of the last row that was copied, or None if there is none yet."""
    found: Sequence[Any] | None = connection.scalar(select(_TABLES.c.last_key).where(_TABLES.c.name == table.name))
    return found


def note_key(connection: Connection, table: Table, key: Sequence[Any]) -> None:
    """Write down the primary key of the last row that this transaction copies."""
    row = upsert(_TABLES).values(name=table.name, last_key=list(key))
    connection.execute(row.on_conflict_do_update(index_elements=["name"], set_={"last_key": row.excluded.last_key}))


def forget_tables(connection: Connection) -> None:
    """Forget which rows were copied; of the objects, which never change under their key, nothing is forgotten."""
    connection.execute(delete(_TABLES))


def note_objects(connection: Connection, objects: Iterable[Object]) -> None:
    """Write down objects that arrived and were compared."""
    rows = [{"key": each.key, "bytes": each.bytes, "sha256": each.sha256} for each in objects]
    if rows:
        connection.execute(insert(_OBJECTS), rows)


def known_objects(connection: Connection) -> Mapping[str, Object]:
    """Return the objects that arrived and were compared, by key."""
    rows = connection.execute(select(_OBJECTS.c.key, _OBJECTS.c.bytes, _OBJECTS.c.sha256))
    return {row.key: Object(row.key, row.bytes, row.sha256) for row in rows}
