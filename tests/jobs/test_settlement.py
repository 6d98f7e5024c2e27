"""What the end of a run means for its job: retries, crashes, interruptions, and who is to blame."""

import pytest

from tailrace.database import Database, new_id
from tailrace.jobs import Job, State, enqueue, get_job, runs
from tailrace.jobs.settlement import EndedRun, backoff_s, settle
from tailrace.jobs.worker import Ending, Outcome
from tests.jobs.kinds_for_tests import flaky


def run_once(database: Database, outcome: Outcome) -> Job:
    """Claim the only job, whatever it waits for, end the run so, and return the job."""
    with database.write() as session:
        claimed = runs.claim(session, engine_id=new_id(), kinds=["tests.flaky"], limit=1, lease_s=60)
        settle(session, [EndedRun(job, outcome) for job in claimed])
        return get_job(session, claimed[0].id)


def make_available(database: Database, job: Job) -> None:
    from tailrace.jobs import retry_job

    failures = job.failures
    with database.write() as session:
        retry_job(session, job.id)
        session.connection().exec_driver_sql(f"UPDATE jobs SET failures = {failures}")


@pytest.fixture
def job(database: Database) -> Job:
    with database.write() as session:
        return enqueue(session, flaky)


def test_a_failure_is_retried_until_the_attempts_are_used_up(database: Database, job: Job) -> None:
    for failures in (1, 2):
        retryable = run_once(database, Outcome(Ending.FAILED, "no"))
        assert (retryable.state, retryable.failures, retryable.error) == (State.RETRYABLE, failures, "no")
        assert retryable.run_at > job.run_at
        make_available(database, retryable)
    assert run_once(database, Outcome(Ending.FAILED, "still no")).state is State.DISCARDED


def test_a_hopeless_job_is_not_retried(database: Database, job: Job) -> None:
    ended = run_once(database, Outcome(Ending.HOPELESS, "There is no such street."))
    assert (ended.state, ended.error) == (State.DISCARDED, "There is no such street.")


def test_the_third_crash_quarantines_and_no_crash_costs_an_attempt(database: Database, job: Job) -> None:
    states = [run_once(database, Outcome(Ending.CRASHED, "gone")) for _ in range(3)]
    assert [(job.state, job.crashes, job.failures) for job in states] == [
        (State.AVAILABLE, 1, 0),
        (State.AVAILABLE, 2, 0),
        (State.QUARANTINED, 3, 0),
    ]


def test_an_interruption_costs_nothing_however_often(database: Database, job: Job) -> None:
    for attempt in range(1, 20):
        back = run_once(database, Outcome(Ending.INTERRUPTED))
        assert (back.state, back.attempt, back.failures, back.crashes) == (State.AVAILABLE, attempt, 0, 0)


def test_a_snoozed_job_is_scheduled_and_has_not_failed(database: Database, job: Job) -> None:
    later = run_once(database, Outcome(Ending.SNOOZED, delay_s=60))
    assert (later.state, later.failures) == (State.SCHEDULED, 0)
    assert 59 < (later.run_at - job.run_at).total_seconds() < 90


def test_backoff_doubles_up_to_a_quarter_of_an_hour() -> None:
    for failures, expected in ((1, 2), (2, 4), (8, 256), (10, 900), (5000, 900)):
        assert expected * 0.9 <= backoff_s(failures) <= expected * 1.1
