"""On PostgreSQL, where changes of one project run side by side."""

from collections.abc import Iterator
from concurrent.futures import ThreadPoolExecutor
from threading import Event

import pytest
from sqlalchemy import text

from tailrace.accounts.principal import Principal
from tailrace.database import Base, Database
from tailrace.projects import service as projects
from tailrace.streams import record
from tailrace.tasks import service as tasks
from tailrace.tasks.schemas import TaskChanges
from tests.conftest import import_models
from tests.features import Site, ok
from tests.services import postgres_url
from tests.streams.serving import wait_for

WAITING = "SELECT count(*) FROM pg_stat_activity WHERE datname = current_database() AND wait_event_type = 'Lock'"


@pytest.fixture
def database() -> Iterator[Database]:
    import_models()
    database = Database(postgres_url(), record=record)
    Base.metadata.create_all(database.engine)
    yield database
    database.dispose()


def waits(database: Database) -> bool:
    """Return whether a transaction waits for another."""
    with database.read() as session:
        return bool(session.scalar(text(WAITING)))


def test_giving_a_leaver_s_task_to_a_manager_and_their_leaving_do_not_block_each_other(site: Site) -> None:
    ada, bea, cleo = (site.person(name) for name in ("Ada", "Bea", "Cleo"))
    project = site.project(ada, roles={"manager": bea, "member": cleo})
    new = {"title": "Sweep", "assignee": cleo.email}
    task = int(ok(ada.client.post(f"/projects/{project}/tasks", json=new), 201)["id"])
    held = Event()

    def leave(principal: Principal) -> None:
        held.wait(20)
        with site.database.write() as session:
            projects.remove_member(session, principal, project, principal.user_id)

    with ThreadPoolExecutor(1) as pool:
        leaving = pool.submit(leave, cleo.principal)
        with site.database.write() as session:
            tasks.hold_task(session, ada.principal, task)
            held.set()
            wait_for(lambda: waits(site.database))
            tasks.update_task(session, ada.principal, task, TaskChanges(assignee=bea.email))
        leaving.result(timeout=20)
    assert ok(ada.client.get(f"/tasks/{task}"))["assignee"]["id"] == bea.id
    members = ok(ada.client.get(f"/projects/{project}/members"))["items"]
    assert [member["user"]["id"] for member in members] == [ada.id, bea.id]


def test_many_tasks_are_held_in_one_order_whatever_the_form_says(site: Site) -> None:
    ada = site.person("Ada")
    project = site.project(ada)
    new = [{"title": title} for title in ("one", "two")]
    first, second = (int(ok(ada.client.post(f"/projects/{project}/tasks", json=task), 201)["id"]) for task in new)
    held = Event()

    def change() -> int:
        held.wait(20)
        form = {"task": [second, first], "priority": "high"}
        return ada.client.post(f"/web/projects/{project}/bulk", data=form).status_code

    with ThreadPoolExecutor(1) as pool:
        changing = pool.submit(change)
        with site.database.write() as session:
            tasks.hold_task(session, ada.principal, first)
            held.set()
            wait_for(lambda: waits(site.database))
            tasks.hold_task(session, ada.principal, second)
        assert changing.result(timeout=20) == 303
    assert {task["priority"] for task in ok(ada.client.get("/tasks"))["items"]} == {"high"}
