from datetime import date

import pytest
from sqlalchemy import text

from tailrace.accounts import service as accounts
from tailrace.accounts.principal import Principal
from tailrace.database import Database, utcnow
from tailrace.demo.filling import BATCH, choose_owner, fill
from tailrace.errors import Conflict, NotFound
from tailrace.tasks import service as tasks
from tailrace.tasks.filters import TaskFilters, TaskListQuery


@pytest.fixture
def owner(database: Database) -> Principal:
    with database.write() as session:
        accounts.create_user(session, email="ada@site.test", name="Ada", password_hash="!", is_admin=True)
    with database.read() as session:
        return choose_owner(session, None)


def count(database: Database, table: str) -> int:
    with database.read() as session:
        return int(session.scalar(text(f"SELECT count(*) FROM {table}")) or 0)


def test_a_project_is_filled_with_work_that_can_be_found(database: Database, owner: Principal) -> None:
    told: list[int] = []
    project = fill(database, owner, tasks=BATCH + 500, on_progress=told.append, seed=1)
    assert told == [BATCH, BATCH + 500]
    assert count(database, "tasks") == count(database, "task_activity") == BATCH + 500
    for table in ("task_labels", "task_comments", "checklist_items"):
        assert count(database, table) > 100
    with database.read() as session:
        assert tasks.count_tasks(session, owner, TaskFilters(project=[project.id], q="window sill")) > 50
        page = tasks.list_tasks(session, owner, TaskListQuery(label=["facade"], limit=200))
        shown = [tasks.get_task(session, owner, task.id) for task in page.items[:20]]
    assert all("facade" in task.labels for task in page.items)
    assert [task.created_at for task in page.items] == sorted((task.created_at for task in page.items), reverse=True)
    assert all(task.created_at <= task.updated_at for task in shown)


def test_what_is_open_is_due_around_today(database: Database, owner: Principal) -> None:
    fill(database, owner, tasks=2000, on_progress=lambda _: None, seed=1)
    query = "SELECT due FROM tasks WHERE status IN ('todo', 'doing', 'blocked') AND due IS NOT NULL"
    with database.read() as session:
        away = [(date.fromisoformat(due) - utcnow().date()).days for due in session.scalars(text(query))]
    assert 0.05 < sum(days < 0 for days in away) / len(away) < 0.25
    assert sum(0 <= days <= 7 for days in away) / len(away) > 0.08
    assert -10 <= min(away) < max(away) <= 60


def test_the_search_agrees_with_the_tasks(database: Database, owner: Principal) -> None:
    fill(database, owner, tasks=300, on_progress=lambda _: None)
    with database.write() as session:
        session.execute(text("INSERT INTO task_search(task_search, rank) VALUES ('integrity-check', 1)"))


def test_more_of_it_makes_another_project_with_the_same_people(database: Database, owner: Principal) -> None:
    first = fill(database, owner, tasks=20, on_progress=lambda _: None)
    people = count(database, "users")
    second = fill(database, owner, tasks=20, on_progress=lambda _: None)
    assert first.id != second.id
    assert count(database, "users") == people
    assert count(database, "tasks") == 40


def test_interrupted_it_leaves_what_was_committed(database: Database, owner: Principal) -> None:
    def interrupt(done: int) -> None:
        raise KeyboardInterrupt

    with pytest.raises(KeyboardInterrupt):
        fill(database, owner, tasks=3 * BATCH, on_progress=interrupt)
    assert count(database, "tasks") == BATCH


def test_it_needs_somebody_to_belong_to(database: Database) -> None:
    with database.read() as session:
        with pytest.raises(Conflict, match="--admin"):
            choose_owner(session, None)
        with pytest.raises(NotFound):
            choose_owner(session, "nobody@site.test")
