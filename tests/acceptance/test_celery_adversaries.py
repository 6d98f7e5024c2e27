"""What nobody foresees: jobs of a kind that is unknown, machines that freeze, jobs that kill their engine."""

import threading
from collections import Counter
from collections.abc import Callable, Iterator
from pathlib import Path

import psutil
import pytest
from sqlalchemy import text

from tailrace.jobs import State, enqueue_many
from tailrace.jobs.engines.celery.outbox import AHEAD
from tests.brokers import RabbitMQServer, RedisServer, redis_url
from tests.jobs.kinds_for_tests import note, regicide, span, steps
from tests.jobs.worlds import KeptRunning, World, until
from tests.services import postgres_url

pytestmark = pytest.mark.acceptance
RECOVERY_S = 45


@pytest.fixture
def world() -> Iterator[World]:
    world = World(postgres_url(), redis_url())
    yield world
    world.close()


def test_jobs_of_a_kind_that_no_engine_knows_wait_and_hold_up_no_others(world: World, tmp_path: Path) -> None:
    """Fault: a deploy was taken back, and what the newer version had asked for is left in the same queue."""
    with world.database.write() as session:
        enqueue_many(session, note, ({"path": str(tmp_path / "notes"), "line": "x"} for _ in range(AHEAD + 44)))
        session.execute(text("UPDATE jobs SET kind = 'tests.of_tomorrow'"))
    world.start()
    assert world.finished(world.put(steps, count=1, pause_s=0), 20).state is State.COMPLETED
    with world.database.write() as session:
        assert session.execute(text("SELECT DISTINCT state FROM jobs WHERE kind = 'tests.of_tomorrow'")).one() == (
            "available",
        )
        # The newer version is back.
        session.execute(text("UPDATE jobs SET kind = 'tests.note'"))
    until(lambda: (tmp_path / "notes").exists() and (tmp_path / "notes").read_text().count("x") == AHEAD + 44)


def test_a_machine_that_freezes_and_wakes_up_completes_nothing_that_others_took_over(
    world: World, tmp_path: Path
) -> None:
    """Fault: every process of the machine that leads stands still for longer than its leases last (SIGSTOP)."""
    frozen = world.start()
    until(lambda: [engine.leads for engine in world.alive()] == [True])
    spans = tmp_path / "spans"
    jobs = [world.begun(world.put(span, path=str(spans), seconds=3)) for _ in range(2)]
    world.start()
    until(lambda: len(world.alive()) == 2)
    family = [psutil.Process(frozen.pid), *psutil.Process(frozen.pid).children(recursive=True)]
    for process in family:
        process.suspend()
    try:
        until(lambda: any(engine.leads and engine.pid != frozen.pid for engine in world.alive()), within_s=10)
        ended = [world.finished(job, RECOVERY_S) for job in jobs]
    finally:
        for process in family:
            process.resume()
    # It goes on where it stood, and its runs come to their end, too late.
    until(lambda: spans.read_text().count("ends 1") == 2 or not any(process.is_running() for process in family[1:]))
    assert world.finished(world.put(steps, count=1, pause_s=0)).state is State.COMPLETED
    threading.Event().wait(1)
    for job in ended:
        assert world.look(job) == job
        assert (job.state, job.attempt, job.crashes) == (State.COMPLETED, 2, 1)
        states = Counter(fact["state"] for fact in world.told(job, "state"))
        assert states == {"available": 2, "running": 2, "completed": 1}
    until(lambda: len(world.alive()) == 2 and all(engine.trouble is None for engine in world.alive()))


@pytest.mark.parametrize("make_broker", [RedisServer, RabbitMQServer], ids=["redis", "rabbitmq"])
def test_a_broker_that_stands_still_and_wakes_up_costs_no_job(
    tmp_path: Path, make_broker: Callable[[], RedisServer | RabbitMQServer]
) -> None:
    """Fault: the broker takes connections and answers none (SIGSTOP), for longer than anybody waits for an answer."""
    broker = make_broker()
    world = World(postgres_url(), broker.start())
    try:
        world.start()
        running = world.begun(world.put(span, path=str(tmp_path / "spans"), seconds=3))
        for process in broker.family:
            process.suspend()
        waiting = [world.put(span, path=str(tmp_path / "spans"), seconds=0.1) for _ in range(6)]
        until(lambda: any("broker" in str(engine.trouble) for engine in world.alive()))
        assert world.finished(running).attempt == 1
        threading.Event().wait(10)
        for process in broker.family:
            process.resume()
        for job in waiting:
            ended = world.finished(job, RECOVERY_S)
            assert (ended.state, ended.attempt, ended.crashes) == (State.COMPLETED, 1, 0)
        until(lambda: all(engine.trouble is None for engine in world.alive()))
    finally:
        world.close()
        broker.remove()


def test_a_job_that_kills_its_whole_engine_is_quarantined_and_others_go_on(world: World) -> None:
    """Fault: a poison job takes down not only its process, but the engine above it, however often that is started."""
    with KeptRunning(world):
        poison, other = world.put(regicide), world.put(steps, count=20, pause_s=0.1)
        ended = world.finished(poison, 3 * RECOVERY_S)
        assert (ended.state, ended.attempt, ended.crashes) == (State.QUARANTINED, 3, 3)
        assert "was not heard of" in str(ended.error)
        assert world.finished(other).state is State.COMPLETED
