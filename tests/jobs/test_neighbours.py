"""Whatever one job says, takes or holds, it costs those beside it nothing."""

import secrets
import threading
from collections.abc import Iterator
from pathlib import Path

import pytest
from sqlalchemy import text

from tailrace.database import Database, new_id
from tailrace.jobs import Job, JobKind, State, cancel_job, enqueue, enqueue_many, get_job, runs
from tailrace.jobs.engines.celery.outbox import Outbox
from tailrace.jobs.engines.celery.transport import Broker
from tailrace.jobs.engines.journal import Journal
from tailrace.jobs.worker import Ending, Outcome
from tests.brokers import redis_url
from tests.jobs.kinds_for_tests import UNSPEAKABLE, absorbed, flaky, note, slow_commit, uncountable, unspeakable
from tests.jobs.worlds import LEASE_S, World, open_database, until
from tests.services import postgres_url


@pytest.fixture(scope="module", params=["local on sqlite", "local on postgresql", "celery on postgresql"])
def world(request: pytest.FixtureRequest, tmp_path_factory: pytest.TempPathFactory) -> Iterator[World]:
    engine, _, base = request.param.split()
    on_sqlite = f"sqlite:///{tmp_path_factory.mktemp('jobs') / 'jobs.db'}"
    world = World(on_sqlite if base == "sqlite" else postgres_url(), redis_url() if engine == "celery" else None)
    world.start()
    yield world
    world.close()


@pytest.mark.parametrize("gives_up", [True, False])
def test_what_no_database_takes_is_said_otherwise(world: World, tmp_path: Path, gives_up: bool) -> None:
    job = world.put(unspeakable, hopeless=gives_up)
    beside = world.put(note, path=str(tmp_path / "notes"), line="x")
    told = world.finished(job)
    assert (told.state, told.attempt) == (State.DISCARDED, 1)
    assert "caf?.txt\N{REPLACEMENT CHARACTER}xxx" in (told.error or "")
    assert "caf?.txt" in (told.progress_note or "")
    assert len(told.error or "") <= 2000
    assert [line["message"][:3] for line in world.told(job, "log")][:1] == ["caf"]
    assert world.finished(beside).state is State.COMPLETED
    assert world.engines[0].exit_code is None


def test_who_counts_too_far_fails_alone(world: World, tmp_path: Path) -> None:
    job, beside = world.put(uncountable), world.put(note, path=str(tmp_path / "notes"), line="x")
    assert "63" in (world.finished(job).error or "") or "9223372036854775807" in (world.look(job).error or "")
    assert world.finished(beside).state is State.COMPLETED


def test_a_job_that_lets_no_other_thread_run_is_no_crash(world: World, tmp_path: Path) -> None:
    target = tmp_path / "notes"
    notes = [{"path": str(target), "line": "x"}] * 150
    with world.database.write() as session:
        # After hundreds of short ones, many are given to a worker ahead, and wanted back.
        enqueue_many(session, note, notes * 2)
        long = enqueue(session, absorbed, {"exponent": 20_000_000})
        enqueue_many(session, note, notes)
    until(lambda: target.exists() and target.read_text().count("\n") == 450, within_s=120)
    ended = world.finished(long, within_s=120)
    assert (ended.state, ended.crashes, ended.attempt) == (State.COMPLETED, 0, 1)


def test_an_open_transaction_of_a_job_stops_nobody(world: World, tmp_path: Path) -> None:
    if world.database.is_sqlite:
        pytest.skip("SQLite has one writer at a time")
    with world.database.write() as session:
        session.execute(text("CREATE TABLE IF NOT EXISTS deliveries (attempt INTEGER)"))
    job = world.begun(world.put(slow_commit, folder=str(tmp_path)))
    assert world.finished(world.put(note, path=str(tmp_path / "notes"), line="x")).state is State.COMPLETED
    threading.Event().wait(2 * LEASE_S)
    (tmp_path / "go").touch()
    ended = world.finished(job)
    assert (ended.state, ended.attempt, ended.crashes) == (State.COMPLETED, 1, 0)
    with world.database.read() as session:
        assert session.execute(text("SELECT attempt FROM deliveries")).scalars().all() == [1]


def claimed(database: Database, *kinds: JobKind) -> list[Job]:
    with database.write() as session:
        for kind in kinds:
            enqueue(session, kind, {"path": "", "line": ""} if kind is note else None)
        names = [kind.name for kind in kinds]
        return runs.claim(session, engine_id=new_id(), kinds=names, limit=len(kinds), lease_s=60)


def test_an_end_that_cannot_be_written_keeps_no_other_from_being_written(database: Database) -> None:
    one, other = claimed(database, flaky, flaky)
    journal = Journal()
    journal.end(one, Outcome(Ending.HOPELESS, UNSPEAKABLE))
    journal.end(other, Outcome(Ending.COMPLETED))
    with pytest.raises(Exception, match=r"surrogates|NUL"), database.write() as session:
        journal.write(session)
    journal.write_one_by_one(database)
    with database.read() as session:
        ended = [get_job(session, each.id) for each in (one, other)]
    assert [job.state for job in ended] == [State.DISCARDED, State.COMPLETED]
    assert "cannot be written" in (ended[0].error or "")


@pytest.mark.parametrize("to", [State.RETRYABLE, State.AVAILABLE, State.SCHEDULED])
def test_a_job_that_is_cancelled_while_its_run_ends_stays_so(database: Database, to: State) -> None:
    (job,) = claimed(database, flaky)

    def cancel() -> None:
        with database.write() as session:
            cancel_job(session, job.id)

    cancelling = threading.Thread(target=cancel)
    with database.write() as session:
        runs.finish(session, (job.id, job.attempt), to)
        cancelling.start()
        cancelling.join(0.5)
    cancelling.join()
    with database.read() as session:
        assert get_job(session, job.id).state is State.CANCELLED


def test_a_run_that_fails_after_it_was_asked_to_stop_is_not_tried_again(database: Database) -> None:
    (job,) = claimed(database, flaky)
    with database.write() as session:
        assert cancel_job(session, job.id).state is State.RUNNING
        assert runs.finish(session, (job.id, job.attempt), State.RETRYABLE, error="the weather")
        assert get_job(session, job.id).state is State.CANCELLED


def test_a_run_that_is_about_to_commit_is_not_rescued(database: Database) -> None:
    if database.is_sqlite:
        pytest.skip("SQLite has one writer at a time")
    with database.write() as session:
        enqueue(session, flaky)
        (job,) = runs.claim(session, engine_id=new_id(), kinds=[flaky.name], limit=1, lease_s=-1)
    with database.write() as committing:
        runs.hold(committing, (job.id, job.attempt))
        with database.write() as leading:
            assert runs.expired_runs(leading) == []
    with database.write() as leading:
        assert [each.id for each in runs.expired_runs(leading)] == [job.id]


def test_an_outbox_that_meets_what_nobody_foresaw_goes_on() -> None:
    database = open_database(postgres_url())
    with database.write() as session:
        enqueue(session, flaky)
    # No such transport exists, which is told by no error of brokers.
    outbox = Outbox(database, Broker("nosuch://host", prefix=secrets.token_hex(4)), ["default"], [flaky.name])
    outbox.open()
    until(lambda: outbox.trouble)
    outbox.trouble = None
    until(lambda: outbox.trouble)
    outbox.stop()
    outbox.join(10)
    database.dispose()
