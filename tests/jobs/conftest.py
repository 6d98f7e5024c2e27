"""Fixtures of the jobs' tests: the table works alike on both databases."""

from collections.abc import Iterator
from pathlib import Path

import pytest

from tailrace.database import Base, Database
from tailrace.jobs.models import ENGINES, JOBS
from tailrace.streams import record
from tests.services import postgres_url


@pytest.fixture(params=["sqlite", "postgresql"])
def database(request: pytest.FixtureRequest, tmp_path: Path) -> Iterator[Database]:
    """Give a database with an empty job table and event log."""
    database = Database(
        f"sqlite:///{tmp_path / 'jobs.db'}" if request.param == "sqlite" else postgres_url(), record=record
    )
    Base.metadata.create_all(database.engine, tables=[JOBS, ENGINES, Base.metadata.tables["events"]])
    yield database
    database.dispose()
