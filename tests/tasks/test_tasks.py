import json
from typing import Any

import pytest
from sqlalchemy import text

from tests.features import Person, Site, ok, refused


@pytest.fixture
def task(people: dict[str, Person], project: int) -> dict[str, Any]:
    body = {
        "title": "Seal the window",
        "labels": ["facade", "defect", "facade"],
        "priority": "high",
        "due": "2030-02-03",
    }
    made: dict[str, Any] = ok(people["member"].client.post(f"/projects/{project}/tasks", json=body), 201)
    return made


def facts(site: Site) -> list[tuple[str, str, Any]]:
    with site.database.read() as session:
        rows = session.execute(text("SELECT channel, name, data FROM events ORDER BY id")).all()
    return [(row.channel, row.name, json.loads(row.data)) for row in rows]


def test_a_task_is_as_it_was_created(people: dict[str, Person], project: int, task: dict[str, Any]) -> None:
    shown = ok(people["viewer"].client.get(f"/tasks/{task['id']}"))
    assert shown == task
    assert shown["labels"] == ["defect", "facade"]
    assert (shown["status"], shown["priority"], shown["due"]) == ("todo", "high", "2030-02-03")
    assert shown["project"] == {"id": project, "name": "Mill Quarter"}
    assert shown["created_by"]["email"] == "member@site.test"


EVERYBODY = ("admin", "manager", "member", "viewer", "outsider")


@pytest.mark.parametrize("who", EVERYBODY)
def test_who_may_do_what_with_a_task(people: dict[str, Person], project: int, task: dict[str, Any], who: str) -> None:
    client, path = people[who].client, f"/tasks/{task['id']}"
    read = [client.get(path + end) for end in ("", "/activity", "/comments", "/checklist")]
    change = [
        client.post(f"/projects/{project}/tasks", json={"title": "One more"}),
        client.patch(path, json={"status": "doing"}),
        client.post(f"{path}/comments", json={"body": "Hm"}),
        client.post(f"{path}/checklist", json={"title": "First"}),
    ]
    statuses = {answer.status_code for answer in read}, [answer.status_code for answer in change]
    expected = {"viewer": ({200}, [403] * 4), "outsider": ({404}, [404] * 4)}
    assert statuses == expected.get(who, ({200}, [201, 200, 201, 201]))


def test_a_foreign_task_looks_like_one_that_does_not_exist(people: dict[str, Person], task: dict[str, Any]) -> None:
    client = people["outsider"].client
    for method in ("GET", "PATCH", "DELETE"):
        foreign, unknown = (client.request(method, f"/tasks/{number}", json={}) for number in (task["id"], 9999))
        assert foreign.status_code == unknown.status_code == 404
        assert foreign.json() == unknown.json()


def test_its_creator_and_managers_delete_a_task(site: Site, people: dict[str, Person], project: int) -> None:
    def make(who: str) -> int:
        return int(ok(people[who].client.post(f"/projects/{project}/tasks", json={"title": "x"}), 201)["id"])

    theirs = make("manager")
    refused(people["member"].client.delete(f"/tasks/{theirs}"), 403)
    for who, number in (("member", make("member")), ("manager", make("member")), ("admin", theirs)):
        ok(people[who].client.post(f"/tasks/{number}/comments", json={"body": "gone soon"}), 201)
        assert people[who].client.delete(f"/tasks/{number}").status_code == 204
        refused(people[who].client.get(f"/tasks/{number}"), 404)
    with site.database.read() as session:
        left = [session.scalar(text(f"SELECT count(*) FROM {table}")) for table in ("task_comments", "task_activity")]
    assert left == [0, 0]


def test_every_change_leaves_an_entry(people: dict[str, Person], task: dict[str, Any]) -> None:
    member, path = people["member"].client, f"/tasks/{task['id']}"
    changes = {
        "title": "Seal both windows",
        "description": "Use *black* sealant",
        "status": "doing",
        "priority": "urgent",
        "assignee": "me",
        "due": None,
        "labels": ["facade"],
    }
    changed = ok(member.patch(path, json=changes))
    assert changed["version"] == 2
    assert ok(member.patch(path, json=changes))["version"] == 2, "nothing changed the second time"
    entries = ok(member.get(f"{path}/activity"))["items"]
    assert {(entry["field"], entry["old"], entry["new"]) for entry in entries} == {
        ("created", None, "Seal the window"),
        ("title", "Seal the window", "Seal both windows"),
        ("description", "", "Use *black* sealant"),
        ("status", "todo", "doing"),
        ("priority", "high", "urgent"),
        ("assignee", None, "member@site.test"),
        ("due", "2030-02-03", None),
        ("labels", "defect, facade", "facade"),
    }
    assert len(entries) == 8


def test_who_saw_an_older_version_changes_nothing(people: dict[str, Person], task: dict[str, Any]) -> None:
    path = f"/tasks/{task['id']}"
    ok(people["manager"].client.patch(path, json={"title": "Theirs", "version": 1}))
    refused(people["member"].client.patch(path, json={"title": "Mine", "version": 1}), 409)
    assert ok(people["member"].client.get(path))["title"] == "Theirs"
    ok(people["member"].client.patch(path, json={"title": "Mine", "version": 2}))


def test_only_members_are_assigned(people: dict[str, Person], task: dict[str, Any]) -> None:
    client, path = people["member"].client, f"/tasks/{task['id']}"
    for person in (people["outsider"].email, people["outsider"].id, "nobody@site.test", 99999):
        assert "member" in refused(client.patch(path, json={"assignee": person}), 422)
    assert ok(client.patch(path, json={"assignee": people["viewer"].id}))["assignee"]["id"] == people["viewer"].id
    assert ok(client.patch(path, json={"assignee": "none"}))["assignee"] is None
    refused(people["admin"].client.patch(path, json={"assignee": "me"}), 422)


def test_comments_are_their_authors_own(people: dict[str, Person], task: dict[str, Any]) -> None:
    member, manager, path = people["member"].client, people["manager"].client, f"/tasks/{task['id']}/comments"
    first = ok(member.post(path, json={"body": "First"}), 201)
    second = ok(manager.post(path, json={"body": "Second"}), 201)
    refused(manager.patch(f"{path}/{first['id']}", json={"body": "Not mine"}), 403)
    edited = ok(member.patch(f"{path}/{first['id']}", json={"body": "Better"}))
    assert edited["edited_at"] is not None
    refused(member.delete(f"{path}/{second['id']}"), 403)
    assert [item["body"] for item in ok(member.get(path, params={"limit": 1}))["items"]] == ["Better"]
    after = ok(member.get(path, params={"limit": 1}))["next"]
    assert [item["body"] for item in ok(member.get(path, params={"after": after}))["items"]] == ["Second"]
    assert manager.delete(f"{path}/{first['id']}").status_code == 204
    fields = [(entry["old"], entry["new"]) for entry in ok(member.get(f"/tasks/{task['id']}/activity"))["items"][1:]]
    assert fields == [(None, "First"), (None, "Second"), ("First", "Better"), ("Better", None)]


def test_a_checklist_is_worked_off(people: dict[str, Person], project: int, task: dict[str, Any]) -> None:
    client, path = people["member"].client, f"/tasks/{task['id']}/checklist"
    item = ok(client.post(path, json={"title": "Scrape"}), 201)
    other = ok(client.post(path, json={"title": "Prime"}), 201)
    ok(client.patch(f"{path}/{item['id']}", json={"done": True}))
    assert client.delete(f"{path}/{other['id']}").status_code == 204
    assert ok(client.get(path))["items"] == [{"id": item["id"], "title": "Scrape", "done": True}]
    assert ok(client.get(f"/tasks/{task['id']}"))["checklist"] == ok(client.get(path))["items"]
    entries = [(entry["old"], entry["new"]) for entry in ok(client.get(f"/tasks/{task['id']}/activity"))["items"][1:]]
    assert entries == [
        (None, "[ ] Scrape"), (None, "[ ] Prime"), ("[ ] Scrape", "[x] Scrape"), ("[ ] Prime", None),
    ]  # fmt: skip
    elsewhere = ok(client.post(f"/projects/{project}/tasks", json={"title": "Other"}), 201)["id"]
    refused(client.patch(f"/tasks/{elsewhere}/checklist/{item['id']}", json={"done": False}), 404)


def test_every_change_is_told_on_the_projects_channel(
    site: Site, people: dict[str, Person], project: int, task: dict[str, Any]
) -> None:
    client, path = people["member"].client, f"/tasks/{task['id']}"
    ok(client.patch(path, json={"title": "New", "due": None}))
    ok(client.post(f"{path}/comments", json={"body": "Hm"}), 201)
    refused(client.patch(path, json={"assignee": "nobody@site.test"}), 422)
    client.delete(path)
    told = [(name, data) for channel, name, data in facts(site) if channel == f"project:{project}" and "task" in data]
    assert [name for name, _ in told] == ["task.created", "task.updated", "comment.added", "task.deleted"]
    assert all(data["task"] == task["id"] and data["by"] == people["member"].id for _, data in told)
    assert told[1][1]["fields"] == ["due", "title"]


HOSTILE: list[dict[str, Any]] = [
    {"title": ""},
    {"title": "   "},
    {"title": None},
    {"title": "a\0b"},
    {"title": "\udc80"},
    {"title": "a\nb"},
    {"title": "x" * 301},
    {"description": "\0"},
    {"description": "\ud83d"},
    {"description": "x" * 50_001},
    {"status": "maybe"},
    {"status": None},
    {"priority": "9"},
    {"priority": 4},
    {"due": "tomorrow"},
    {"due": "2030-02-30"},
    {"due": 1893456000},
    {"due": "1893456000"},
    {"due": "0000-00-00"},
    {"assignee": "a@b\r\nc"},
    {"assignee": True},
    {"assignee": 0},
    {"assignee": -1},
    {"assignee": 10**30},
    {"assignee": "9" * 400},
    {"assignee": []},
    {"labels": ["a,b"]},
    {"labels": [""]},
    {"labels": "facade"},
    {"labels": ["x" * 51]},
    {"labels": ["a"] * 21},
    {"labels": ["\0"]},
    {"labels": None},
    {"version": 0},
    {"version": "one"},
    {"colour": "red"},
]


@pytest.mark.parametrize("change", HOSTILE, ids=lambda change: ascii(change)[:40])
def test_a_malformed_change_is_refused_whole(
    people: dict[str, Person], task: dict[str, Any], change: dict[str, Any]
) -> None:
    body = json.dumps({"title": "Must not be seen", **change}).encode()
    headers = {"Content-Type": "application/json"}
    refused(people["member"].client.patch(f"/tasks/{task['id']}", content=body, headers=headers), 422)
    assert ok(people["member"].client.get(f"/tasks/{task['id']}")) == task


@pytest.mark.parametrize(
    "body", [b"", b"{", b"\xff\xfe", b'{"title": "\xff"}', b"[]", b"nonsense", b'{"title": 1e999}']
)
def test_a_body_that_is_no_task_is_refused(people: dict[str, Person], project: int, body: bytes) -> None:
    headers = {"Content-Type": "application/json"}
    answer = people["member"].client.post(f"/projects/{project}/tasks", content=body, headers=headers)
    assert answer.status_code in {400, 422}, answer.text
    assert ok(people["member"].client.get("/tasks"))["items"] == []
