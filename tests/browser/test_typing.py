"""What is being typed is neither lost nor sent before it is finished, whatever happens meanwhile."""

import re

import httpx2
import pytest
from playwright.sync_api import Page, expect

from tests.browser.pictures import hang, picture
from tests.browser.site import ADDRESS, PASSWORD, LiveSite, connected

BEA = "bea@example.org"


@pytest.fixture(scope="module")
def bea(live: LiveSite) -> str:
    """Give the secret of a session of Bea, who is no administrator."""
    live.service.create_user(BEA)
    return sign_in(live, BEA)


def sign_in(live: LiveSite, email: str) -> str:
    answer = httpx2.post(f"{live.service.url}/session", json={"email": email, "password": PASSWORD})
    found = re.search(r"tailrace_session=([^;]+)", answer.headers["set-cookie"])
    assert found is not None
    return found[1]


def as_person(live: LiveSite, secret: str, path: str) -> Page:
    """Return a page in a browser profile with this session."""
    context = live.browser.new_context(base_url=live.service.url, reduced_motion="reduce")
    context.set_default_timeout(15_000)
    context.add_cookies([{"name": "tailrace_session", "value": secret, "url": live.service.url}])
    page = context.new_page()
    page.goto(path)
    connected(page)
    return page


def membership(live: LiveSite, project: int) -> int:
    member = live.call("POST", f"/projects/{project}/members", email=BEA, role="member")
    return int(member["user"]["id"])


def test_who_loses_another_project_goes_on_typing_and_stays_live(live: LiveSite, bea: str) -> None:
    project, other = live.project("Stays"), live.project("Goes")
    user = membership(live, project)
    membership(live, other)
    task = live.task(project, "one")
    page = as_person(live, bea, f"/web/tasks/{task}")
    second = page.context.new_page()
    second.goto(f"/web/projects/{other}")
    connected(second)
    page.evaluate("window.neverReloaded = true")
    page.get_by_role("textbox", name="Comment").fill("half a tho")
    live.call("DELETE", f"/projects/{other}/members/{user}")
    expect(second.get_by_role("heading", name="There is nothing here")).to_be_visible()
    live.call("POST", f"/tasks/{task}/comments", body="Said afterwards")
    expect(page.locator(".comment")).to_contain_text(["Said afterwards"])
    expect(page.get_by_role("textbox", name="Comment")).to_have_value("half a tho")
    expect(page.locator(".notice:visible")).to_have_count(0)
    assert page.evaluate("window.neverReloaded")
    page.context.close()


def test_who_loses_the_project_of_the_page_is_told_and_keeps_the_text(live: LiveSite, bea: str) -> None:
    project = live.project("Lost")
    user = membership(live, project)
    page = as_person(live, bea, f"/web/tasks/{live.task(project, 'one')}")
    page.get_by_role("textbox", name="Comment").fill("a long thought")
    live.call("DELETE", f"/projects/{project}/members/{user}")
    expect(page.locator("#lost")).to_be_visible()
    expect(page.get_by_role("textbox", name="Comment")).to_have_value("a long thought")
    page.locator("#lost").get_by_role("link").click()
    expect(page.get_by_role("heading", name="There is nothing here")).to_be_visible()
    page.context.close()


def test_a_description_that_is_sent_after_a_sign_out_is_shown_again(live: LiveSite) -> None:
    project = live.project("Signed out meanwhile")
    page = as_person(live, sign_in(live, ADDRESS), f"/web/projects/{project}/settings")
    page.get_by_label("Description").fill("Two lines\nthat took a while.")
    page.context.clear_cookies()
    page.get_by_role("button", name="Save").click()
    expect(page.get_by_role("heading", name="You are signed out")).to_be_visible()
    expect(page.get_by_label("What you wrote")).to_have_value("Two lines\nthat took a while.")
    page.get_by_role("link", name="Sign in").click()
    page.get_by_label("E-mail address").fill(ADDRESS)
    page.get_by_label("Password").fill(PASSWORD)
    page.get_by_role("button", name="Sign in").click()
    expect(page.get_by_label("Description")).to_be_visible()
    page.context.close()


def test_who_is_signed_out_keeps_the_text_and_sends_it_after_signing_in_again(live: LiveSite) -> None:
    project = live.project("Signed out")
    task = live.task(project, "one")
    page = as_person(live, sign_in(live, ADDRESS), f"/web/tasks/{task}")
    field = page.get_by_role("textbox", name="Comment")
    field.fill("a long thought")
    other = page.context.new_page()
    other.goto("/web/account")
    other.get_by_role("button", name="Sign out").click()
    expect(other.get_by_role("heading", name="Sign in")).to_be_visible()
    page.get_by_role("button", name="Comment").click()
    notice = page.locator("#out")
    expect(notice).to_be_visible()
    expect(field).to_have_value("a long thought")
    other.get_by_label("E-mail address").fill(ADDRESS)
    other.get_by_label("Password").fill(PASSWORD)
    other.get_by_role("button", name="Sign in").click()
    expect(other.get_by_role("heading", name="My tasks")).to_be_visible()
    expect(notice).to_be_hidden()
    page.get_by_role("button", name="Comment").click()
    expect(page.get_by_text("Send it once more")).to_be_visible()
    expect(field).to_have_value("a long thought")
    page.get_by_role("button", name="Comment").click()
    expect(page.locator(".comment")).to_contain_text(["a long thought"])
    page.context.close()


def test_a_date_that_is_typed_is_sent_once_when_it_is_whole(live: LiveSite) -> None:
    task = live.task(live.project("Dates"), "one")
    page = live.page(f"/web/tasks/{task}")
    connected(page)
    sent = sent_forms(page, task)
    page.keyboard.press("d")
    page.keyboard.type("12312027")
    # The field's own calendar is a stop on the way out of it.
    page.keyboard.press("Tab")
    page.keyboard.press("Tab")
    expect(page.locator("#timeline")).to_contain_text("31 December 2027")
    page.get_by_label("Due").focus()
    page.keyboard.type("11302027")
    page.keyboard.press("Enter")
    expect(page.locator("#timeline")).to_contain_text("30 November 2027")
    assert len(sent) == 2
    page.context.close()


def test_a_choice_moved_by_arrows_is_sent_once_and_one_by_pointer_at_once(live: LiveSite) -> None:
    task = live.task(live.project("Choices"), "one")
    page = live.page(f"/web/tasks/{task}")
    connected(page)
    sent = sent_forms(page, task)
    page.keyboard.press("s")
    page.keyboard.press("ArrowDown")
    page.keyboard.press("ArrowDown")
    page.keyboard.press("Tab")
    expect(page.locator("#timeline")).to_contain_text("set the status to Blocked")
    assert len(sent) == 1
    expect(page.locator("#timeline")).not_to_contain_text("set the status to Doing")
    page.get_by_label("Priority", exact=True).select_option("High")
    expect(page.locator("#timeline")).to_contain_text("High")
    assert len(sent) == 2
    page.context.close()


def test_what_was_seen_of_a_caption_stays_with_what_is_being_typed(live: LiveSite) -> None:
    task = live.task(live.project("Captions"), "one")
    (photo,) = hang(live, task, picture(1, (640, 480)))
    page = live.page(f"/web/photos/{photo}")
    connected(page)
    page.get_by_label("Caption").fill("by Ada")
    live.call("PATCH", f"/photos/{photo}", caption="by Ben")
    expect(page).to_have_title(re.compile("by Ben"))
    page.get_by_role("button", name="Save").click()
    expect(page.get_by_text("Somebody else wrote “by Ben” meanwhile.")).to_be_visible()
    expect(page.get_by_label("Caption")).to_have_value("by Ada")
    page.get_by_role("button", name="Save").click()
    expect(page).to_have_title(re.compile("by Ada"))
    page.context.close()


def test_a_role_is_given_by_a_button(live: LiveSite, bea: str) -> None:
    project = live.project("Roles")
    user = membership(live, project)
    page = live.page(f"/web/projects/{project}/settings")
    line = page.locator(".members li", has_text=BEA)
    line.get_by_role("combobox").focus()
    page.keyboard.press("ArrowUp")
    page.keyboard.press("Tab")
    assert role(live, project, user) == "member"
    line.get_by_role("combobox").select_option("Manager")
    line.get_by_role("button", name="Change").click()
    expect(page.get_by_text("is a manager now")).to_be_visible()
    assert role(live, project, user) == "manager"
    page.context.close()


def role(live: LiveSite, project: int, user: int) -> str:
    members = live.call("GET", f"/projects/{project}/members")["items"]
    return str(next(member["role"] for member in members if member["user"]["id"] == user))


def sent_forms(page: Page, task: int) -> list[str]:
    """Return the forms that the page sends to the task, as they come."""
    sent: list[str] = []
    address = f"/web/tasks/{task}"
    page.on(
        "request", lambda request: sent.append(request.url) if is_form(request.method, request.url, address) else None
    )
    return sent


def is_form(method: str, url: str, address: str) -> bool:
    return method == "POST" and url.endswith(address)
