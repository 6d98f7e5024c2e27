"""Fixtures of the streams' tests: every promise is kept on both databases."""

from collections.abc import Callable, Iterator
from pathlib import Path

import pytest

from tailrace.database import Base, Database
from tailrace.streams import record
from tests.services import postgres_url

Open = Callable[[], Database]


@pytest.fixture(params=["sqlite", "postgresql"])
def address(request: pytest.FixtureRequest, tmp_path: Path) -> str:
    """Give the address of an empty database of each kind."""
    return f"sqlite:///{tmp_path / 'streams.db'}" if request.param == "sqlite" else postgres_url()


@pytest.fixture
def database(address: str) -> Iterator[Database]:
    """Give a database with an empty event log."""
    database = Database(address, record=record)
    Base.metadata.create_all(database.engine, tables=[Base.metadata.tables["events"]])
    yield database
    database.dispose()
