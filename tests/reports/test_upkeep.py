"""The hourly upkeep removes what nobody can want, and nothing else."""

import os
import signal
import subprocess
import sys
from concurrent.futures import ThreadPoolExecutor
from datetime import timedelta
from pathlib import Path
from threading import Barrier

import pytest
from sqlalchemy import update

from tailrace.database import utcnow
from tailrace.errors import Conflict
from tailrace.jobs import State, cancel_job, enqueue, get_job, retry_job
from tailrace.jobs.maintenance import prune_finished
from tailrace.jobs.testing import run_jobs
from tailrace.reports import jobs, service
from tailrace.reports.models import Report
from tailrace.reports.schemas import ReportState
from tailrace.storage import LocalStorage
from tests.reports.conftest import JOBS, AddKind, World


def make_ready(world: World) -> str:
    report_id = world.ask()
    world.run()
    return report_id


def keep_up(world: World) -> None:
    with world.database.write() as session:
        enqueue(session, jobs.expire_reports)
    assert [job.state for job in world.run()] == [State.COMPLETED]


def put(world: World, key: str) -> None:
    with world.resources.storage.write(key) as writer:
        writer.write(b"left over")


def test_two_clicks_on_an_expired_report_make_one_new_until_that_has_expired_too(world: World) -> None:
    expired = make_ready(world)
    together = Barrier(2)

    def click(_number: int) -> str:
        together.wait()
        with world.database.write() as session:
            return service.repeat_report(session, world.ann, expired)

    with world.database.write() as session:
        session.execute(update(Report).values(expires_at=utcnow() - timedelta(seconds=1)))
    with ThreadPoolExecutor(2) as pool:
        first, second = pool.map(click, range(2))
    assert first == second != expired
    world.run()
    with pytest.raises(Conflict, match="the new one is ready"), world.database.write() as session:
        service.repeat_report(session, world.ann, expired)
    with world.database.write() as session:
        session.execute(update(Report).values(expires_at=utcnow() - timedelta(seconds=1)))
    with ThreadPoolExecutor(2) as pool:
        third, fourth = pool.map(click, range(2))
    assert third == fourth not in {expired, first}


def test_files_go_when_they_expire_and_their_reports_stay(world: World) -> None:
    expired, kept = make_ready(world), make_ready(world)
    with world.database.write() as session:
        past = utcnow() - timedelta(seconds=1)
        session.execute(update(Report).where(Report.id == expired).values(expires_at=past))
    keep_up(world)
    assert list(world.resources.storage.keys()) == [f"reports/{kept}/1.csv"]
    assert world.look(expired).state is ReportState.EXPIRED
    assert world.look(kept).state is ReportState.READY


def test_a_file_lasts_for_the_days_that_are_set(world: World) -> None:
    world.resources.report_days = 3
    report = world.look(make_ready(world))
    assert report.expires_at is not None
    assert report.ready_at is not None
    assert report.expires_at - report.ready_at == timedelta(days=3)


def test_files_that_no_report_knows_go(world: World) -> None:
    ready = make_ready(world)
    put(world, "reports/unknown/1.csv")
    put(world, f"reports/{ready}/7.csv")
    put(world, "photos/of/others")
    keep_up(world)
    assert sorted(world.resources.storage.keys()) == ["photos/of/others", f"reports/{ready}/1.csv"]


def test_the_file_of_a_report_that_is_being_made_stays(world: World) -> None:
    waiting = world.ask()
    put(world, f"reports/{waiting}/1.csv")
    with world.database.write() as session:
        enqueue(session, jobs.expire_reports, priority=1)
    world.run()
    assert world.look(waiting).state is ReportState.READY
    assert world.resources.storage.exists(f"reports/{waiting}/1.csv")


def test_interrupted_writes_are_swept(world: World) -> None:
    storage = world.resources.storage
    assert isinstance(storage, LocalStorage)
    storage.check()
    left = storage.folder / ".incoming" / "left"
    left.write_bytes(b"half")
    os.utime(left, (0, 0))
    keep_up(world)
    assert not left.exists()


def test_what_a_killed_worker_left_of_a_spreadsheet_goes(
    world: World, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    temporary = tmp_path / "temporary"
    temporary.mkdir()
    make_spreadsheet = (
        "import itertools, os, signal\n"
        "from tailrace.reports.spreadsheet import write_spreadsheet\n"
        "from tailrace.streams import Chunk\n"
        "rows = itertools.repeat(Chunk(b'{\"a\": 1}\\n', 1))\n"
        "kill = lambda done: os.kill(os.getpid(), signal.SIGKILL)\n"
        "write_spreadsheet(rows, ['a'], write=print, on_rows=kill)\n"
    )
    for _ in range(2):
        done = subprocess.run([sys.executable, "-c", make_spreadsheet], env={"TMPDIR": str(temporary)}, check=False)
        assert done.returncode == -signal.SIGKILL
    old, young = temporary.iterdir()
    anothers = temporary / "another"
    anothers.mkdir()
    for folder in (old, anothers):
        os.utime(folder, (0, 0))
    monkeypatch.setattr("tempfile.tempdir", str(temporary))
    keep_up(world)
    assert sorted(temporary.iterdir()) == sorted([young, anothers])


TOLD = {State.CANCELLED: (ReportState.CANCELLED, True), State.DISCARDED: (ReportState.FAILED, False)}
FATES = [(State.CANCELLED, State.DISCARDED), (State.DISCARDED, State.CANCELLED)]


@pytest.mark.parametrize("fates", FATES)
def test_a_report_whose_job_ended_twice_tells_of_the_last_end(
    world: World, add_kind: AddKind, fates: tuple[State, State]
) -> None:
    add_kind("many", count=lambda *_: 2_000_000)
    report_id = world.ask(kind="many", format="xlsx")
    for fate in fates:
        end(world, report_id, fate)
        assert told(world, report_id) == TOLD[fate]
        run_jobs(world.database, JOBS, world.resources)
        assert told(world, report_id) == TOLD[fate]
    with world.database.write() as session:
        assert prune_finished(session, keep=timedelta(0)) > 0
    assert told(world, report_id) == TOLD[fates[-1]]


def end(world: World, report_id: str, fate: State) -> None:
    """Have the report's job end so, taken up again if it had ended before; nobody has noted it on the report yet."""
    job_id = world.look(report_id).job
    with world.database.write() as session:
        if get_job(session, job_id).finished:
            retry_job(session, job_id)
        if fate is State.CANCELLED:
            cancel_job(session, job_id)
    run_jobs(world.database, [jobs.build_report], world.resources)


def told(world: World, report_id: str) -> tuple[ReportState, bool]:
    """Return the state that the report shows, and whether it gives no reason."""
    report = world.look(report_id)
    return report.state, report.error is None
