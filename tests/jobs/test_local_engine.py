"""What only the local engine promises: that it is alone, and that SQLite may be locked for a while."""

import threading
from collections.abc import Iterator
from pathlib import Path

import pytest

from tailrace.jobs import EngineRunning, State
from tailrace.jobs.engines.local import LocalEngine, sole
from tests.jobs.kinds_for_tests import make_app, steps
from tests.jobs.worlds import SPEC, World, until


@pytest.fixture
def world(tmp_path: Path) -> Iterator[World]:
    world = World(f"sqlite:///{tmp_path / 'jobs.db'}")
    world.start()
    yield world
    world.close()


def test_a_second_engine_on_one_database_is_refused(world: World, monkeypatch: pytest.MonkeyPatch) -> None:
    until(lambda: [engine.workers for engine in world.alive()] == [2])
    monkeypatch.setattr(sole, "LOCK_WITHIN_S", 0.2)
    monkeypatch.setenv("TESTS_JOBS_DATABASE", world.url)
    app = make_app()
    with pytest.raises(EngineRunning):
        LocalEngine(app, SPEC).run()
    app.database.dispose()


def test_work_goes_on_when_a_locked_database_is_free_again(world: World) -> None:
    job = world.begun(world.put(steps, count=8, pause_s=0.1))
    with world.database.engine.connect() as connection:
        connection.connection.driver_connection.execute("BEGIN IMMEDIATE")  # type: ignore[union-attr]
        threading.Event().wait(2)
        connection.connection.driver_connection.execute("ROLLBACK")  # type: ignore[union-attr]
    ended = world.finished(job)
    assert (ended.state, ended.attempt) == (State.COMPLETED, 1)
