import json
from collections.abc import Mapping
from datetime import timedelta
from typing import Any

import pytest
from sqlalchemy import func, select, text, update

from tailrace.database import utcnow
from tailrace.tasks.models import SavedFilter
from tailrace.tasks.saved_filters import FILTERS_MAX
from tests.features import Person, Site, ok, refused

URGENT = {"name": "Urgent", "filter": {"priority": "urgent"}}


def save(person: Person, project: int, **more: Any) -> dict[str, Any]:
    saved: dict[str, Any] = ok(person.client.post(f"/projects/{project}/filters", json={**URGENT, **more}), 201)
    return saved


def names(person: Person, project: int) -> list[str]:
    return [each["name"] for each in ok(person.client.get(f"/projects/{project}/filters"))["items"]]


def test_a_filter_is_kept_as_it_was_chosen(people: dict[str, Person], project: int) -> None:
    chosen = {"q": "valve", "status": "all", "assignee": "me", "when": "week", "sort": "due", "label": ""}
    saved = save(people["member"], project, filter=chosen)
    assert saved["filter"] == {name: value for name, value in chosen.items() if value}
    assert (saved["project"], saved["owner"]["email"]) == (
        {"id": project, "name": "Mill Quarter"},
        "member@site.test",
    )
    assert (saved["shared"], saved["default"], saved["fault"]) == (False, False, None)
    assert ok(people["member"].client.get(f"/projects/{project}/filters"))["items"] == [saved]


def test_only_what_is_shared_is_seen_by_others(people: dict[str, Person], project: int) -> None:
    own = save(people["member"], project)
    shared = save(people["member"], project, name="everybody's", shared=True)
    assert names(people["member"], project) == ["everybody's", "Urgent"]
    assert names(people["viewer"], project) == names(people["admin"], project) == ["everybody's"]
    for person in (people["viewer"], people["admin"]):
        sentence = refused(person.client.patch(f"/filters/{own['id']}", json={"default": True}), 404)
        assert sentence == refused(person.client.delete("/filters/999"), 404)
    outsider = people["outsider"].client
    for answer in (
        outsider.get(f"/projects/{project}/filters"),
        outsider.post(f"/projects/{project}/filters", json=URGENT),
        outsider.patch(f"/filters/{shared['id']}", json={"default": True}),
        outsider.delete(f"/filters/{shared['id']}"),
        outsider.post(f"/filters/{shared['id']}/restore"),
    ):
        refused(answer, 404)


def test_a_viewer_saves_for_themselves_and_shares_nothing(people: dict[str, Person], project: int) -> None:
    saved = save(people["viewer"], project)
    refused(people["viewer"].client.post(f"/projects/{project}/filters", json={**URGENT, "shared": True}), 403)
    refused(people["viewer"].client.patch(f"/filters/{saved['id']}", json={"shared": True}), 403)
    assert names(people["member"], project) == []


def test_in_the_archive_people_save_for_themselves_alone(people: dict[str, Person], project: int) -> None:
    ok(people["manager"].client.patch(f"/projects/{project}", json={"archived": True}))
    save(people["member"], project)
    refused(people["member"].client.post(f"/projects/{project}/filters", json={**URGENT, "shared": True}), 409)


def test_only_its_owner_changes_a_filter(people: dict[str, Person], project: int) -> None:
    path = f"/filters/{save(people['member'], project, shared=True)['id']}"
    for name in ("manager", "admin", "viewer"):
        refused(people[name].client.patch(path, json={"name": "mine now"}), 403)
    changes = {"name": " Most urgent ", "filter": {"status": "blocked"}, "shared": False}
    changed = ok(people["member"].client.patch(path, json=changes))
    assert (changed["name"], changed["filter"], changed["shared"]) == ("Most urgent", {"status": "blocked"}, False)
    assert names(people["manager"], project) == []


def test_a_name_is_taken_once_by_each_person(people: dict[str, Person], project: int, site: Site) -> None:
    save(people["member"], project)
    save(people["manager"], project)
    save(people["member"], site.project(people["member"]))
    other = save(people["member"], project, name="Other")
    sentence = refused(people["member"].client.post(f"/projects/{project}/filters", json=URGENT), 409)
    assert "“Urgent”" in sentence
    refused(people["member"].client.patch(f"/filters/{other['id']}", json={"name": "Urgent"}), 409)
    assert names(people["member"], project) == ["Other", "Urgent"]


@pytest.mark.parametrize(
    "body",
    [
        {"name": "", "filter": {}},
        {"name": "x" * 61, "filter": {}},
        {"name": "a\nb", "filter": {}},
        {"name": "x"},
        {"name": "x", "filter": {"status": "finished"}},
        {"name": "x", "filter": {"assignee": "nobody at all"}},
        {"name": "x", "filter": {"assignee": "0" * 19 + "1" + "9" * 30}},
        {"name": "x", "filter": {"when": "2030-01-01"}},
        {"name": "x", "filter": {"sort": "colour"}},
        {"name": "x", "filter": {"colour": "red"}},
        {"name": "x", "filter": {"q": "a\0b"}},
        {"name": "x", "filter": {"label": "l" * 501}},
    ],
)
def test_what_is_no_filter_is_refused(people: dict[str, Person], project: int, body: Mapping[str, Any]) -> None:
    refused(people["member"].client.post(f"/projects/{project}/filters", json=body), 422)
    assert names(people["member"], project) == []


def test_there_is_a_most(people: dict[str, Person], project: int) -> None:
    saved = [save(people["member"], project, name=f"filter {number}") for number in range(FILTERS_MAX)]
    answer = people["member"].client.post(f"/projects/{project}/filters", json=URGENT)
    assert f"{FILTERS_MAX} filters" in refused(answer, 409)
    ok(people["member"].client.delete(f"/filters/{saved[0]['id']}"), 204)
    save(people["member"], project)
    answer = people["member"].client.post(f"/filters/{saved[0]['id']}/restore")
    assert f"{FILTERS_MAX} filters" in refused(answer, 409)


def test_everybody_chooses_their_own_default(people: dict[str, Person], project: int) -> None:
    first = save(people["member"], project, shared=True, default=True)
    second = save(people["member"], project, name="Second", shared=True)
    changed = ok(people["viewer"].client.patch(f"/filters/{second['id']}", json={"default": True}))
    assert changed["default"]

    def defaults(person: str) -> list[str]:
        found = ok(people[person].client.get(f"/projects/{project}/filters"))["items"]
        return [each["name"] for each in found if each["default"]]

    assert (defaults("member"), defaults("viewer"), defaults("manager")) == (["Urgent"], ["Second"], [])
    ok(people["member"].client.patch(f"/filters/{second['id']}", json={"default": True}))
    assert defaults("member") == ["Second"]
    ok(people["member"].client.patch(f"/filters/{first['id']}", json={"default": False}))
    assert defaults("member") == ["Second"]
    ok(people["member"].client.patch(f"/filters/{second['id']}", json={"default": False, "shared": False}))
    assert (defaults("member"), defaults("viewer")) == ([], [])


@pytest.mark.parametrize(("who", "status"), [("member", 204), ("manager", 204), ("admin", 204), ("viewer", 403)])
def test_its_owner_and_the_managers_remove_what_is_shared_and_restore_it(
    people: dict[str, Person], project: int, who: str, status: int
) -> None:
    saved = save(people["member"], project, shared=True, default=True)
    path, client = f"/filters/{saved['id']}", people[who].client
    answer = client.delete(path)
    if status == 403:
        refused(answer, 403)
        assert names(people["member"], project) == ["Urgent"]
        return
    ok(answer, status)
    assert names(people["member"], project) == []
    refused(client.delete(path), 404)
    refused(people["viewer"].client.post(f"{path}/restore"), 403)
    ok(client.post(f"{path}/restore"))
    assert ok(people["member"].client.get(f"/projects/{project}/filters"))["items"] == [saved]
    refused(client.post(f"{path}/restore"), 404)


def test_a_removed_name_is_free_and_restoring_may_meet_another(people: dict[str, Person], project: int) -> None:
    saved = save(people["member"], project)
    ok(people["member"].client.delete(f"/filters/{saved['id']}"), 204)
    save(people["member"], project)
    assert "“Urgent”" in refused(people["member"].client.post(f"/filters/{saved['id']}/restore"), 409)


def test_what_was_removed_goes_for_good_after_a_day(people: dict[str, Person], project: int, site: Site) -> None:
    client = people["member"].client
    old, new = save(people["member"], project), save(people["member"], project, name="New")
    ok(client.delete(f"/filters/{old['id']}"), 204)
    with site.database.write() as session:
        session.execute(update(SavedFilter).values(deleted_at=utcnow() - timedelta(days=1, minutes=1)))
        session.execute(update(SavedFilter).where(SavedFilter.id == new["id"]).values(deleted_at=None))
    ok(client.delete(f"/filters/{new['id']}"), 204)
    refused(client.post(f"/filters/{old['id']}/restore"), 404)
    ok(client.post(f"/filters/{new['id']}/restore"))
    with site.database.read() as session:
        assert session.scalar(select(func.count()).select_from(SavedFilter)) == 1


def test_after_a_day_nothing_is_restored_though_nobody_removed_anything_since(
    people: dict[str, Person], project: int, site: Site
) -> None:
    client, saved = people["member"].client, save(people["member"], project)
    ok(client.delete(f"/filters/{saved['id']}"), 204)
    for age, status in ((timedelta(days=1, minutes=1), 404), (timedelta(hours=23), 200)):
        with site.database.write() as session:
            session.execute(update(SavedFilter).values(deleted_at=utcnow() - age))
        assert client.post(f"/filters/{saved['id']}/restore").status_code == status


def test_whoever_may_not_share_neither_removes_nor_restores_what_is_shared(
    people: dict[str, Person], project: int
) -> None:
    member, manager = people["member"].client, people["manager"].client
    kept, removed = (save(people["member"], project, name=name, shared=True) for name in ("Kept", "Removed"))
    own = save(people["member"], project, name="Own")
    ok(member.delete(f"/filters/{removed['id']}"), 204)
    ok(manager.patch(f"/projects/{project}", json={"archived": True}))
    for client in (member, manager):
        refused(client.delete(f"/filters/{kept['id']}"), 409)
        refused(client.post(f"/filters/{removed['id']}/restore"), 409)
    ok(member.delete(f"/filters/{own['id']}"), 204)
    ok(member.post(f"/filters/{own['id']}/restore"))
    ok(manager.patch(f"/projects/{project}", json={"archived": False}))
    ok(manager.patch(f"/projects/{project}/members/{people['member'].id}", json={"role": "viewer"}))
    refused(member.delete(f"/filters/{kept['id']}"), 403)
    refused(member.post(f"/filters/{removed['id']}/restore"), 403)
    assert names(people["manager"], project) == ["Kept"]


@pytest.mark.parametrize("stored", [{"status": "postponed"}, {"phase": "3"}, {"priority": "7"}])
def test_a_filter_of_another_version_says_that_it_is_stale(
    people: dict[str, Person], project: int, site: Site, stored: dict[str, str]
) -> None:
    saved = save(people["member"], project)
    with site.database.write() as session:
        session.execute(update(SavedFilter).values(filter=stored))
    (shown,) = ok(people["member"].client.get(f"/projects/{project}/filters"))["items"]
    assert shown["filter"] == stored
    assert "save it again" in shown["fault"]
    mended = ok(people["member"].client.patch(f"/filters/{saved['id']}", json={"filter": {"status": "done"}}))
    assert mended["fault"] is None


def test_what_is_shared_is_told_to_the_project_and_the_rest_to_oneself(
    people: dict[str, Person], project: int, site: Site
) -> None:
    saved = save(people["member"], project)
    path = f"/filters/{saved['id']}"
    for changes in ({"name": "Other"}, {"shared": True}, {"default": True}, {"shared": False}):
        ok(people["member"].client.patch(path, json=changes))
    ok(people["member"].client.delete(path), 204)
    with site.database.read() as session:
        rows = session.execute(text("SELECT channel, data FROM events WHERE name = 'filters.changed' ORDER BY id"))
        told = [(row.channel, json.loads(row.data)) for row in rows]
    mine, ours = f"user:{people['member'].id}", f"project:{project}"
    assert [channel for channel, _ in told] == [mine, mine, ours, mine, ours, mine]
    assert told[0][1] == {"filter": saved["id"], "project": project, "by": people["member"].id}
