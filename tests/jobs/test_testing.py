"""`run_jobs` does in one process what an engine does with many."""

from pathlib import Path

from tailrace.database import Database
from tailrace.jobs import State, enqueue
from tailrace.jobs.testing import run_jobs
from tests.jobs.kinds_for_tests import KINDS, hopeless, note, snooze, steps


def test_due_jobs_and_those_they_cause_are_run(database: Database, tmp_path: Path) -> None:
    target = tmp_path / "notes"
    with database.write() as session:
        enqueue(session, note, {"path": str(target), "line": "b"})
        enqueue(session, note, {"path": str(target), "line": "a"}, priority=1)
        enqueue(session, hopeless)
        enqueue(session, snooze, {"delay_s": 60})
        enqueue(session, steps, {"count": 3, "pause_s": 0})
    ended = {(job.kind, job.state, job.progress_done) for job in run_jobs(database, KINDS)}
    assert target.read_text() == "a\nb\n"
    assert ended == {
        ("tests.note", State.COMPLETED, None),
        ("tests.hopeless", State.DISCARDED, None),
        ("tests.failed", State.COMPLETED, None),
        ("tests.snooze", State.SCHEDULED, None),
        ("tests.steps", State.COMPLETED, 3),
    }
