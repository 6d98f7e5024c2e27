import csv
import io
import json

import pytest

from tailrace.database import utcnow
from tailrace.streams.responses import TABLE_SLOTS
from tailrace.tasks import service
from tailrace.tasks.filters import TaskFilters
from tailrace.tasks.models import Status
from tests.features import Person, Site, ok, refused

COLUMNS = ["id", "project", "title", "status", "priority", "assignee", "due", "labels", "created", "updated"]


@pytest.fixture
def ada(site: Site) -> Person:
    return site.person("Ada")


@pytest.fixture
def project(site: Site, ada: Person) -> int:
    project = site.project(ada)
    for body in (
        {"title": 'Say "hi", twice', "priority": "urgent", "labels": ["roof", "facade"], "assignee": "me"},
        {"title": "=1+1", "status": "done", "due": "2030-02-03"},
    ):
        ok(ada.client.post(f"/projects/{project}/tasks", json=body), 201)
    return project


def read(person: Person, query: str = "") -> list[dict[str, str]]:
    answer = person.client.get(f"/reports.csv{query}")
    assert answer.status_code == 200, answer.text
    return list(csv.DictReader(io.StringIO(answer.text)))


def test_the_csv_has_every_column_of_every_task(ada: Person, project: int) -> None:
    answer = ada.client.get("/reports.csv")
    assert answer.headers["content-type"].startswith("text/csv")
    assert f"tasks-{utcnow():%Y-%m-%d}.csv" in answer.headers["content-disposition"]
    first, second = read(ada)
    assert list(first) == COLUMNS
    assert [first[name] for name in COLUMNS[1:8]] == [
        "Mill Quarter", 'Say "hi", twice', "todo", "urgent", "ada@site.test", "", "facade, roof",
    ]  # fmt: skip
    assert [second[name] for name in COLUMNS[1:8]] == ["Mill Quarter", "=1+1", "done", "none", "", "2030-02-03", ""]


def test_json_lines_hold_the_same(ada: Person, project: int) -> None:
    rows = [json.loads(line) for line in ada.client.get("/reports.jsonl").text.splitlines()]
    assert [list(row) for row in rows] == [COLUMNS, COLUMNS]
    assert [(row["priority"], row["assignee"], row["due"]) for row in rows] == [
        ("urgent", "ada@site.test", None), ("none", None, "2030-02-03"),
    ]  # fmt: skip


def test_a_guarded_file_runs_nothing_in_a_spreadsheet(ada: Person, project: int) -> None:
    assert [row["title"] for row in read(ada, "?guard=1&status=done")] == ["'=1+1"]


def test_an_export_takes_the_filters_of_the_list(ada: Person, project: int) -> None:
    assert [row["title"] for row in read(ada, "?q=twice")] == ['Say "hi", twice']
    assert read(ada, "?label=none") == []
    for query in ("limit=5", "sort=due", "status=open", "due_after=x", "guard=perhaps", "what=1"):
        refused(ada.client.get(f"/reports.csv?{query}"), 422)


def test_nobody_exports_what_they_may_not_see(site: Site, ada: Person, project: int) -> None:
    bob, root = site.person("Bob"), site.person("Root", is_admin=True)
    assert read(bob) == read(bob, f"?project={project}") == []
    assert len(read(root)) == 2
    bobs = site.project(bob)
    ok(bob.client.post(f"/projects/{bobs}/tasks", json={"title": "His"}), 201)
    assert [row["title"] for row in read(bob)] == ["His"]
    assert len(read(root)) == 3
    refused(site.client().get("/reports.csv"), 401)


def test_the_count_is_that_of_the_rows(site: Site, ada: Person, project: int) -> None:
    for filters in (TaskFilters(), TaskFilters(status=[Status.DONE]), TaskFilters(project=[project + 1])):
        with site.database.read() as session:
            count = service.count_tasks(session, ada.principal, filters)
        query = "&".join(
            f"{name}={value}" for name, values in filters.model_dump(exclude_unset=True).items() for value in values
        )
        assert count == len(read(ada, f"?{query}"))


def test_a_person_with_four_exports_under_way_keeps_nobody_else_out(site: Site, ada: Person) -> None:
    bob = site.person("Bob")
    for _ in range(4):
        TABLE_SLOTS.take(ada.id)
    try:
        for name in ("reports.csv", "reports.jsonl"):
            refused(ada.client.get(f"/{name}"), 503)
        assert read(bob) == []
    finally:
        for _ in range(4):
            TABLE_SLOTS.give_back(ada.id)
    assert read(ada) == []
