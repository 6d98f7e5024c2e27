"""What only the local engine promises: that it is alone, and that SQLite may be locked for a while."""

import threading
from collections.abc import Iterator
from pathlib import Path

import pytest
from sqlalchemy.orm import Session

from tailrace.jobs import EngineRunning, Job, State, enqueue, enqueue_many
from tailrace.jobs.engines.local import LocalEngine, sole
from tests.jobs.kinds_for_tests import make_app, span, steps
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


def enqueue_mixed(session: Session, target: str) -> list[Job]:
    """Enqueue 120 jobs, every eighth of which is long."""
    return [enqueue(session, span, {"path": target, "seconds": 0.6 if number % 8 == 7 else 0}) for number in range(120)]


def test_jobs_among_long_ones_are_seldom_claimed_in_vain(world: World, tmp_path: Path) -> None:
    with world.database.write() as session:
        jobs = enqueue_mixed(session, str(tmp_path / "spans"))
    ended = [world.finished(job) for job in jobs]
    assert {job.state for job in ended} == {State.COMPLETED}
    assert max(job.attempt for job in ended) <= 3
    # Each is at least told of as available, running and completed.
    assert sum(len(world.told(job, "state")) for job in jobs) < 1.5 * 3 * len(jobs)


def test_what_a_long_job_kept_waiting_is_not_claimed_again_and_again(world: World, tmp_path: Path) -> None:
    target = str(tmp_path / "spans")
    with world.database.write() as session:
        # After hundreds of short ones, the engine takes every job for one.
        enqueue_many(session, span, [{"path": target, "seconds": 0}] * 300)
        late = enqueue_mixed(session, target)
    ended = [world.finished(job) for job in late]
    assert {job.state for job in ended} == {State.COMPLETED}
    assert max(job.attempt for job in ended) <= 3
