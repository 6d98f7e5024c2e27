import pytest

from tests.features import Person, Site, ok, refused

NEW = {"email": "carl@site.test", "name": "Carl", "password": "a long password"}


@pytest.fixture
def root(site: Site) -> Person:
    return site.person("Root", is_admin=True)


def test_addresses_are_one_whatever_their_case(site: Site, root: Person) -> None:
    assert ok(root.client.post("/users", json={**NEW, "email": "Carl@SITE.test"}), 201)["email"] == "carl@site.test"
    assert "carl@site.test" in refused(root.client.post("/users", json=NEW), 409)


def test_people_are_listed_page_by_page(site: Site, root: Person) -> None:
    expected = [root.id, *(site.person(f"Person{number}").id for number in range(4))]
    found: list[int] = []
    after: int | None = 0
    while after is not None:
        page = ok(root.client.get("/users", params={"limit": 2, "after": after}))
        found += [user["id"] for user in page["items"]]
        after = page["next"]
    assert found == expected


def test_others_see_and_change_themselves_only(site: Site, root: Person) -> None:
    ada, bob = site.person("Ada"), site.person("Bob")
    refused(ada.client.get("/users"), 403)
    refused(ada.client.post("/users", json=NEW), 403)
    refused(ada.client.get(f"/users/{bob.id}"), 404)
    refused(ada.client.patch(f"/users/{bob.id}", json={"name": "Eve"}), 404)
    refused(ada.client.patch(f"/users/{ada.id}", json={"is_admin": True}), 403)
    changed = ok(ada.client.patch(f"/users/{ada.id}", json={"name": "Ada L.", "time_zone": "Europe/Zurich"}))
    assert (changed["name"], changed["time_zone"]) == ("Ada L.", "Europe/Zurich")
    assert ok(ada.client.get("/users/me")) == changed


def test_there_is_always_an_administrator(site: Site, root: Person) -> None:
    for change in ({"is_admin": False}, {"disabled": True}):
        refused(root.client.patch(f"/users/{root.id}", json=change), 409)
    ada = site.person("Ada", is_admin=True)
    ok(root.client.patch(f"/users/{root.id}", json={"is_admin": False}))
    refused(ada.client.patch(f"/users/{ada.id}", json={"disabled": True}), 409)


@pytest.mark.parametrize("zone", ["Mars/Olympus", "../../etc/passwd", "", "a" * 5000, "UTC\0"])
def test_an_unknown_time_zone_is_refused(root: Person, zone: str) -> None:
    refused(root.client.patch(f"/users/{root.id}", json={"time_zone": zone}), 422)


@pytest.mark.parametrize(
    "path",
    [
        "/users?limit=0",
        "/users?limit=-1",
        "/users?after=x",
        "/users?what=1",
        "/users/0",
        "/users/99999999999999999999",
        "/users/x",
    ],
)
def test_what_is_malformed_is_refused(root: Person, path: str) -> None:
    refused(root.client.get(path), 422)
