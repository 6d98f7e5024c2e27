"""Upkeep: ticks once each, rescue of what is lost, pruning of what is old."""

from datetime import UTC, datetime, timedelta

from tailrace.database import Database, new_id
from tailrace.jobs import JobContext, State, enqueue, get_job, job, list_jobs, maintenance, runs
from tests.jobs.kinds_for_tests import flaky

NOON = datetime(2026, 3, 1, 12, 0, 5, tzinfo=UTC)


@job("tests.hourly", schedule="0 * * * *")
def hourly(ctx: JobContext[None]) -> None:
    """Stand for upkeep."""


@job("tests.daily", schedule="0 3 * * *")
def daily(ctx: JobContext[None]) -> None:
    """Stand for upkeep at night."""


def test_a_tick_is_enqueued_once_however_many_look_at_the_clock(database: Database) -> None:
    for seconds in (0, 1, 30):
        with database.write() as session:
            maintenance.enqueue_ticks(session, [hourly], now=NOON + timedelta(seconds=seconds))
    with database.write() as session:
        maintenance.enqueue_ticks(session, [hourly], now=NOON + timedelta(hours=1))
    with database.read() as session:
        keys = [tick.unique_key for tick in list_jobs(session)]
    assert sorted(map(str, keys)) == ["tick:tests.hourly:2026-03-01T12:00Z", "tick:tests.hourly:2026-03-01T13:00Z"]


def test_a_tick_missed_by_hours_is_left_out(database: Database) -> None:
    with database.write() as session:
        maintenance.enqueue_ticks(session, [daily], now=NOON)
        assert list_jobs(session) == []


def test_the_next_tick_is_the_earliest_of_all() -> None:
    assert maintenance.next_tick([hourly, daily, flaky], NOON) == datetime(2026, 3, 1, 13, tzinfo=UTC)
    assert maintenance.next_tick([flaky], NOON) is None


def test_a_run_whose_lease_ended_is_rescued_as_a_crash(database: Database) -> None:
    with database.write() as session:
        job_id = enqueue(session, flaky).id
        runs.claim(session, engine_id=new_id(), kinds=["tests.flaky"], limit=1, lease_s=-1)
    with database.write() as session:
        assert maintenance.rescue_expired(session) == 1
        rescued = get_job(session, job_id)
    assert (rescued.state, rescued.crashes, rescued.failures) == (State.AVAILABLE, 1, 0)


def test_a_run_within_its_lease_is_left_alone_however_long_it_takes(database: Database) -> None:
    with database.write() as session:
        enqueue(session, flaky)
        runs.claim(session, engine_id="this", kinds=["tests.flaky"], limit=1, lease_s=-1)
        runs.extend_leases(session, "this", 30)
        assert maintenance.rescue_expired(session) == 0
        assert maintenance.take_back_from_others(session, "this") == 0


def test_the_sole_engine_takes_back_what_others_left(database: Database) -> None:
    with database.write() as session:
        job_id = enqueue(session, flaky).id
        runs.claim(session, engine_id="gone", kinds=["tests.flaky"], limit=1, lease_s=60)
        assert maintenance.take_back_from_others(session, "this") == 1
        back = get_job(session, job_id)
    assert (back.state, back.crashes, back.failures, back.attempt) == (State.AVAILABLE, 0, 0, 1)
