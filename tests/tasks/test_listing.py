import base64
from collections.abc import Callable, Sequence
from datetime import UTC, date, datetime, timedelta
from itertools import product
from typing import Any

import pytest

from tailrace.tasks import listing, reading
from tailrace.tasks.bulk import NewTask, insert_tasks
from tailrace.tasks.filters import TaskListQuery
from tailrace.tasks.models import Priority, Status
from tests.features import Person, Site, ok, refused

SORTS = [sign + name for name, sign in product(("created", "updated", "due", "priority", "title"), ("", "-"))]
START = datetime(2030, 1, 1, tzinfo=UTC)


@pytest.fixture
def ada(site: Site) -> Person:
    return site.person("Ada")


def fill(site: Site, ada: Person, project: int, count: int, *, shift: int = 0) -> None:
    """Insert tasks with many equal keys, so that only the id tells their order."""

    def new(number: int) -> NewTask:
        n = number + shift
        return NewTask(
            title=f"Task {n % 3}",
            description="",
            status=list(Status)[n % 5],
            priority=list(Priority)[n % 4],
            assignee_id=ada.id if n % 3 == 0 else None,
            due=None if n % 2 else date(2030, 1, 1 + n % 3),
            labels=("roof",) if n % 4 == 0 else ("facade", "roof") if n % 4 == 1 else (),
            created_by_id=ada.id,
            created_at=START + timedelta(hours=n % 4),
            updated_at=START + timedelta(days=n % 2),
        )

    with site.database.write() as session:
        insert_tasks(session, ada.principal, project, [new(number) for number in range(count)])


def everything(person: Person, path: str = "/tasks", **params: Any) -> list[dict[str, Any]]:
    """Follow the pages to their end."""
    found: list[dict[str, Any]] = []
    after: str | None = None
    for _ in range(100):
        page = ok(person.client.get(path, params=params | ({"after": after} if after else {})))
        found += page["items"]
        after = page["next"]
        if after is None:
            return found
    raise AssertionError("the pages never end")


def in_order(tasks: Sequence[dict[str, Any]], sort: str) -> list[int]:
    """Return the ids as they should come: what has no value last, and equal values by id, the same way."""
    name, backwards = sort.removeprefix("-"), sort.startswith("-")
    field = {"created": "created_at", "updated": "updated_at"}.get(name, name)

    def key(task: dict[str, Any]) -> tuple[Any, int]:
        value = Priority(task[field]).rank if name == "priority" else task[field]
        return value, task["id"]

    present = sorted((task for task in tasks if task[field] is not None), key=key, reverse=backwards)
    absent = sorted((task["id"] for task in tasks if task[field] is None), reverse=backwards)
    return [task["id"] for task in present] + absent


@pytest.mark.parametrize("limit", [1, 4, 200])
@pytest.mark.parametrize("sort", SORTS)
def test_every_task_comes_once_and_in_order(site: Site, ada: Person, sort: str, limit: int) -> None:
    for shift in range(3):
        fill(site, ada, site.project(ada), 9, shift=shift)
    tasks = everything(ada, sort="created", limit=200)
    assert len(tasks) == 27
    assert [task["id"] for task in everything(ada, sort=sort, limit=limit)] == in_order(tasks, sort)


@pytest.mark.parametrize("sort", SORTS)
def test_more_projects_than_one_statement_takes(
    site: Site, ada: Person, sort: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(listing, "PARTS_MAX", 2)
    for shift in range(5):
        fill(site, ada, site.project(ada), 4, shift=shift)
    tasks = everything(ada, limit=200)
    assert [task["id"] for task in everything(ada, sort=sort, limit=3)] == in_order(tasks, sort)


def test_pages_hold_while_tasks_come_and_go(site: Site, ada: Person) -> None:
    project = site.project(ada)
    fill(site, ada, project, 6)
    first = ok(ada.client.get("/tasks", params={"sort": "created", "limit": 3}))
    assert ada.client.delete(f"/tasks/{first['items'][-1]['id']}").status_code == 204
    fill(site, ada, project, 1)
    rest = ok(ada.client.get("/tasks", params={"sort": "created", "after": first["next"]}))["items"]
    seen = [task["id"] for task in first["items"] + rest]
    assert len(seen) == len(set(seen)) == 6


def test_a_list_holds_what_its_reader_may_see(site: Site, ada: Person) -> None:
    bob, root = site.person("Bob"), site.person("Root", is_admin=True)
    adas, bobs = site.project(ada), site.project(bob)
    fill(site, ada, adas, 3)
    ok(bob.client.post(f"/projects/{bobs}/tasks", json={"title": "His"}), 201)
    assert len(everything(root)) == 4
    assert [task["title"] for task in everything(bob)] == ["His"]
    assert everything(bob, project=adas) == []
    assert len(everything(ada, project=[adas, bobs])) == 3
    assert len(everything(ada, f"/projects/{adas}/tasks")) == 3
    refused(ada.client.get(f"/projects/{bobs}/tasks"), 404)
    assert everything(site.person("Eve")) == []
    refused(ada.client.get(f"/projects/{adas}/tasks", params={"project": adas}), 422)


Wanted = Callable[[dict[str, Any]], bool]
FILTERS: list[tuple[dict[str, Any], Wanted]] = [
    ({"status": "todo"}, lambda t: t["status"] == "todo"),
    ({"status": ["todo", "done"]}, lambda t: t["status"] in {"todo", "done"}),
    ({"priority": ["none", "medium"]}, lambda t: t["priority"] in {"none", "medium"}),
    ({"assignee": "me"}, lambda t: t["assignee"] is not None),
    ({"assignee": "none"}, lambda t: t["assignee"] is None),
    ({"assignee": ["me", "none"]}, lambda _: True),
    ({"assignee": "ADA@site.test"}, lambda t: t["assignee"] is not None),
    ({"assignee": ["ada@site.test", "bob@site.test"]}, lambda t: t["assignee"] is not None),
    ({"assignee": "bob@site.test"}, lambda _: False),
    ({"created_by": "me"}, lambda _: True),
    ({"created_by": "99"}, lambda _: False),
    ({"label": "roof"}, lambda t: "roof" in t["labels"]),
    ({"label": ["roof", "facade"]}, lambda t: t["labels"] == ["facade", "roof"]),
    ({"label": "rooftop"}, lambda _: False),
    ({"due": "none"}, lambda t: t["due"] is None),
    ({"due": "set"}, lambda t: t["due"] is not None),
    ({"due_after": "2030-01-02"}, lambda t: t["due"] is not None and t["due"] >= "2030-01-02"),
    ({"due_before": "2030-01-02"}, lambda t: t["due"] is not None and t["due"] < "2030-01-02"),
    ({"created_after": "2030-01-01T02:00:00Z"}, lambda t: t["created_at"] >= "2030-01-01T02"),
    ({"created_before": "2030-01-01T03:00:00+01:00"}, lambda t: t["created_at"] < "2030-01-01T02"),
    ({"updated_after": "2030-01-02"}, lambda t: t["updated_at"] >= "2030-01-02"),
    ({"updated_before": "2030-01-02"}, lambda t: t["updated_at"] < "2030-01-02"),
    ({"status": "todo", "due": "set"}, lambda t: t["status"] == "todo" and t["due"] is not None),
]  # fmt: skip


@pytest.mark.parametrize(("params", "wanted"), FILTERS, ids=lambda value: str(value) if isinstance(value, dict) else "")
@pytest.mark.parametrize("sort", ["-created", "due"])
def test_each_filter_keeps_what_it_names(
    site: Site, ada: Person, params: dict[str, Any], wanted: Wanted, sort: str
) -> None:
    site.person("Bob")
    for shift in range(2):
        fill(site, ada, site.project(ada), 15, shift=shift)
    tasks = everything(ada, limit=200)
    expected = in_order([task for task in tasks if wanted(task)], sort)
    assert [task["id"] for task in everything(ada, sort=sort, limit=4, **params)] == expected


@pytest.mark.parametrize(
    "query",
    [
        "limit=0",
        "limit=-1",
        "limit=201",
        "limit=x",
        "limit=",
        "sort=colour",
        "sort=--due",
        "sort=",
        "status=x",
        "status=todo&status=x",
        "priority=5",
        "due=yes",
        "due_after=soon",
        "due_after=2030-13-01",
        "due_before=5",
        "created_after=1700000000",
        "created_before=0001-01-01T00:00:00%2B14:00",
        "created_after=9999-12-31T23:59:59-14:00",
        "updated_after=%00",
        "project=x",
        "project=0",
        "project=-1",
        "project=99999999999999999999",
        "assignee=%00",
        "assignee=a%0d%0ab@c.de",
        "assignee=",
        "label=",
        "label=a,b",
        "label=%00",
        "q=%00",
        "unknown=1",
        "Status=x",
        "after=x",
        "after=%00",
        "after=%F0%9F%92%A9",
        "after=" + "A" * 3000,
        "guard=1",
        "project=1" + "&project=1" * 200,
    ],
)
def test_a_malformed_query_is_refused_with_a_sentence(ada: Person, query: str) -> None:
    refused(ada.client.get(f"/tasks?{query}"), 422)


def test_invalid_utf8_in_a_query_finds_nothing_and_breaks_nothing(ada: Person) -> None:
    assert ok(ada.client.get("/tasks?q=%ff%fe&label=%ff"))["items"] == []


@pytest.mark.parametrize(
    "place",
    [
        b'["-created", "2030-01-01T00:00:00+00:00", 0]', b'["-created", "2030-01-01T00:00:00+00:00", 99999999999]',
        b'["-created", "2030-01-01T00:00:00+00:00", true]', b'["-created", "2030-01-01T00:00:00", 1]',
        b'["-created", "9999-12-31T23:59:59-14:00", 1]', b'["-created", null, 1]', b'["-created", 5, 1]',
        b'["created", "2030-01-01T00:00:00+00:00", 1]', b'["-created"]', b"{}", b"5", b"null", b"[[],{},1]", b"[" * 900,
        b'["-created", {"a": 1}, 1]', b"\xff",
    ],
)  # fmt: skip
def test_a_forged_cursor_is_refused(ada: Person, place: bytes) -> None:
    after = base64.urlsafe_b64encode(place).decode()
    assert "first page" in refused(ada.client.get("/tasks", params={"after": after}), 422)


def test_a_cursor_holds_for_its_own_order_alone(site: Site, ada: Person) -> None:
    fill(site, ada, site.project(ada), 4)
    after = ok(ada.client.get("/tasks", params={"sort": "due", "limit": 1}))["next"]
    refused(ada.client.get("/tasks", params={"sort": "-due", "after": after}), 422)


def test_any_title_can_be_the_place_between_two_pages(site: Site, ada: Person) -> None:
    project = site.project(ada)
    titles = ["💧" * 300, '"' * 300, "\\" * 300, "a'); DROP TABLE tasks; --", "=1+1", "Z", "é"]
    for title in titles:
        ok(ada.client.post(f"/projects/{project}/tasks", json={"title": title}), 201)
    found = [task["title"] for task in everything(ada, sort="title", limit=1)]
    assert found == sorted(titles)


def steps_of(site: Site, person: Person, query: TaskListQuery) -> int:
    """Return how many hundreds of steps SQLite's machine takes for a list, whatever the speed of this one."""
    counted = 0

    def count() -> int:
        nonlocal counted
        counted += 1
        return 0

    with site.database.read() as session:
        connection: Any = session.connection().connection.driver_connection
        connection.set_progress_handler(count, 100)
        try:
            reading.list_tasks(session, person.principal, query)
        finally:
            connection.set_progress_handler(None, 0)
    return counted


QUIET_STATES: list[dict[str, Any]] = [
    {"status": ["todo"]},
    {"status": ["todo", "doing", "blocked"]},
    {"status": ["cancelled"]},
    {"status": ["todo"], "priority": ["low"]},
    {"status": ["todo"], "due_before": date(2030, 1, 3)},
]


def test_what_is_done_costs_nothing_to_whoever_looks_at_what_is_not(site: Site, ada: Person) -> None:
    project = site.project(ada)
    fill(site, ada, project, 40)
    queries = [TaskListQuery(sort=sort, **state) for sort in SORTS for state in QUIET_STATES]  # type: ignore[arg-type]
    before = [steps_of(site, ada, query) for query in queries]
    done = NewTask(
        title="Done",
        description="",
        status=Status.DONE,
        priority=Priority.HIGH,
        assignee_id=None,
        due=date(2030, 1, 2),
        labels=(),
        created_by_id=ada.id,
        created_at=START,
        updated_at=START,
    )
    with site.database.write() as session:
        insert_tasks(session, ada.principal, project, [done] * 4000)
    for query, steps in zip(queries, before, strict=True):
        # Stepping over them would be a hundred steps for every twenty or so.
        assert steps_of(site, ada, query) < steps + 20, query


@pytest.mark.parametrize("sort", SORTS)
def test_a_page_of_any_state_costs_no_more_when_there_are_more_tasks(site: Site, ada: Person, sort: str) -> None:
    if sort.endswith("title"):
        pytest.skip("has no index, as the module says")
    project = site.project(ada)
    fill(site, ada, project, 400)
    query = TaskListQuery(sort=sort, limit=20)  # type: ignore[arg-type]
    before = steps_of(site, ada, query)
    fill(site, ada, project, 4000)
    assert steps_of(site, ada, query) < before + 20


@pytest.mark.parametrize("sort", ["due", "-due", "priority", "-updated", "title"])
def test_several_states_of_more_projects_than_one_statement_takes(
    site: Site, ada: Person, sort: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(listing, "PARTS_MAX", 4)
    for shift in range(3):
        fill(site, ada, site.project(ada), 15, shift=shift)
    states = ["todo", "doing", "blocked", "todo"]
    tasks = [task for task in everything(ada, limit=200) if task["status"] in states]
    assert len(tasks) == 27
    assert [task["id"] for task in everything(ada, sort=sort, limit=4, status=states)] == in_order(tasks, sort)
