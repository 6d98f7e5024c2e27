import sqlite3
from datetime import timedelta
from typing import Any

import pytest
from sqlalchemy import select, update

from tailrace.accounts import service
from tailrace.accounts.models import ApiToken, UserSession
from tailrace.database import Database, utcnow
from tailrace.errors import Unauthorized
from tests.features import Person, Site, ok, refused


@pytest.fixture
def ada(site: Site) -> Person:
    return site.person("Ada")


def last_used(database: Database) -> Any:
    with database.read() as session:
        return session.scalars(select(ApiToken.last_used_at)).one()


def test_a_token_is_shown_once_and_stored_as_a_hash(site: Site, ada: Person) -> None:
    made = ok(ada.client.post("/tokens", json={"name": "script", "days": 3}), 201)
    assert made["token"].startswith("trt_")
    listed = ok(ada.client.get("/tokens"))["items"]
    assert listed[0]["name"] == "script"
    assert "token" not in listed[0]
    file = site.database.url.database
    assert file is not None
    with sqlite3.connect(file) as connection:
        dump = "\n".join(connection.iterdump())
    connection.close()
    assert made["token"] not in dump


def test_a_revoked_token_is_worth_nothing_and_only_its_owner_revokes_it(site: Site, ada: Person) -> None:
    made = ok(ada.client.post("/tokens", json={}), 201)
    refused(site.person("Bob").client.delete(f"/tokens/{made['id']}"), 404)
    assert ada.client.delete(f"/tokens/{made['id']}").status_code == 204
    refused(ada.client.delete(f"/tokens/{made['id']}"), 404)
    refused(site.client(token=made["token"]).get("/users/me"), 401)


@pytest.mark.parametrize("via", ["session", "token"])
def test_what_has_expired_is_worth_nothing(site: Site, ada: Person, via: str) -> None:
    with site.database.write() as session:
        secret = service.open_session(session, ada.id)
        token = service.create_token(session, ada.id, name="x", days=1).token
        for kind in (UserSession, ApiToken):
            session.execute(update(kind).values(expires_at=utcnow() - timedelta(seconds=1)))
    authenticate = {"token": service.authenticate_token, "session": service.authenticate_session}[via]
    with site.database.read() as session, pytest.raises(Unauthorized):
        authenticate(session, token if via == "token" else secret)


@pytest.mark.parametrize("header", ["Bearer nonsense", "Bearer ", "Basic YTpi", "Bearer \xe9"])
def test_other_headers_are_refused_with_the_way_to_sign_in(site: Site, header: str) -> None:
    answer = site.client().get("/users/me", headers={b"Authorization": header.encode("latin-1")})
    refused(answer, 401)
    assert answer.headers["www-authenticate"] == "Bearer"


def test_a_wrong_header_is_not_mended_by_a_cookie(site: Site, ada: Person) -> None:
    with site.database.write() as session:
        secret = service.open_session(session, ada.id)
    client = site.client()
    client.cookies.set("tailrace_session", secret)
    ok(client.get("/users/me"))
    refused(client.get("/users/me", headers={"Authorization": "Bearer trt_wrong"}), 401)


def test_the_last_use_is_noted_at_most_once_a_minute(site: Site, ada: Person) -> None:
    assert last_used(site.database) is None
    ok(ada.client.get("/users/me"))
    noted = last_used(site.database)
    ok(ada.client.get("/users/me"))
    assert last_used(site.database) == noted
    with site.database.write() as session:
        session.execute(update(ApiToken).values(last_used_at=noted - timedelta(seconds=61)))
    ok(ada.client.get("/users/me"))
    assert last_used(site.database) >= noted


def test_nobody_waits_for_a_busy_database_to_note_the_use(site: Site, ada: Person) -> None:
    with site.database.write() as session:
        session.execute(update(ApiToken).values(name="held"))
        ok(ada.client.get("/users/me"))
    assert last_used(site.database) is None
    ok(ada.client.get("/users/me"))
    assert last_used(site.database) is not None


def test_a_disabled_person_is_out_at_once(site: Site, ada: Person) -> None:
    root = site.person("Root", is_admin=True)
    ok(root.client.patch(f"/users/{ada.id}", json={"disabled": True}))
    refused(ada.client.get("/users/me"), 401)
    with site.database.read() as session:
        assert not service.is_member_address(session, ada.email)
        assert service.is_member_address(session, root.email)
