"""Every engine keeps the same promises, with real processes that are killed, hang, and take too much.

The local engine on both databases, and the Celery engine on PostgreSQL with both brokers.
"""

import os
import signal
from collections.abc import Iterator
from pathlib import Path

import psutil
import pytest

from tailrace.jobs import JobKind, State, cancel_job, enqueue, enqueue_many, list_jobs, retry_job
from tests.brokers import rabbitmq_url, redis_url
from tests.jobs.kinds_for_tests import deaf, flaky, greedy, hang, leave, note, snooze, steps, stubborn, suicide
from tests.jobs.worlds import World, until, worker_pids
from tests.services import postgres_url

pytestmark = pytest.mark.conformance("engine", by="world")


@pytest.fixture(
    scope="module", params=["local on sqlite", "local on postgresql", "celery through redis", "celery through rabbitmq"]
)
def world(request: pytest.FixtureRequest, tmp_path_factory: pytest.TempPathFactory) -> Iterator[World]:
    """Give a database and a way to start engines on it; those that still run at the end of a test serve the next."""
    engine, _, beside = request.param.split()
    brokers = {"redis": redis_url, "rabbitmq": rabbitmq_url}
    broker = brokers[beside]() if engine == "celery" else None
    on_sqlite = f"sqlite:///{tmp_path_factory.mktemp('jobs') / 'jobs.db'}"
    world = World(on_sqlite if beside == "sqlite" else postgres_url(), broker)
    yield world
    world.close()


@pytest.fixture(autouse=True)
def _engine(world: World) -> None:
    world.running()


def test_a_job_runs_and_its_progress_and_log_are_told(world: World) -> None:
    job = world.finished(world.put(steps, count=5, pause_s=0.05))
    assert (job.state, job.attempt, job.progress_done, job.progress_note) == (State.COMPLETED, 1, 5, "arrived")
    assert [line["message"] for line in world.told(job, "log")] == [f"step {n}" for n in range(5)]
    progress = [fact["done"] for fact in world.told(job, "progress")]
    assert progress == sorted(progress)
    assert progress[-1] == 5
    assert [fact["state"] for fact in world.told(job, "state")] == ["available", "running", "completed"]


def test_many_progress_reports_become_few_events(world: World) -> None:
    job = world.finished(world.put(steps, count=500, pause_s=0))
    assert world.told(job, "progress")[-1]["done"] == 500
    assert len(world.told(job, "progress")) < 50


def test_hundreds_of_short_jobs_run_once_each(world: World, tmp_path: Path) -> None:
    target = tmp_path / "notes"
    with world.database.write() as session:
        enqueue_many(session, note, ({"path": str(target), "line": str(n)} for n in range(400)))
    until(lambda: target.exists() and target.read_text().count("\n") == 400)
    assert sorted(map(int, target.read_text().split())) == list(range(400))
    until(lambda: _states(world, "tests.note") == {State.COMPLETED})


def test_short_jobs_behind_a_long_one_are_given_to_another_worker(world: World, tmp_path: Path) -> None:
    target = tmp_path / "notes"
    lines = [{"path": str(target), "line": "x"}] * 100
    with world.database.write() as session:
        enqueue_many(session, note, lines)
        long = enqueue(session, steps, {"count": 1000, "pause_s": 0.1})
        enqueue_many(session, note, lines)
    until(lambda: target.exists() and target.read_text().count("\n") == 200)
    assert world.look(long).state is State.RUNNING
    with world.database.write() as session:
        cancel_job(session, long.id)
    assert world.finished(long).state is State.CANCELLED


def test_a_job_that_takes_its_worker_down_is_quarantined_and_others_go_on(world: World) -> None:
    poison, other = world.put(suicide), world.put(steps, count=10, pause_s=0.05)
    _check_quarantine(world, poison.id, "SIGKILL")
    assert world.finished(other).state is State.COMPLETED


def test_leaving_by_an_exit_code_is_a_crash_too(world: World) -> None:
    _check_quarantine(world, world.put(leave).id, "exit code 7")


def test_a_worker_killed_from_outside_costs_no_attempt(world: World) -> None:
    job = world.begun(world.put(steps, count=15, pause_s=0.1))
    for pid in worker_pids(world.running()):
        os.kill(pid, signal.SIGKILL)
    ended = world.finished(job)
    assert (ended.state, ended.crashes, ended.failures) == (State.COMPLETED, 1, 0)
    assert ended.attempt >= 2
    reasons = [fact["error"] for fact in world.told(job, "state") if fact["state"] == "available"]
    assert "Its worker process was killed by SIGKILL." in reasons


def test_limits_on_time_and_memory_really_end_a_job(world: World) -> None:
    reasons: dict[JobKind, str] = {
        greedy: "64 MB of memory",
        hang: "longer than the 0.5 s",
        deaf: "longer than the 0.3 s",
    }
    jobs = {kind: world.put(kind) for kind in reasons}
    for kind, reason in reasons.items():
        ended = world.finished(jobs[kind])
        assert (ended.state, ended.failures, ended.crashes) == (State.DISCARDED, 1, 0)
        assert reason in str(ended.error)


def test_a_failed_job_is_retried_after_a_while_and_a_snoozed_one_comes_back(world: World) -> None:
    failing, snoozing = world.put(flaky), world.put(snooze, delay_s=0.2)
    waiting = until(lambda: (now := world.look(failing)).state is State.RETRYABLE and now)
    assert waiting.error == "ValueError: the weather is bad"
    assert until(lambda: world.look(failing).attempt == 2)
    assert "Traceback" in world.told(failing, "log")[0]["message"]
    until(lambda: world.look(snoozing).attempt >= 2)
    assert world.look(snoozing).failures == 0
    _cancel(world, snoozing.id)


def test_a_running_job_is_cancelled_and_runs_again_when_it_is_retried(world: World, tmp_path: Path) -> None:
    job = world.put(stubborn, path=str(tmp_path / "began"))
    for _ in range(2):
        until((tmp_path / "began").exists)
        _cancel(world, job.id)
        assert world.finished(job).state is State.CANCELLED
        (tmp_path / "began").unlink()
        with world.database.write() as session:
            retry_job(session, job.id)
    until((tmp_path / "began").exists)
    _cancel(world, job.id)
    assert world.finished(job).state is State.CANCELLED


def test_an_engine_that_stops_gives_its_jobs_back_unharmed(world: World) -> None:
    engine = world.running()
    job = world.begun(world.put(steps, count=600, pause_s=0.05))
    engine.stop()
    assert engine.exit_code == 0
    back = world.look(job)
    assert (back.state, back.failures, back.crashes) == (State.AVAILABLE, 0, 0)
    assert world.alive() == []
    _cancel(world, job.id)


def test_a_killed_engine_takes_its_workers_along_and_another_takes_over(world: World) -> None:
    engine = world.running()
    job = world.begun(world.put(steps, count=15, pause_s=0.1))
    workers = [psutil.Process(pid) for pid in worker_pids(engine)]
    os.kill(engine.pid, signal.SIGKILL)
    until(lambda: not any(worker.is_running() and worker.status() != "zombie" for worker in workers))
    world.start()
    ended = world.finished(job)
    assert (ended.state, ended.attempt, ended.failures) == (State.COMPLETED, 2, 0)
    # A sole engine knows that the job did not bring the other down; one of many cannot know.
    assert ended.crashes == (1 if world.many else 0)


def _check_quarantine(world: World, job_id: str, reason: str) -> None:
    with world.database.read() as session:
        (job,) = [each for each in list_jobs(session, limit=100) if each.id == job_id]
    ended = world.finished(job)
    assert (ended.state, ended.crashes, ended.failures) == (State.QUARANTINED, 3, 0)
    assert reason in str(ended.error)


def _cancel(world: World, job_id: str) -> None:
    with world.database.write() as session:
        cancel_job(session, job_id)


def _states(world: World, kind: str) -> set[State]:
    with world.database.read() as session:
        return {job.state for job in list_jobs(session, kinds=[kind], limit=10_000)}
