"""The database's clock: the same for every machine, whatever their own say."""

from collections.abc import Iterator
from datetime import timedelta
from pathlib import Path

import pytest
from sqlalchemy import select

from tailrace.database import Database, moment, present, utcnow
from tests.services import postgres_url


@pytest.fixture(params=["sqlite", "postgresql"])
def database(request: pytest.FixtureRequest, tmp_path: Path) -> Iterator[Database]:
    database = Database(f"sqlite:///{tmp_path / 'clock.db'}" if request.param == "sqlite" else postgres_url())
    yield database
    database.dispose()


def test_the_present_is_aware_and_now(database: Database) -> None:
    with database.read() as session:
        assert abs(present(session) - utcnow()) < timedelta(seconds=1)


def test_moments_lie_as_far_from_the_present_as_asked(database: Database) -> None:
    with database.read() as session:
        before, now, after = session.execute(select(moment(-90), moment(), moment(0.5))).one()
    assert abs(now - before - timedelta(seconds=90)) < timedelta(milliseconds=1)
    assert abs(after - now - timedelta(seconds=0.5)) < timedelta(milliseconds=1)


def test_a_moment_is_new_each_time_the_same_statement_runs(database: Database) -> None:
    with database.read() as session:
        moments = [session.execute(select(moment(1))).scalar_one() for _ in range(3)]
    assert moments == sorted(set(moments))
