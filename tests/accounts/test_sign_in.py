import pytest
from sqlalchemy import func, select

from tailrace.accounts import passwords, routes, service, sign_in
from tailrace.accounts.models import UserSession
from tailrace.accounts.passwords import hash_password, verify_password
from tailrace.accounts.principal import Principal
from tailrace.accounts.schemas import UserChanges, UserView
from tailrace.accounts.sign_in import PER_ACCOUNT, PER_ADDRESS, SignInLimits
from tailrace.database import Database
from tailrace.errors import TooManyRequests, Unauthorized, Unavailable
from tailrace.web import account
from tests.features import Site, ok, refused
from tests.web.browsing import Browser

PASSWORD = "a long password"
ADA = {"email": "ada@site.test", "password": PASSWORD}


@pytest.fixture(scope="module")
def password_hash() -> str:
    return hash_password(PASSWORD)


@pytest.fixture
def ada(database: Database, password_hash: str) -> UserView:
    with database.write() as session:
        return service.create_user(session, email="ada@site.test", name="Ada", password_hash=password_hash)


def test_a_session_begins_and_ends(site: Site, ada: UserView) -> None:
    client = site.client()
    answer = client.post("/session", json={"email": " ADA@site.test".strip(), "password": PASSWORD})
    assert ok(answer, 201)["user"]["id"] == ada.id
    cookie = answer.headers["set-cookie"]
    assert "HttpOnly" in cookie
    assert "SameSite=lax" in cookie
    assert "Secure" not in cookie
    assert ok(client.get("/session"))["via"] == "session"
    secret = client.cookies["tailrace_session"]
    assert client.delete("/session").status_code == 204
    refused(client.get("/session"), 401)
    again = site.client()
    again.cookies.set("tailrace_session", secret)
    refused(again.get("/session"), 401)
    assert client.delete("/session").status_code == 204


@pytest.mark.parametrize(("own", "asked"), [("https://tail.test", "http://testserver"), ("", "https://testserver")])
def test_behind_https_the_cookie_is_secure(database: Database, ada: UserView, own: str, asked: str) -> None:
    client = Site(database, base_url=own).client(base_url=asked)
    assert "Secure" in client.post("/session", json=ADA).headers["set-cookie"]


def test_a_wrong_password_and_an_unknown_address_look_alike(site: Site, ada: UserView) -> None:
    wrong = site.client().post("/session", json={**ADA, "password": "something else"})
    unknown = site.client().post("/session", json={**ADA, "email": "eve@site.test"})
    assert refused(wrong, 401) == refused(unknown, 401)
    assert wrong.json() == unknown.json()


def test_somebody_without_a_password_or_disabled_cannot_sign_in(site: Site, ada: UserView) -> None:
    root, bob = site.person("Root", is_admin=True), site.person("Bob")
    refused(site.client().post("/session", json={**ADA, "email": bob.email, "password": "!"}), 401)
    ok(root.client.patch(f"/users/{ada.id}", json={"disabled": True}))
    refused(site.client().post("/session", json=ADA), 401)


def test_guessing_is_slowed_down_and_then_even_the_right_password_waits(site: Site, ada: UserView) -> None:
    client = site.client()
    for _ in range(PER_ACCOUNT.amount):
        refused(client.post("/session", json={**ADA, "password": "x"}), 401)
    answer = client.post("/session", json=ADA)
    refused(answer, 429)
    assert 1 <= int(answer.headers["retry-after"]) <= 300
    refused(client.post("/session", json={**ADA, "email": "other@site.test"}), 401)


def test_a_success_forgets_the_mistakes_before_it() -> None:
    limits = SignInLimits()
    for _ in range(PER_ACCOUNT.amount - 1):
        limits.attempt("ada", "10.0.0.1")
    limits.succeeded("ada")
    for _ in range(PER_ACCOUNT.amount):
        limits.attempt("ada", "10.0.0.1")
    with pytest.raises(TooManyRequests):
        limits.attempt("ada", "10.0.0.1")


@pytest.mark.parametrize("address", ["10.0.0.{}", "2001:db8::{:x}"])
def test_an_address_that_tries_many_accounts_is_slowed_down(address: str) -> None:
    limits = SignInLimits()
    spread = 1 if ":" not in address else 50
    for number in range(PER_ADDRESS.amount):
        limits.attempt(f"person {number}", address.format(number % spread + 1))
    with pytest.raises(TooManyRequests):
        limits.attempt("one more", address.format(1))
    limits.attempt("one more", "192.0.2.1")


def test_a_new_password_needs_the_old_one_and_ends_every_session(site: Site, ada: UserView) -> None:
    client, other = site.client(), site.client()
    for each in (client, other):
        ok(each.post("/session", json=ADA), 201)
    change = {"password": "another long one"}
    refused(client.patch(f"/users/{ada.id}", json=change), 422)
    refused(client.patch(f"/users/{ada.id}", json={**change, "current_password": "wrong"}), 422)
    ok(client.patch(f"/users/{ada.id}", json={**change, "current_password": PASSWORD}))
    for each in (client, other):
        refused(each.get("/session"), 401)
    refused(client.post("/session", json=ADA), 401)
    ok(client.post("/session", json={**ADA, "password": change["password"]}), 201)


def test_a_crowd_waits_for_its_turn_and_not_for_ever(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(passwords, "QUEUE_TIMEOUT_S", 0.01)
    with passwords._turn(), passwords._turn(), pytest.raises(Unavailable):
        hash_password("whatever it is")
    assert verify_password("x", "!") is False


@pytest.mark.parametrize("changes", [UserChanges(name="Ada"), UserChanges(disabled=True)])
def test_a_session_for_a_password_that_was_changed_meanwhile_is_not_opened(
    database: Database, ada: UserView, changes: UserChanges, monkeypatch: pytest.MonkeyPatch
) -> None:
    root = Principal(0, "root@site.test", "Root", is_admin=True, via="session")
    new = None if changes.disabled else hash_password("another long password")

    def verify_slowly(password: str, password_hash: str) -> bool:
        with database.write() as session:
            service.update_user(session, root, ada.id, changes, password_hash=new)
        return verify_password(password, password_hash)

    monkeypatch.setattr(sign_in, "verify_password", verify_slowly)
    with pytest.raises(Unauthorized):
        sign_in.sign_in(database, SignInLimits(), email=ada.email, password=PASSWORD, address="10.0.0.1")
    with database.read() as session:
        assert session.scalar(select(func.count()).select_from(UserSession)) == 0


@pytest.mark.parametrize("by_page", [False, True])
def test_a_password_that_was_changed_meanwhile_is_not_changed_by_the_old_one(
    site: Site, ada: UserView, by_page: bool, monkeypatch: pytest.MonkeyPatch
) -> None:
    root = Principal(0, "root@site.test", "Root", is_admin=True, via="session")
    client = site.client()
    ok(client.post("/session", json=ADA), 201)
    token = Browser(client).token

    def hash_slowly(password: str) -> str:
        with site.database.write() as session:
            service.update_user(session, root, ada.id, UserChanges(), password_hash=hash_password("the owner's own"))
        return hash_password(password)

    monkeypatch.setattr(account if by_page else routes, "hash_password", hash_slowly)
    given = {"password": "the thief's choice", "current_password": PASSWORD}
    if by_page:
        answer = client.post("/web/account/password", data={**given, "forgery_token": token})
    else:
        answer = client.patch(f"/users/{ada.id}", json=given, headers={"Origin": "http://testserver"})
    assert answer.status_code == 409, answer.text
    refused(site.client().post("/session", json={**ADA, "password": given["password"]}), 401)
    ok(site.client().post("/session", json={**ADA, "password": "the owner's own"}), 201)
