"""The same features on PostgreSQL, where they are written differently: search, bulk inserts, locks, orders, exports."""

import csv
import io
from collections.abc import Iterator
from concurrent.futures import ThreadPoolExecutor
from contextlib import suppress
from datetime import timedelta
from threading import Barrier
from typing import Any

import pytest
from sqlalchemy import text

from tailrace.accounts import service as accounts
from tailrace.database import Database
from tailrace.demo.filling import fill
from tailrace.errors import Conflict
from tailrace.tasks import service as tasks
from tailrace.tasks.schemas import TaskChanges
from tests.conftest import database_at
from tests.features import Person, Site, ok, refused
from tests.services import postgres_url
from tests.streams.serving import wait_for
from tests.web.browsing import Browser


@pytest.fixture
def database() -> Iterator[Database]:
    with database_at(postgres_url()) as database:
        yield database


@pytest.fixture
def ada(site: Site) -> Person:
    return site.person("Ada", is_admin=True)


def everything(person: Person, **params: Any) -> list[dict[str, Any]]:
    found: list[dict[str, Any]] = []
    after = ""
    while True:
        page = ok(person.client.get("/tasks", params=params | ({"after": after} if after else {})))
        found += page["items"]
        after = page["next"]
        if after is None:
            return found


def test_bulk_lists_search_and_export_agree(site: Site, ada: Person) -> None:
    for _ in range(2):
        fill(site.database, ada.principal, tasks=150, on_progress=lambda _: None)
    tasks = everything(ada, limit=200)
    assert len(tasks) == 300
    for sort in (
        "created",
        "-created",
        "updated",
        "-updated",
        "due",
        "-due",
        "priority",
        "-priority",
        "title",
        "-title",
    ):
        found = [task["id"] for task in everything(ada, sort=sort, limit=70)]
        assert sorted(found) == sorted(task["id"] for task in tasks), sort
        if sort.endswith("due"):
            dues = [task["due"] for task in everything(ada, sort=sort, limit=70)]
            present = [due for due in dues if due is not None]
            assert dues == sorted(present, reverse=sort == "-due") + [None] * (len(dues) - len(present))
    heating = {task["id"] for task in everything(ada, q="heat")}
    assert heating == {task["id"] for task in tasks if "heating" in task["title"].lower()}
    rows = list(csv.DictReader(io.StringIO(ada.client.get("/reports.csv").text)))
    assert {int(row["id"]): row["priority"] for row in rows} == {task["id"]: task["priority"] for task in tasks}
    new = ok(ada.client.post(f"/projects/{tasks[0]['project']['id']}/tasks", json={"title": "One more"}), 201)
    assert new["id"] > max(task["id"] for task in tasks)


def test_the_search_uses_its_index(site: Site, ada: Person) -> None:
    fill(site.database, ada.principal, tasks=10, on_progress=lambda _: None)
    with site.database.read() as session:
        session.execute(text("SET LOCAL enable_seqscan = off"))
        document = "to_tsvector('simple'::regconfig, tasks.title || ' ' || tasks.description)"
        query = f"EXPLAIN SELECT id FROM tasks WHERE {document} @@ to_tsquery('simple'::regconfig, 'heat:*')"
        plan = "\n".join(session.scalars(text(query)))
    assert "tasks_by_words" in plan


@pytest.mark.parametrize("query", ["'", "a & | b", "!", "<->", "a:*b", "\\", "()", "💧", "x" * 500])
def test_no_query_is_an_error(site: Site, ada: Person, query: str) -> None:
    site.project(ada)
    assert everything(ada, q=query) == []


def test_labels_that_two_people_add_at_once_are_both_there(site: Site, ada: Person) -> None:
    task_id = int(ok(ada.client.post(f"/projects/{site.project(ada)}/tasks", json={"title": "Weir"}), 201)["id"])
    with site.database.write() as session:
        secret = accounts.open_session(session, ada.id)
    client = site.client()
    client.cookies.set("tailrace_session", secret)
    browser = Browser(client)
    token = browser.token
    with ThreadPoolExecutor(1) as pool, site.database.write() as session:
        tasks.update_task(session, ada.principal, task_id, TaskChanges(labels=["x"]))
        data = {"forgery_token": token, "add_label": "y"}
        other = pool.submit(lambda: client.post(f"/web/tasks/{task_id}", data=data))
        wait_for(lambda: _waits_for_a_lock(site.database))
        session.commit()
        assert other.result(timeout=20).status_code == 303
    assert ok(ada.client.get(f"/tasks/{task_id}"))["labels"] == ["x", "y"]


def _waits_for_a_lock(database: Database) -> bool:
    with database.read() as session:
        return bool(session.scalar(text("SELECT count(*) FROM pg_locks WHERE NOT granted")))


def test_of_many_who_set_up_at_once_one_succeeds(site: Site) -> None:
    with site.database.write() as session:
        token = accounts.issue_setup_token(session)
    together = Barrier(4)

    def attempt(number: int) -> int:
        body = {"token": token, "email": f"a{number}@site.test", "name": "Ada", "password": "a long password"}
        with site.client() as client:
            together.wait()
            return client.post("/setup", json=body).status_code

    with ThreadPoolExecutor(4) as pool:
        assert sorted(pool.map(attempt, range(4))) == [201, 409, 409, 409]


def test_of_services_that_start_at_once_one_prints_the_set_up_link(site: Site) -> None:
    together = Barrier(4)

    def issue(_number: int) -> str | None:
        together.wait()
        with suppress(Conflict), site.database.write() as session:
            return accounts.issue_setup_token(session, spare=timedelta(seconds=30))
        return None

    with ThreadPoolExecutor(4) as pool:
        (token,) = filter(None, pool.map(issue, range(4)))
    with site.database.read() as session:
        accounts.check_setup_token(session, token)


def test_the_last_two_managers_cannot_leave_at_once(site: Site) -> None:
    people = [site.person(name) for name in ("Ada", "Bob")]
    project = site.project(people[0], roles={"manager": people[1]})
    together = Barrier(2)

    def leave(person: Person) -> int:
        together.wait()
        return person.client.delete(f"/projects/{project}/members/{person.id}").status_code

    with ThreadPoolExecutor(2) as pool:
        assert sorted(pool.map(leave, people)) == [204, 409]


def test_nobody_who_leaves_is_left_with_a_task_that_was_given_to_them_at_that_moment(site: Site, ada: Person) -> None:
    bob = site.person("Bob")
    project = site.project(ada, roles={"member": bob})
    task = ok(ada.client.post(f"/projects/{project}/tasks", json={"title": "x"}), 201)["id"]
    with ThreadPoolExecutor(1) as pool:
        with site.database.write() as session:
            tasks.update_task(session, ada.principal, task, TaskChanges(assignee=bob.email))
            leaving = pool.submit(ada.client.delete, f"/projects/{project}/members/{bob.id}")
            wait_for(lambda: waits_for_a_lock(site.database))
        assert leaving.result().status_code == 204
    assert ok(ada.client.get(f"/tasks/{task}"))["assignee"] is None


def waits_for_a_lock(database: Database) -> bool:
    here = "datname = current_database() AND wait_event_type = 'Lock'"
    with database.read() as session:
        return bool(session.scalar(text(f"SELECT count(*) FROM pg_stat_activity WHERE {here}")))


def test_of_two_who_change_the_same_version_one_is_told(site: Site, ada: Person) -> None:
    project = site.project(ada)
    task = ok(ada.client.post(f"/projects/{project}/tasks", json={"title": "x"}), 201)["id"]
    together = Barrier(2)

    def change(title: str) -> int:
        together.wait()
        return ada.client.patch(f"/tasks/{task}", json={"title": title, "version": 1}).status_code

    with ThreadPoolExecutor(2) as pool:
        assert sorted(pool.map(change, ("a", "b"))) == [200, 409]
    refused(ada.client.patch(f"/tasks/{task}", json={"title": "c", "version": 1}), 409)


def test_names_and_defaults_of_saved_filters_hold(ada: Person, site: Site) -> None:
    path = f"/projects/{site.project(ada)}/filters"
    first = ok(ada.client.post(path, json={"name": "Urgent", "filter": {"priority": "urgent"}, "default": True}), 201)
    refused(ada.client.post(path, json={"name": "Urgent", "filter": {}}), 409)
    second = ok(ada.client.post(path, json={"name": "Second", "filter": {}, "default": True}), 201)
    assert [each["default"] for each in ok(ada.client.get(path))["items"]] == [True, False]
    ok(ada.client.delete(f"/filters/{first['id']}"), 204)
    ok(ada.client.post(path, json={"name": "Urgent", "filter": {}}), 201)
    refused(ada.client.post(f"/filters/{first['id']}/restore"), 409)
    ok(ada.client.delete(f"/filters/{second['id']}"), 204)
    assert ok(ada.client.post(f"/filters/{second['id']}/restore"))["default"]
