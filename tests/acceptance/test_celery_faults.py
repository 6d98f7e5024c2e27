"""Whatever fails around the Celery engine, nothing is lost, nothing is completed twice, and the job tells of it.

Real processes on PostgreSQL, Redis and RabbitMQ; each test names its fault. A killed worker process, a killed engine
and a poison job, which is quarantined after three crashes while others go on, are in
`tests/jobs/test_engine_conformance.py`, for every engine; a killed API is in `tests/deploy/test_one_machine.py`, and
broken links between machines are in `test_two_hosts.py`.
"""

import os
import signal
import threading
import time
from collections import Counter
from collections.abc import Callable, Iterator
from datetime import datetime
from functools import partial
from pathlib import Path

import pytest
from kombu.connection import Connection
from sqlalchemy import make_url, text

from tailrace.jobs import Job, State, enqueue, enqueue_many
from tailrace.jobs.engines.celery.transport import Broker, Unconfirmed
from tests.brokers import RabbitMQServer, RedisServer, rabbitmq_url, redis_url
from tests.cuttable import Cable
from tests.jobs.kinds_for_tests import flaky, late, note, snooze, span, steps
from tests.jobs.worlds import World, until
from tests.services import PostgresServer, postgres_url

pytestmark = pytest.mark.acceptance
RECOVERY_S = 45
#: So many jobs that a test may be late by seconds in stopping something while they run.
MANY = 2000
CLOCK = str(Path(__file__).parents[1] / "jobs" / "clock")


@pytest.fixture
def worlds() -> Iterator[Callable[..., World]]:
    """Give a function that makes worlds, which end with the test."""
    made: list[World] = []

    def make(url: str | None = None, broker: str | None = None) -> World:
        made.append(World(url or postgres_url(), broker or redis_url()))
        return made[-1]

    yield make
    for world in made:
        world.close()


@pytest.mark.parametrize(
    "make_broker",
    [RedisServer, partial(RedisServer, persistent=True), RabbitMQServer],
    ids=["redis that forgets", "redis that persists", "rabbitmq"],
)
def test_a_killed_broker_costs_no_job(
    worlds: Callable[..., World], tmp_path: Path, make_broker: Callable[[], RedisServer | RabbitMQServer]
) -> None:
    """Fault: kill -9 of the broker, with jobs that run, jobs whose messages it holds, and one that it never got."""
    broker = make_broker()
    try:
        world = worlds(broker=broker.start())
        world.start()
        running = [world.begun(world.put(span, path=str(tmp_path / "spans"), seconds=4)) for _ in range(2)]
        waiting = [world.put(span, path=str(tmp_path / "spans"), seconds=0.1) for _ in range(6)]
        broker.kill()
        until(lambda: any("broker" in str(engine.trouble) for engine in world.alive()))
        later = world.put(span, path=str(tmp_path / "spans"), seconds=0.1)
        broker.start()
        deadline = time.monotonic() + RECOVERY_S
        for job in (*running, *waiting, later):
            ended = world.finished(job, deadline - time.monotonic())
            assert (ended.state, ended.attempt, ended.crashes) == (State.COMPLETED, 1, 0)
        assert set(_lines(tmp_path / "spans").values()) == {1}
        until(lambda: all(engine.trouble is None for engine in world.alive()))
    finally:
        broker.remove()


def test_a_queue_that_a_killed_rabbitmq_left_without_a_leader_is_made_anew(
    worlds: Callable[..., World], tmp_path: Path
) -> None:
    """Fault: kill -9 of RabbitMQ in the half second before it has written down which queue it made."""
    broker = RabbitMQServer()
    try:
        world = worlds(broker=broker.start())
        _publish(world, "before")
        broker.kill()
        broker.start()
        with pytest.raises(Unconfirmed):
            _publish(world, "after")
        world.start()
        jobs = [world.put(span, path=str(tmp_path / "spans"), seconds=0.1) for _ in range(6)]
        deadline = time.monotonic() + RECOVERY_S
        for job in jobs:
            ended = world.finished(job, deadline - time.monotonic())
            assert (ended.state, ended.attempt, ended.crashes) == (State.COMPLETED, 1, 0)
        until(lambda: all(engine.trouble is None for engine in world.alive()))
    finally:
        broker.remove()


def test_a_queue_without_a_leader_in_which_nothing_waits_holds_up_no_other(worlds: Callable[..., World]) -> None:
    """Fault: the same, of one of two queues that an engine listens to; there are jobs in the other."""
    broker = RabbitMQServer()
    try:
        world = worlds(broker=broker.start())
        _publish(world, "before")
        threading.Event().wait(2)  # By then the first queue is written down.
        _publish(world, "before", queue="other")
        broker.kill()
        broker.start()
        world.start("--queues", "default,other")
        job = world.put(steps, count=1, pause_s=0)
        until(lambda: any("none is delivered" in str(engine.trouble) for engine in world.alive()))
        ended = world.finished(job, RECOVERY_S)
        assert (ended.state, ended.attempt, ended.crashes) == (State.COMPLETED, 1, 0)
        until(lambda: all(engine.trouble is None for engine in world.alive()))
    finally:
        broker.remove()


def test_a_queue_that_the_broker_refuses_holds_up_no_other(worlds: Callable[..., World]) -> None:
    """Fault: somebody else's queue, of another type, bears the name of one of ours."""
    world = worlds(broker=rabbitmq_url())
    name = f"{world.prefix}.other"
    with Connection(rabbitmq_url()) as connection:  # type: ignore[no-untyped-call]  # it has no types
        connection.default_channel.queue_declare(name, durable=True, auto_delete=False)
        world.start("--queues", "default")
        with world.database.write() as session:
            refused = enqueue(session, steps, {"count": 1, "pause_s": 0}, queue="other")
        until(lambda: any("other" in str(engine.trouble) for engine in world.alive()))
        for _ in range(3):
            assert world.finished(world.put(steps, count=1, pause_s=0), 10).state is State.COMPLETED
        assert world.look(refused).state is State.AVAILABLE
        connection.default_channel.queue_delete(name)
    until(lambda: all(engine.trouble is None for engine in world.alive()))


def _publish(world: World, job_id: str, queue: str = "default") -> None:
    assert world.broker is not None
    broker = Broker(world.broker, prefix=world.prefix)
    try:
        broker.publish([(job_id, 0)], queue)
    finally:
        broker.close()


def test_a_killed_database_in_the_middle_of_claims_costs_no_job(worlds: Callable[..., World], tmp_path: Path) -> None:
    """Fault: kill -9 of PostgreSQL, every process of it, twice while thousands of jobs are claimed and completed."""
    postgres = PostgresServer()
    try:
        world = worlds(url=make_url(postgres.start()).set(drivername="postgresql+psycopg").render_as_string())
        world.start("--lease", "20")
        world.start("--lease", "20")
        target = tmp_path / "notes"
        with world.database.write() as session:
            enqueue_many(session, note, ({"path": str(target), "line": str(n)} for n in range(MANY)))
        for done in (50, 300):
            until(partial(_has_lines, target, done))
            postgres.kill()
            world.database.dispose()
            assert target.read_text().count("\n") < MANY, "it was killed in the middle"
            postgres.start()
        until(lambda: _states(world) == {"completed": MANY}, RECOVERY_S)
        # Each ran once, and its row and its events say so.
        assert _lines(target) == {str(n): 1 for n in range(MANY)}
        assert _sum(world, "crashes") == _sum(world, "failures") == 0
        assert _times_completed(world) == {1: MANY}
        world.close()
    finally:
        postgres.remove()


def test_an_engine_stops_within_ten_seconds_when_the_database_is_gone(
    worlds: Callable[..., World], tmp_path: Path
) -> None:
    """Fault: SIGTERM to a machine whose PostgreSQL was killed."""
    postgres = PostgresServer()
    try:
        world = worlds(url=make_url(postgres.start()).set(drivername="postgresql+psycopg").render_as_string())
        engine = world.start(workers=1)
        world.begun(world.put(span, path=str(tmp_path / "spans"), seconds=60))
        postgres.stop(signal.SIGKILL)
        engine.stop(within_s=15)
        assert engine.exit_code == 0
    finally:
        postgres.remove()


def test_an_engine_cut_off_from_the_database_can_write_nothing_when_it_is_back(
    worlds: Callable[..., World], tmp_path: Path
) -> None:
    """Fault: a machine is cut off from the database for longer than its lease, works on, and comes back."""
    world = worlds()
    with world.database.write() as session:
        session.execute(text("CREATE TABLE deliveries (attempt INTEGER)"))
    with Cable(make_url(world.url)) as cable:
        # The first leads, so the lead goes over to the other engine too.
        cut_off = world.start(TESTS_JOBS_DATABASE=cable.url)
        job = world.begun(world.put(late, folder=str(tmp_path)))
        world.start()
        until(lambda: len(world.alive()) == 2)
        cable.cut()
        ended = world.finished(job, RECOVERY_S)
        (tmp_path / "go").touch()
        cable.heal()
        until((tmp_path / "refused").exists)
        _check_takeover(world, ended)
        assert world.finished(world.put(steps, count=1, pause_s=0)).state is State.COMPLETED
        cut_off.stop()
        assert cut_off.exit_code == 0


def test_a_message_that_is_delivered_often_runs_its_job_once(worlds: Callable[..., World], tmp_path: Path) -> None:
    """Fault: the broker delivers a message again, before, while and after its job runs."""
    world = worlds()
    world.start()
    world.start()
    until(lambda: len(world.alive()) == 2)
    broker = Broker(redis_url(), prefix=world.prefix)
    job = world.put(span, path=str(tmp_path / "spans"), seconds=1)
    broker.publish([(job.id, 0)] * 20, "default")
    world.begun(job)
    broker.publish([(job.id, 0), (job.id, 1)] * 5, "default")
    ended = world.finished(job)
    broker.publish([(job.id, 0), (job.id, 1)] * 5, "default")
    until(lambda: broker.count_waiting("default") == 0)
    assert world.finished(world.put(steps, count=1, pause_s=0)).state is State.COMPLETED
    assert world.look(job) == ended
    assert (ended.state, ended.attempt) == (State.COMPLETED, 1)
    assert _lines(tmp_path / "spans") == {f"{job.id} begins 1": 1, f"{job.id} ends 1": 1}
    broker.close()


def test_clocks_that_are_an_hour_off_steal_nothing_and_delay_nothing(worlds: Callable[..., World]) -> None:
    """Fault: one machine's clock is an hour fast, another's an hour slow."""
    world = worlds()
    # The first leads: it rescues and promotes, by the database's clock.
    world.start(workers=1, TESTS_CLOCK_OFFSET_S="3600", PYTHONPATH=CLOCK)
    until(lambda: any(engine.leads for engine in world.alive()))
    world.start(workers=1, TESTS_CLOCK_OFFSET_S="-3600", PYTHONPATH=CLOCK)
    until(lambda: len(world.alive()) == 2)
    # Twice as long as a claim lasts unheard of, one on each engine.
    running = [world.put(steps, count=60, pause_s=0.1) for _ in range(2)]
    ended = [world.finished(job) for job in running]
    assert {(job.state, job.attempt, job.crashes) for job in ended} == {(State.COMPLETED, 1, 0)}
    assert sorted(round(_hours_off(world, job)) for job in ended) == [-1, 1]
    failing, snoozing = world.put(flaky), world.put(snooze, delay_s=0.5)
    until(lambda: world.look(snoozing).attempt >= 3)
    assert world.finished(failing).state is State.DISCARDED


def test_when_the_leader_is_killed_another_engine_leads_within_ten_seconds(worlds: Callable[..., World]) -> None:
    """Fault: kill -9 of the engine that publishes."""
    world = worlds()
    first = world.start(workers=1)
    until(lambda: [engine.leads for engine in world.alive()] == [True])
    world.start(workers=1)
    until(lambda: len(world.alive()) == 2)
    os.kill(first.pid, signal.SIGKILL)
    until(lambda: any(engine.leads and engine.pid != first.pid for engine in world.alive()), within_s=10)
    assert world.finished(world.put(steps, count=1, pause_s=0), 10).state is State.COMPLETED


def test_jobs_run_once_each_while_one_of_two_engines_is_killed(worlds: Callable[..., World], tmp_path: Path) -> None:
    """Fault: kill -9 of one of two engines, with jobs of its own in all states."""
    world = worlds()
    doomed = world.start()
    world.start()
    until(lambda: len(world.alive()) == 2)
    target = tmp_path / "spans"
    jobs = [world.put(span, path=str(target), seconds=0.3) for _ in range(24)]
    until(lambda: target.exists() and target.read_text().count("ends") >= 4)
    os.kill(doomed.pid, signal.SIGKILL)
    ended = [world.finished(job, RECOVERY_S) for job in jobs]
    assert {job.state for job in ended} == {State.COMPLETED}
    lines = _lines(target)
    for job in ended:
        states = [(fact["state"], fact["error"]) for fact in world.told(job, "state")]
        assert [state for state, _ in states].count("completed") == 1
        # A run that was lost may have been claimed and not begun.
        assert all(lines[f"{job.id} begins {n}"] <= 1 for n in range(1, job.attempt))
        assert lines[f"{job.id} begins {job.attempt}"] == 1
        # What was lost with the engine is told on the job: a crash, its reason, and the next attempt.
        assert (job.attempt, job.crashes) in {(1, 0), (2, 1)}
        unheard = [error for state, error in states if state == "available" and "was not heard of" in str(error)]
        assert job.crashes == len(unheard)


def test_the_jobs_of_a_lost_machine_are_taken_over_with_the_lease_that_is_real(
    worlds: Callable[..., World], tmp_path: Path
) -> None:
    """Fault: kill -9 of a whole machine, the one that leads. Slow, for nothing is shortened: its leases last 30 s."""
    world = worlds()
    lost = world.start("--lease", "30")
    until(lambda: any(engine.leads for engine in world.alive()))
    doomed = [world.begun(world.put(late, folder=str(tmp_path))) for _ in range(2)]
    world.start("--lease", "30")
    until(lambda: len(world.alive()) == 2)
    with world.database.write() as session:
        session.execute(text("CREATE TABLE deliveries (attempt INTEGER)"))
    os.kill(lost.pid, signal.SIGKILL)
    deadline = time.monotonic() + RECOVERY_S
    # Others go on meanwhile.
    assert world.finished(world.put(steps, count=1, pause_s=0)).state is State.COMPLETED
    for job in doomed:
        ended = world.finished(job, deadline - time.monotonic())
        assert (ended.state, ended.attempt, ended.crashes) == (State.COMPLETED, 2, 1)
        assert "was not heard of" in world.told(job, "state")[2]["error"]
    with world.database.read() as session:
        assert session.execute(text("SELECT attempt FROM deliveries")).scalars().all() == [2, 2]


def _check_takeover(world: World, ended: Job) -> None:
    threading.Event().wait(2)
    now = world.look(ended)
    assert (now.state, now.attempt, now.crashes) == (State.COMPLETED, 2, 1)
    assert now.finished_at == ended.finished_at
    told = world.told(now, "state")
    assert [fact["state"] for fact in told] == ["available", "running", "available", "running", "completed"]
    assert "was not heard of" in told[2]["error"]
    with world.database.read() as session:
        assert session.execute(text("SELECT attempt FROM deliveries")).scalars().all() == [2]


def _hours_off(world: World, job: Job) -> float:
    """Return by how much the clock of the process that ran a job was wrong, by what it logged."""
    logged = datetime.fromisoformat(world.told(job, "log")[0]["at"])
    assert job.started_at is not None
    return (logged - job.started_at).total_seconds() / 3600


def _lines(path: Path) -> Counter[str]:
    return Counter(path.read_text().splitlines())


def _states(world: World) -> dict[str, int]:
    with world.database.read() as session:
        rows = session.execute(text("SELECT state, count(*) FROM jobs GROUP BY state"))
        return {row[0]: row[1] for row in rows}


def _has_lines(path: Path, count: int) -> bool:
    return path.exists() and path.read_text().count("\n") > count


def _times_completed(world: World) -> Counter[int]:
    """Return how many jobs told so many times that they were completed."""
    query = "SELECT count(*) FROM events WHERE name = 'state' AND data LIKE :what GROUP BY channel"
    with world.database.read() as session:
        return Counter(session.execute(text(query), {"what": '%"state":"completed"%'}).scalars())


def _sum(world: World, column: str) -> int:
    with world.database.read() as session:
        return int(session.execute(text(f"SELECT sum({column}) FROM jobs")).scalar_one())
