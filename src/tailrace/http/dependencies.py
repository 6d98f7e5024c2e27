"""What a route may ask for.

Only an endpoint's own body may use the `WriteSession`, never a dependency: a transaction that began in a dependency
would hold SQLite's write lock while it waits for a free thread to run the endpoint, behind threads that wait for the
lock.
"""

from collections.abc import Iterator
from typing import Annotated, cast

from fastapi import Depends
from sqlalchemy.orm import Session
from starlette.requests import HTTPConnection

from tailrace.database import Database


async def get_database(connection: HTTPConnection) -> Database:
    """Return the application's database; asynchronous, for a plain function would be called in a thread."""
    return cast(Database, connection.app.state.database)


def _read_session(database: Annotated[Database, Depends(get_database)]) -> Iterator[Session]:
    with database.read() as session:
        yield session


def _write_session(database: Annotated[Database, Depends(get_database)]) -> Iterator[Session]:
    with database.write() as session:
        yield session


DatabaseDep = Annotated[Database, Depends(get_database)]
# scope="function" ends the dependency, and so commits, before the response is sent: a failed commit is never a 201.
ReadSession = Annotated[Session, Depends(_read_session, scope="function")]
WriteSession = Annotated[Session, Depends(_write_session, scope="function")]
