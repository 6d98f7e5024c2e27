"""A job exists if and only if its cause was committed, and its state changes only as drawn."""

import json
from collections.abc import Sequence
from datetime import timedelta
from typing import Any

import pytest

from tailrace.database import Database, new_id, utcnow
from tailrace.jobs import (
    BadArguments,
    Job,
    LeaseLost,
    State,
    UnknownJob,
    WrongState,
    cancel_job,
    channel_of,
    count_jobs,
    enqueue,
    enqueue_many,
    get_job,
    list_jobs,
    retry_job,
    runs,
)
from tailrace.jobs.models import FINAL, SOURCES
from tailrace.streams import read_events
from tests.jobs.kinds_for_tests import flaky, hopeless, note, snooze, steps

pytestmark = pytest.mark.conformance("database", by="database")

NOTE = {"path": "unused", "line": "unused"}


def claim(database: Database, limit: int = 1, lease_s: float = 60) -> list[Job]:
    kinds = [kind.name for kind in (note, flaky, hopeless, snooze, steps)]
    with database.write() as session:
        return runs.claim(session, engine_id=new_id(), kinds=kinds, limit=limit, lease_s=lease_s)


def enqueued(database: Database, **options: Any) -> Job:
    with database.write() as session:
        return enqueue(session, note, NOTE, **options)


def found(database: Database, job: Job) -> Job:
    with database.read() as session:
        return get_job(session, job.id)


def states_told(database: Database, job: Job) -> Sequence[str]:
    with database.read() as session:
        events = read_events(session, channels=[channel_of(job.id)], after=None, limit=100)
    return [json.loads(event.data)["state"] for event in events if event.name == "state"]


def test_a_job_whose_transaction_rolls_back_was_never_there(database: Database) -> None:
    written: list[Job] = []

    def enqueue_and_fail() -> None:
        with database.write() as session:
            written.append(enqueue(session, note, NOTE))
            raise RuntimeError("the caller fails after enqueueing")

    with pytest.raises(RuntimeError):
        enqueue_and_fail()
    with database.read() as session, pytest.raises(UnknownJob):
        get_job(session, written[0].id)
    assert states_told(database, written[0]) == []


def test_arguments_are_checked_before_anything_is_written(database: Database) -> None:
    for wrong in (
        {},
        {"path": "a"},
        {**NOTE, "more": 1},
        {"path": object(), "line": ""},
        {**NOTE, "line": float("nan")},
    ):
        with database.write() as session, pytest.raises(BadArguments):
            enqueue(session, note, wrong)
    with database.read() as session:
        assert list_jobs(session) == []


def test_a_unique_key_allows_one_job_ever(database: Database) -> None:
    first = enqueued(database, unique_key="mail:7")
    assert enqueued(database, unique_key="mail:7").id == first.id
    with database.write() as session:
        runs.complete(session, [])
        cancel_job(session, first.id)
    assert enqueued(database, unique_key="mail:7").id == first.id


def test_claims_go_by_priority_then_by_age(database: Database) -> None:
    late, urgent, early = (enqueued(database, priority=p) for p in (50, 1, 50))
    order = [job.id for job in claim(database, limit=3)]
    assert order == [urgent.id, *sorted([late.id, early.id])]


def test_a_job_of_an_unknown_kind_is_left_for_an_engine_that_knows_it(database: Database) -> None:
    job = enqueued(database)
    with database.write() as session:
        assert runs.claim(session, engine_id=new_id(), kinds=["other"], limit=9, lease_s=60) == []
    assert found(database, job).state is State.AVAILABLE


def test_a_scheduled_job_waits_for_its_time(database: Database) -> None:
    job = enqueued(database, run_at=utcnow() + timedelta(hours=1))
    with database.write() as session:
        runs.promote_due(session)
        assert 0 < (runs.next_due_in_s(session) or 0) <= 3600
    assert job.state is State.SCHEDULED
    assert claim(database) == []


def test_a_run_that_lost_its_job_can_write_nothing(database: Database) -> None:
    job = enqueued(database)
    (stale,) = claim(database)
    with database.write() as session:
        runs.finish(session, (stale.id, stale.attempt), State.AVAILABLE)
    (fresh,) = claim(database)
    assert fresh.attempt == stale.attempt + 1
    old = (stale.id, stale.attempt)
    with database.write() as session:
        runs.complete(session, [old])
        assert not runs.finish(session, old, State.DISCARDED, error="late")
        runs.record_progress(session, old, 5, 10, "late")
        with pytest.raises(LeaseLost):
            runs.hold(session, old)
    now = found(database, job)
    assert (now.state, now.attempt, now.progress_done, now.error) == (State.RUNNING, 2, None, None)
    with database.write() as session:
        runs.complete(session, [(fresh.id, fresh.attempt)])
    assert found(database, job).state is State.COMPLETED


def test_every_change_of_state_is_told_in_order(database: Database) -> None:
    job = enqueued(database)
    (run,) = claim(database)
    with database.write() as session:
        runs.complete(session, [(run.id, run.attempt)])
    assert states_told(database, job) == ["available", "running", "completed"]


def test_a_waiting_job_is_cancelled_at_once_and_a_running_one_is_asked(database: Database) -> None:
    waiting, running = enqueued(database, priority=90), enqueued(database)
    (run,) = claim(database)
    assert run.id == running.id
    with database.write() as session:
        assert cancel_job(session, waiting.id).state is State.CANCELLED
        asked = cancel_job(session, running.id)
        assert asked.state is State.RUNNING
        assert asked.cancel_requested_at is not None
        with pytest.raises(WrongState):
            cancel_job(session, waiting.id)


def test_retry_gives_a_cancelled_job_all_its_attempts_again(database: Database) -> None:
    job = enqueued(database)
    with database.write() as session:
        cancel_job(session, job.id)
        again = retry_job(session, job.id)
    assert (again.state, again.failures, again.finished_at) == (State.AVAILABLE, 0, None)
    with database.write() as session, pytest.raises(WrongState):
        retry_job(session, job.id)


def test_a_failure_is_answered_once_for_each_time_it_happens(database: Database) -> None:
    with database.write() as session:
        job = enqueue(session, hopeless, owner="user:1")
        cancel_job(session, job.id)
        retry_job(session, job.id)
        cancel_job(session, job.id)
        answers = list_jobs(session, kinds=["tests.failed"])
    assert [answer.args["state"] for answer in answers] == ["cancelled", "cancelled"]
    assert {answer.owner for answer in answers} == {"user:1"}


def test_lists_are_paged_and_counts_are_grouped(database: Database) -> None:
    with database.write() as session:
        ids = enqueue_many(session, note, [NOTE] * 5, owner="user:1")
        enqueue(session, flaky)
    with database.read() as session:
        first = list_jobs(session, limit=4)
        rest = list_jobs(session, limit=4, after=first[-1].id)
        assert [job.id for job in first + rest] == sorted((job.id for job in first + rest), reverse=True)
        assert {job.id for job in list_jobs(session, owner="user:1", states=[State.AVAILABLE])} == set(ids)
        counted = {(count.kind, count.state, count.count) for count in count_jobs(session)}
    assert counted == {("tests.note", State.AVAILABLE, 5), ("tests.flaky", State.AVAILABLE, 1)}


def test_old_finished_jobs_are_pruned_and_no_others(database: Database) -> None:
    finished, waiting = enqueued(database), enqueued(database)
    with database.write() as session:
        cancel_job(session, finished.id)
        assert runs.prune(session, finished_before=utcnow() - timedelta(minutes=1)) == 0
        assert runs.prune(session, finished_before=utcnow() + timedelta(minutes=1)) == 1
    with database.read() as session:
        assert [job.id for job in list_jobs(session)] == [waiting.id]


def test_the_drawing_leads_out_of_no_final_state_but_by_retry() -> None:
    for to, sources in SOURCES.items():
        if to is not State.AVAILABLE:
            assert not sources & FINAL
    assert State.COMPLETED not in SOURCES[State.AVAILABLE]
    assert set(SOURCES) == set(State)
