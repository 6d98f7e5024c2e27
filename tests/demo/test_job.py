import pytest

from tailrace.accounts import service as accounts
from tailrace.accounts.principal import Principal
from tailrace.database import Database
from tailrace.demo.jobs import BATCH, fill_project
from tailrace.demo.service import request_demo
from tailrace.errors import Forbidden
from tailrace.jobs import enqueue, get_job
from tailrace.jobs.testing import run_jobs
from tailrace.tasks import service as tasks
from tailrace.tasks.filters import TaskFilters


@pytest.fixture
def owner(database: Database) -> Principal:
    with database.write() as session:
        user = accounts.create_user(session, email="ada@site.test", name="Ada", password_hash="!", is_admin=True)
    return Principal(user.id, user.email, user.name, user.is_admin, "session")


def test_a_demo_project_is_there_at_once_and_filled_by_a_job(database: Database, owner: Principal) -> None:
    with database.write() as session:
        project, asked = request_demo(session, owner, tasks=BATCH + 300)
    ended = run_jobs(database, [fill_project])
    assert [(job.id, job.state, job.progress_done) for job in ended] == [(asked.id, "completed", BATCH + 300)]
    with database.read() as session:
        assert tasks.count_tasks(session, owner, TaskFilters(project=[project.id])) == BATCH + 300


def test_a_run_after_a_crash_adds_only_what_is_missing(database: Database, owner: Principal) -> None:
    with database.write() as session:
        project, asked = request_demo(session, owner, tasks=40)
        args = dict(asked.args)
    run_jobs(database, [fill_project])
    with database.write() as session:
        enqueue(session, fill_project, {**args, "tasks": 60})
    run_jobs(database, [fill_project])
    with database.read() as session:
        assert get_job(session, asked.id).state == "completed"
        assert tasks.count_tasks(session, owner, TaskFilters(project=[project.id])) == 60


def test_only_an_administrator_may_ask_for_one(database: Database, owner: Principal) -> None:
    member = Principal(owner.user_id, owner.email, owner.name, False, "session")
    with database.write() as session, pytest.raises(Forbidden):
        request_demo(session, member, tasks=10)
