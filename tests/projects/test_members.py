import pytest

from tailrace.projects import service
from tests.features import Person, Site, ok, refused

EVERYBODY = ("admin", "manager", "member", "viewer", "outsider")
MANAGERS = {"admin", "manager"}


@pytest.mark.parametrize("who", EVERYBODY)
def test_who_sees_a_project(people: dict[str, Person], project: int, who: str) -> None:
    client = people[who].client
    for path in (f"/projects/{project}", f"/projects/{project}/members", f"/projects/{project}/tasks"):
        assert client.get(path).status_code == (404 if who == "outsider" else 200)
    seen = [entry["id"] for entry in ok(client.get("/projects"))["items"]]
    assert seen == ([] if who == "outsider" else [project])


@pytest.mark.parametrize("who", EVERYBODY)
def test_who_decides_about_a_project(site: Site, people: dict[str, Person], project: int, who: str) -> None:
    new, client = site.person("new"), people[who].client
    answers = [
        client.patch(f"/projects/{project}", json={"name": "Renamed"}),
        client.post(f"/projects/{project}/members", json={"email": new.email, "role": "viewer"}),
        client.patch(f"/projects/{project}/members/{people['member'].id}", json={"role": "viewer"}),
        client.delete(f"/projects/{project}/members/{people['member'].id}"),
    ]
    statuses = [answer.status_code for answer in answers]
    if who in MANAGERS:
        assert statuses == [200, 201, 200, 204]
    else:
        # A member may leave; nobody else's place is theirs to decide.
        refusal = 404 if who == "outsider" else 403
        assert statuses == [refusal, refusal, refusal, 204 if who == "member" else refusal]


def test_what_does_not_exist_looks_like_what_may_not_be_seen(people: dict[str, Person], project: int) -> None:
    client = people["outsider"].client
    assert client.get(f"/projects/{project}").json() == client.get("/projects/9999").json()
    body = {"title": "x"}
    foreign, unknown = (client.post(f"/projects/{number}/tasks", json=body) for number in (project, 9999))
    assert foreign.status_code == 404
    assert foreign.json() == unknown.json()


def test_a_project_is_never_without_a_manager(people: dict[str, Person], project: int) -> None:
    manager, member = people["manager"], people["member"]
    own = f"/projects/{project}/members/{manager.id}"
    for answer in (
        manager.client.delete(own),
        manager.client.patch(own, json={"role": "member"}),
        people["admin"].client.delete(own),
    ):
        assert "manager" in refused(answer, 409)
    ok(manager.client.patch(f"/projects/{project}/members/{member.id}", json={"role": "manager"}))
    assert manager.client.delete(own).status_code == 204
    refused(manager.client.get(f"/projects/{project}"), 404)


def test_adding_somebody_twice_or_nobody_is_refused(people: dict[str, Person], project: int) -> None:
    client, path = people["manager"].client, f"/projects/{project}/members"
    refused(client.post(path, json={"email": people["member"].email}), 409)
    assert "nobody@site.test" in refused(client.post(path, json={"email": "nobody@site.test"}), 422)
    refused(client.post(path, json={"email": people["outsider"].email, "role": "king"}), 422)
    refused(client.patch(f"{path}/{people['outsider'].id}", json={"role": "viewer"}), 404)


def test_whoever_leaves_leaves_their_tasks_to_others(site: Site, people: dict[str, Person], project: int) -> None:
    manager, member = people["manager"], people["member"]
    body = {"title": "Sweep", "assignee": member.email}
    task = ok(manager.client.post(f"/projects/{project}/tasks", json=body), 201)
    assert member.client.delete(f"/projects/{project}/members/{member.id}").status_code == 204
    after = ok(manager.client.get(f"/tasks/{task['id']}"))
    assert (after["assignee"], after["version"]) == (None, 2)
    entry = ok(manager.client.get(f"/tasks/{task['id']}/activity"))["items"][-1]
    assert (entry["field"], entry["old"], entry["new"]) == ("assignee", member.email, None)
    assert entry["user"]["id"] == member.id
    with site.database.read() as session:
        assert service.visible_project_ids(session, member.principal) == []


def test_an_archived_project_can_be_read_and_nothing_more(people: dict[str, Person], project: int) -> None:
    manager = people["manager"].client
    task = ok(manager.post(f"/projects/{project}/tasks", json={"title": "Sweep"}), 201)["id"]
    ok(manager.patch(f"/projects/{project}", json={"archived": True}))
    ok(manager.get(f"/tasks/{task}"))
    for answer in (
        manager.patch(f"/projects/{project}", json={"name": "x"}),
        manager.post(f"/projects/{project}/tasks", json={"title": "x"}),
        manager.patch(f"/tasks/{task}", json={"title": "x"}),
        manager.post(f"/tasks/{task}/comments", json={"body": "x"}),
    ):
        assert "archive" in refused(answer, 409)
    assert ok(manager.get("/projects?archived=false"))["items"] == []
    ok(manager.patch(f"/projects/{project}", json={"archived": False, "name": "Open again"}))
    ok(manager.patch(f"/tasks/{task}", json={"title": "x"}))


def test_projects_are_listed_page_by_page(site: Site, people: dict[str, Person]) -> None:
    expected = [site.project(people["manager"], name=f"Site {number}") for number in range(5)]
    found: list[int] = []
    after: int | None = 0
    while after is not None:
        page = ok(people["manager"].client.get("/projects", params={"limit": 2, "after": after}))
        found += [entry["id"] for entry in page["items"]]
        after = page["next"]
    assert found == expected


MALFORMED = [
    {}, {"name": ""}, {"name": " "}, {"name": "a\0"}, {"name": "a\nb"}, {"name": "x" * 201}, {"name": "x", "more": 1},
    {"name": 5}, [], None,
]  # fmt: skip


@pytest.mark.parametrize("body", MALFORMED)
def test_a_malformed_project_is_refused(people: dict[str, Person], body: object) -> None:
    refused(people["manager"].client.post("/projects", json=body), 422)
    assert ok(people["manager"].client.get("/projects"))["items"] == []
