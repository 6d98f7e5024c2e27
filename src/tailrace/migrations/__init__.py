"""Brings a database to the newest schema, one numbered revision after the other (Alembic).

Alembic takes a second to import, so it is left alone when the database is already there.
"""

from sqlalchemy import Connection, inspect, text

from tailrace.database import Database

HEAD = "0007"
COPYING = "copying"
_LOCK_KEY = 7_221_745


class SchemaTooNewError(Exception):
    """A newer version of Tailrace has been at work on this database."""


class UnfinishedCopyError(Exception):
    """This database holds a half-done copy: go on with `tailrace copy` until it is whole."""

    def __init__(self) -> None:
        super().__init__(self.__doc__)


def current_revision(database: Database) -> str | None:
    """Return the revision that the database is at: None if it is empty, COPYING if it is half a copy."""
    with database.read() as session:
        return _revision(session.connection())


def migrate(database: Database) -> str | None:
    """Bring the database to the newest revision, all in one transaction; return the one it was at before.

    Several processes may call it at once: one works, the others wait and find nothing to do.
    Raises SchemaTooNewError for a database that this version does not know, UnfinishedCopyError for half a copy.
    """
    before = current_revision(database)
    if before == HEAD:
        return before
    if before == COPYING:
        raise UnfinishedCopyError
    with database.write() as session:
        connection = session.connection()
        if not database.is_sqlite:
            connection.execute(text("SELECT pg_advisory_xact_lock(:key)"), {"key": _LOCK_KEY})
        before = _revision(connection)
        if before != HEAD:
            _upgrade(connection)
    return before


def _revision(connection: Connection) -> str | None:
    if not inspect(connection).has_table("alembic_version"):
        return None
    revision: str | None = connection.scalar(text("SELECT version_num FROM alembic_version"))
    return revision


def _upgrade(connection: Connection) -> None:
    from alembic import command
    from alembic.config import Config
    from alembic.util import CommandError

    config = Config()
    config.set_main_option("script_location", "tailrace:migrations")
    config.attributes["connection"] = connection
    try:
        command.upgrade(config, "head")
    except CommandError as error:
        raise SchemaTooNewError(f"This version of Tailrace does not know the database's schema: {error}") from error
