import json
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path
from threading import Barrier

import pytest

from tailrace.accounts import service
from tailrace.database import Database
from tailrace.errors import Conflict
from tests.features import Site, ok, refused

ADMIN = {"email": "Ada@Site.test", "name": "Ada", "password": "a long password"}


def issue(database: Database) -> str:
    with database.write() as session:
        return service.issue_setup_token(session)


def test_the_set_up_link_creates_the_administrator_once(site: Site) -> None:
    token = issue(site.database)
    user = ok(site.client().post("/setup", json={**ADMIN, "token": token}), 201)
    assert (user["email"], user["is_admin"]) == ("ada@site.test", True)
    assert "sign in" in refused(site.client().post("/setup", json={**ADMIN, "token": token}), 409)
    with site.database.write() as session, pytest.raises(Conflict):
        service.issue_setup_token(session)


def test_of_many_who_set_up_at_once_one_succeeds(site: Site) -> None:
    token, together = issue(site.database), Barrier(6)

    def attempt(number: int) -> int:
        body = {**ADMIN, "email": f"ada{number}@site.test", "token": token}
        with site.client() as client:
            together.wait()
            return client.post("/setup", json=body).status_code

    with ThreadPoolExecutor(6) as pool:
        statuses = sorted(pool.map(attempt, range(6)))
    assert statuses == [201] + [409] * 5
    with site.database.read() as session:
        assert len(service.list_users(session).items) == 1


def test_only_the_latest_link_counts(site: Site) -> None:
    old, new = issue(site.database), issue(site.database)
    refused(site.client().post("/setup", json={**ADMIN, "token": old}), 403)
    ok(site.client().post("/setup", json={**ADMIN, "token": new}), 201)


def test_an_administrator_made_otherwise_ends_the_set_up(site: Site) -> None:
    token = issue(site.database)
    site.person("Root", is_admin=True)
    refused(site.client().post("/setup", json={**ADMIN, "token": token}), 409)


def test_the_link_is_not_stored_in_the_clear(site: Site) -> None:
    token = issue(site.database)
    files = site.database.url.database
    assert files is not None
    stored = b"".join(Path(files + end).read_bytes() for end in ("", "-wal"))
    assert token.encode() not in stored


@pytest.mark.parametrize(
    "changes",
    [
        {"email": "no address"},
        {"email": "a@b\r\nBcc: x@y.z"},
        {"email": "a\0@site.test"},
        {"name": ""},
        {"name": "a\nb"},
        {"name": "a\0b"},
        {"name": "\ud800"},
        {"password": "short"},
        {"password": "long enough \0"},
        {"password": "x" * 1001},
        {"more": 1},
    ],
)
def test_bad_input_is_refused_and_leaves_the_link_good(site: Site, changes: dict[str, object]) -> None:
    token = issue(site.database)
    body = json.dumps({**ADMIN, "token": token, **changes}).encode()
    answer = site.client().post("/setup", content=body, headers={"Content-Type": "application/json"})
    refused(answer, 422)
    ok(site.client().post("/setup", json={**ADMIN, "token": token}), 201)
