import json
import re
from pathlib import Path
from typing import Any

import pytest

import tailrace
from tailrace.mailer import FileMailer
from tailrace.web import assets
from tests.features import Site, ok
from tests.web.browsing import PASSWORD, Browser, visible

SOURCE = Path(tailrace.__file__).parent / "web"
OWN_SCRIPTS_MAX = 30_000


def test_whoever_is_not_signed_in_is_led_to_sign_in_and_back(ada: Browser, site: Site) -> None:
    assert site.client().get("/").headers["location"] == "/sign-in"
    stranger = site.client()
    answer = stranger.get("/web/projects?a=b")
    assert answer.headers["location"] == "/sign-in?next=/web/projects%3Fa%3Db"
    assert 'value="/web/projects?a=b"' in stranger.get(answer.headers["location"]).text
    form = {"email": "ada@site.test", "password": PASSWORD, "next": "/web/projects?a=b"}
    assert stranger.post("/web/sign-in", data=form).headers["location"] == "/web/projects?a=b"


@pytest.mark.parametrize("address", ["//evil.test", "https://evil.test", "/\\evil.test", "evil", "/a\r\nb: c"])
def test_a_sign_in_never_leads_elsewhere(ada: Browser, site: Site, address: str) -> None:
    form = {"email": "ada@site.test", "password": PASSWORD, "next": address}
    assert site.client().post("/web/sign-in", data=form).headers["location"] == "/"


def test_the_set_up_leads_to_the_first_steps_and_keeps_the_zone(ada: Browser, site: Site) -> None:
    text = ada.text("/web/welcome")
    assert "Ada &lt;b&gt;" in text
    assert "Create the demo project" in text
    assert '<svg xmlns="http://www.w3.org/2000/svg"' in text
    assert ok(ada.get("/users/me"))["time_zone"] == "Europe/Zurich"


def test_a_set_up_link_that_was_used_says_so_before_the_sign_in(ada: Browser, site: Site) -> None:
    stranger = site.client()
    assert stranger.get("/setup?token=x").headers["location"] == "/sign-in"
    assert "This set-up link is no longer good" in visible(stranger.get("/sign-in").text)
    assert "set-up link" not in stranger.get("/sign-in").text, "it is said once"
    ada.get("/setup?token=x")
    assert ada.get("/sign-in").headers["location"] == "/"
    assert "This set-up link is no longer good" in ada.text("/")


def test_before_the_set_up_the_sign_in_says_what_to_do(site: Site) -> None:
    assert "set-up link" in site.client().get("/sign-in").text


def test_a_mistake_in_the_set_up_is_told_beside_its_field_and_what_was_typed_stays(
    site: Site, setup_token: str
) -> None:
    form = {"token": setup_token, "email": "ada@site.test", "name": 'Ada "x', "password": "short"}
    answer = site.client().post("/web/setup", data=form)
    assert answer.status_code == 422
    assert '<p class="fault" id="password-fault">Must have 10 characters or more.</p>' in answer.text
    assert 'value="ada@site.test"' in answer.text
    assert 'value="Ada &#34;x"' in answer.text
    assert 'value="short"' not in answer.text


@pytest.mark.parametrize("secret", ["", "x"])
def test_a_wrong_set_up_link_is_refused_before_anything_is_typed(site: Site, setup_token: str, secret: str) -> None:
    form = {"token": secret, "email": "ada@site.test", "name": "Ada", "password": PASSWORD}
    for answer in (site.client().get("/setup", params={"token": secret}), site.client().post("/web/setup", data=form)):
        assert answer.status_code == 403
        assert "<form" not in answer.text
        assert "make serve" in answer.text
    assert "<form" in site.client().get("/setup", params={"token": setup_token}).text


def test_whoever_is_signed_in_need_not_sign_in_again(ada: Browser) -> None:
    answer = ada.get("/sign-in")
    assert (answer.status_code, answer.headers["location"]) == (303, "/")


def test_signing_in_and_out(ada: Browser, site: Site) -> None:
    assert ada.sent("/web/sign-out") == "/sign-in"
    assert ada.get("/").headers["location"] == "/sign-in"
    wrong = site.client().post("/web/sign-in", data={"email": "ada@site.test", "password": "wrong one"})
    assert wrong.status_code == 401
    assert "wrong" in wrong.text
    right = site.client()
    assert right.post("/web/sign-in", data={"email": "Ada@site.test", "password": PASSWORD}).status_code == 303
    assert right.get("/").status_code == 200


@pytest.mark.parametrize("form", [{}, {"email": "\0", "password": "\0"}, {"email": "a@b\r\nc", "password": "x"}])
def test_a_malformed_sign_in_is_explained(site: Site, form: dict[str, str]) -> None:
    answer = site.client().post("/web/sign-in", data=form)
    assert answer.status_code == 422
    assert 'class="fault"' in answer.text


def test_a_form_without_the_token_of_its_session_changes_nothing(ada: Browser, site: Site) -> None:
    stranger = site.client()
    for token in ("", "x", "é", ada.token[:-1]):
        answer = ada.client.post("/web/projects", data={"name": "Forged", "forgery_token": token})
        assert answer.status_code == 403
        assert "reload the page" in answer.text
    assert ok(ada.get("/projects"))["items"] == []
    assert stranger.post("/web/projects", data={"name": "Nobody's"}).headers["location"] == "/sign-in"
    assert ada.sent("/web/projects", name="Mill Quarter").startswith("/web/projects/")


def test_one_session_s_token_is_of_no_use_in_another(ada: Browser, site: Site) -> None:
    client = site.client()
    client.post("/web/sign-in", data={"email": "ada@site.test", "password": PASSWORD})
    other = Browser(client)
    assert other.token != ada.token
    assert ada.client.post("/web/projects", data={"name": "x", "forgery_token": other.token}).status_code == 403


def test_a_project_is_created_changed_and_put_into_the_archive(ada: Browser) -> None:
    address = ada.sent("/web/projects", name="<script>alert(1)</script>", description="*Text*")
    settings = f"{address}/settings"
    assert "&lt;script&gt;" in ada.text(settings)
    assert ada.sent(settings, name="Mill Quarter", description="line\r\nline") == settings
    assert "Saved." in ada.text(settings)
    assert "Saved." not in ada.text(settings), "a message is shown once"
    assert ok(ada.get(address.removeprefix("/web")))["description"] == "line\nline"
    ada.sent(f"{address}/archive", archived="true")
    assert "In the archive" in ada.text(settings)
    assert "In the archive" in ada.text("/web/projects")


def test_a_text_that_somebody_else_changed_meanwhile_is_not_lost(ada: Browser) -> None:
    address = ada.sent("/web/projects", name="Mill", description="As it was")
    settings = f"{address}/settings"
    seen: dict[str, Any] = {"seen_name": "Mill", "seen_description": "As it was"}
    assert 'name="seen_name" value="Mill"' in ada.text(settings)
    ada.sent(settings, **seen, name="Mill", description="By <Ben>")
    ada.sent(settings, **seen, name="Mill Quarter", description="As it was")
    project = ok(ada.get(address.removeprefix("/web")))
    assert (project["name"], project["description"]) == ("Mill Quarter", "By <Ben>"), "two texts are two changes"
    refused = ada.send(settings, **seen, name="Old Mill", description="By Ada")
    assert refused.status_code == 409
    for text in ("changed the name and the description", "By now it is “Mill Quarter”", "By <Ben>", "By Ada"):
        assert text in visible(refused.text)
    assert 'name="seen_name" value="Mill Quarter"' in refused.text
    again: dict[str, Any] = {"seen_name": "Mill Quarter", "seen_description": "By <Ben>"}
    ada.sent(settings, **again, name="Old Mill", description="By Ada")
    assert ok(ada.get(address.removeprefix("/web")))["name"] == "Old Mill"


def test_a_project_without_a_name_is_refused_beside_its_field(ada: Browser) -> None:
    answer = ada.send("/web/projects", name=" ", description="kept as it was")
    assert answer.status_code == 422
    assert 'id="name-fault">This is needed.' in answer.text
    assert "kept as it was" in answer.text


def test_members_come_change_and_go(ada: Browser, site: Site) -> None:
    person = site.person("Ben")
    address = ada.sent("/web/projects", name="Mill Quarter")
    settings, members = f"{address}/settings", f"{address}/members"
    ada.sent(members, email="ben@site.test", role="viewer")
    assert "ben@site.test" in ada.text(settings)
    again = ada.send(members, email="ben@site.test", role="viewer")
    assert again.status_code == 409
    assert 'id="email-fault">ben@site.test is a member already' in again.text
    ada.sent(f"{members}/{person.id}", role="manager")
    assert ok(person.client.get(address.removeprefix("/web")))["role"] == "manager"
    question = visible(ada.text(f"{members}/{person.id}/delete"))
    assert "Remove Ben from this project?" in question
    assert ok(person.client.get(address.removeprefix("/web")))["role"] == "manager", "nothing happened yet"
    ada.sent(f"{members}/{person.id}/delete")
    assert ada.get(f"{members}/{person.id}/delete").status_code == 404
    assert person.client.get(address.removeprefix("/web")).status_code == 404


def test_whoever_would_leave_is_asked_and_told_what_is_lost(ada: Browser, site: Site) -> None:
    person = site.person("Ben")
    address = ada.sent("/web/projects", name="Mill Quarter")
    api, me = address.removeprefix("/web"), f"{address}/members/{ok(ada.get('/users/me'))['id']}/delete"
    ok(ada.client.post(f"{api}/tasks", json={"title": "Sweep", "assignee": "me"}), 201)
    settings = ada.text(f"{address}/settings")
    assert f'href="{me}"' in settings
    assert f'action="{me}"' not in settings
    question = visible(ada.text(me))
    assert "Leave this project?" in question
    assert "1 task that is yours will then be nobody's" in question
    last = ada.send(me)
    assert last.status_code == 409
    assert "without a manager" in visible(last.text)
    ada.sent(f"{address}/members", email="ben@site.test", role="manager")
    ada.sent(me)
    members = ok(person.client.get(f"{api}/members"))["items"]
    assert [member["user"]["name"] for member in members] == ["Ben"]


def test_an_api_token_is_shown_once_works_and_is_revoked(ada: Browser, site: Site) -> None:
    answer = ada.send("/web/account/tokens", name="laptop")
    found = re.search(r"trt_[\w-]+", answer.text)
    assert found is not None
    assert ok(site.client(token=found[0]).get("/users/me"))["email"] == "ada@site.test"
    page = ada.text("/web/account")
    assert found[0] not in page
    revoke = re.search(r"/web/account/tokens/\d+/delete", page)
    assert revoke is not None
    ada.sent(revoke[0])
    assert site.client(token=found[0]).get("/users/me").status_code == 401
    assert ada.send("/web/account/tokens", name="\0").status_code == 422


@pytest.mark.parametrize("zone", ["CET", "GMT", "UTC", "Europe/Zurich"])
def test_a_zone_of_any_name_stays_when_the_name_is_saved(ada: Browser, zone: str) -> None:
    ok(ada.client.patch("/users/1", json={"time_zone": zone}))
    options = re.findall(r'<option value="([^"]*)"( selected)?', ada.text("/web/account"))
    assert [value for value, selected in options if selected] == [zone]
    assert len([value for value, _ in options if value == zone]) == 1


def test_a_new_password_keeps_this_browser_and_signs_out_the_others(ada: Browser, site: Site) -> None:
    elsewhere = site.client()
    elsewhere.post("/web/sign-in", data={"email": "ada@site.test", "password": PASSWORD})
    wrong = ada.send("/web/account/password", current_password="no", password="another long one")
    assert 'id="current_password-fault">This is not your present password.' in wrong.text
    ada.sent("/web/account/password", current_password=PASSWORD, password="another long one")
    assert ada.get("/").status_code == 200
    assert elsewhere.get("/").status_code == 303


def test_the_demo_project_stays_in_view_after_a_test_mail(ada: Browser, site: Site, tmp_path: Path) -> None:
    site.app.state.mailer, site.app.state.mail_from = FileMailer(tmp_path / "mails"), "tailrace@site.test"
    where = ada.sent("/web/welcome/demo", tasks="500").partition("#")[0]
    form = re.search(r'action="(/web/welcome/mail[^"#]*)#mail"', ada.text(where))
    assert form is not None
    text = ada.send(form[1].replace("&amp;", "&"), email="ada@site.test").text
    assert "the mail is the file" in text
    assert "Open the demo project" in text
    assert "Create the demo project" not in text


def test_a_demo_project_and_its_progress(ada: Browser) -> None:
    where = ada.sent("/web/welcome/demo", tasks="500")
    text = ada.text(where.partition("#")[0])
    assert "Waiting for its turn" in text
    bar = re.search(r'hx-get="(/web/jobs/\w+/bar)"', text)
    assert bar is not None
    assert "<progress" in ada.text(bar[1], headers={"HX-Request": "true"})


def test_a_refusal_is_a_page_and_for_htmx_a_message(ada: Browser) -> None:
    page = ada.get("/web/projects/999/settings")
    assert page.status_code == 404
    assert "no member of it" in visible(page.text)
    part = ada.get("/web/projects/999/settings", headers={"HX-Request": "true"})
    assert part.headers["hx-reswap"] == "none"
    assert "no member of it" in part.headers["hx-trigger"]
    assert ada.get("/web/nothing/here").status_code == 404
    assert "<html" in ada.get("/web/projects/x/settings").text


def test_a_refusal_has_the_navigation_and_leads_back(ada: Browser, site: Site) -> None:
    address = ada.sent("/web/projects", name="Mill Quarter")
    came = {"Referer": f"http://testserver{address}?status=all"}
    text = ada.get("/web/projects/999/settings", headers=came).text
    assert 'aria-label="Sections"' in text
    assert "Mill Quarter" in text
    assert f'<a class="button" href="{address}?status=all">' in text
    assert "Check the address, or search" in visible(text)
    elsewhere = ada.get("/web/projects/999/settings", headers={"Referer": f"https://evil.test{address}"}).text
    assert f'href="{address}?status=all"' not in elsewhere
    ada.sent(f"{address}/archive", archived="true")
    late = ada.send(f"{address}/quick", text="x")
    assert late.status_code == 409
    assert "This is not possible now" in visible(late.text)
    assert "archived" in visible(late.text)
    stale = ada.client.post("/web/projects", data={"name": "x"})
    assert "This page is out of date" in visible(stale.text)
    assert 'aria-label="Sections"' in stale.text
    assert "There is nothing here" in visible(ada.send("/web/nothing").text)
    outside = site.client().get("/web/nothing")
    assert outside.status_code == 404
    assert 'aria-label="Sections"' not in outside.text


def test_who_fails_to_sign_in_before_the_set_up_is_told_of_its_link_all_the_same(site: Site) -> None:
    form = {"email": "ada@site.test", "password": PASSWORD}
    for answer in (site.client().get("/sign-in"), site.client().post("/web/sign-in", data=form)):
        assert "Open the set-up link" in visible(answer.text)


def test_what_was_written_is_shown_again_to_who_sent_it_after_a_sign_out(ada: Browser, site: Site) -> None:
    address = ada.sent("/web/projects", name="Mill Quarter")
    words = "Two <lines>\r\nof a description"
    sent = {"name": "Mill", "description": words, "password": "not this one"}
    came = {"Referer": f"http://testserver{address}/settings"}
    for client in (site.client(), ada.client):  # one without a session, and one of an earlier session
        refused = client.post(f"{address}/settings", data=sent, headers=came)
        assert "Two &lt;lines&gt;\nof a description</textarea>" in refused.text
        assert "not this one" not in refused.text
    gone = site.client().post(f"{address}/settings", data=sent, headers=came)
    assert gone.status_code == 401
    unbroken = site.client().post(f"{address}/settings", data={**sent, "description": "記録" * 20}, headers=came)
    assert "記録" * 20 in unbroken.text
    assert "Copy what you wrote, sign in, and send it again" in visible(gone.text)
    assert f'href="/sign-in?next={address}/settings"' in gone.text
    assert site.client().post(f"{address}/settings", data={"name": "Mill"}).headers["location"] == "/sign-in"


def test_a_part_for_somebody_signed_out_tells_the_page_which_keeps_what_was_typed(site: Site) -> None:
    answer = site.client().get("/web/search", headers={"HX-Request": "true"})
    assert (answer.status_code, answer.headers["hx-trigger"]) == (204, "signed-out")
    assert "hx-refresh" not in answer.headers


def test_a_page_of_an_earlier_sign_in_is_given_the_token_of_the_new_one(ada: Browser, site: Site) -> None:
    address = ada.sent("/web/projects", name="Mill Quarter")
    old = {"HX-Request": "true", "X-Forgery-Token": ada.token}
    ada.client.post("/web/sign-in", data={"email": "ada@site.test", "password": PASSWORD})
    refused = ada.client.post(f"{address}/quick", data={"text": "typed before"}, headers=old)
    assert refused.status_code == 403
    news = json.loads(refused.headers["hx-trigger"])
    assert "Send it once more" in news["say"]["text"]
    assert news["token"]["user"] == str(ok(ada.get("/users/me"))["id"])
    new = {"HX-Request": "true", **json.loads(news["token"]["headers"])}
    assert ada.client.post(f"{address}/quick", data={"text": "typed before"}, headers=new).status_code == 200


def test_the_search_finds_pages_projects_and_tasks(ada: Browser) -> None:
    project = int(ada.sent("/web/projects", name="Mill Quarter").rpartition("/")[2])
    ok(ada.client.post(f"/projects/{project}/tasks", json={"title": "<img src=x> valve"}), 201)
    found = ada.text("/web/search?q=valv", headers={"HX-Request": "true"})
    assert "&lt;img src=x&gt; valve" in found
    assert "<html" not in found
    assert "Mill Quarter" in ada.text("/web/search?q=mill")
    assert "Nothing has these words" in ada.text("/web/search?q=zzz")
    assert "Inbox" in visible(ada.text("/web/search?q=inbox"))


def test_pages_may_load_their_own_files_and_nothing_else(ada: Browser, site: Site) -> None:
    for path, client in (("/", ada.client), ("/web/welcome", ada.client), ("/sign-in", site.client())):
        answer = client.get(path)
        policy = answer.headers["content-security-policy"]
        assert policy.startswith("default-src 'none'; script-src 'self'; style-src 'self';")
        assert "unsafe" not in policy
        assert answer.headers["cache-control"] == "no-store"
        assert not re.search(r"<script>|<style|\sstyle=|\son\w+=", answer.text)


def test_files_are_kept_for_ever_under_an_address_of_their_content(site: Site) -> None:
    client = site.client()
    for name in ("tailrace.css", "page.js", "icons.svg", "vendor/htmx.min.js"):
        answer = client.get(assets.asset(name))
        assert answer.status_code == 200
        assert "immutable" in answer.headers["cache-control"]
    assert client.get("/assets/000000000000/page.js").headers["cache-control"] == "no-cache"
    for name in ("..%2Froutes.py", "vendor/README", "nothing.js"):
        assert client.get(f"/assets/{assets.digest()}/{name}").status_code == 404


def test_our_own_scripts_stay_small() -> None:
    scripts = [path for path in (SOURCE / "static").rglob("*.js") if "vendor" not in path.parts]
    assert sum(path.stat().st_size for path in scripts) < OWN_SCRIPTS_MAX


def test_every_icon_that_a_page_names_is_in_the_sprite() -> None:
    sprite = set(re.findall(r'<symbol id="([\w-]+)"', (SOURCE / "static" / "icons.svg").read_text()))
    named = {
        name
        for path in (SOURCE / "templates").rglob("*.html")
        for name in re.findall(r"""icon\("([\w-]+)"[,)]""", path.read_text())
    }
    assert named - sprite == set()
