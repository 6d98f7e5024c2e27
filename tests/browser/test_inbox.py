"""The inbox: its count goes up in every window by itself, and keys are enough to work through it."""

from collections.abc import Iterator

import httpx2
import pytest
from playwright.sync_api import Page, expect

from tests.browser.site import ADDRESS, LiveSite, connected
from tests.browser.test_accessibility import faults

COLLEAGUE = "bea@example.org"


@pytest.fixture(scope="module")
def bea(live: LiveSite) -> Iterator[httpx2.Client]:
    """Give a client for somebody whose own changes are told to Ada."""
    with live.service.client(live.service.create_user(COLLEAGUE)) as client:
        yield client


@pytest.fixture
def project(live: LiveSite, bea: httpx2.Client) -> int:
    """Return a project of Ada's in which Bea works, with an inbox in which all is read."""
    project = live.project("Weir")
    live.call("POST", f"/projects/{project}/members", email=COLLEAGUE)
    live.call("POST", "/inbox/read", all=True)
    return project


def assign(bea: httpx2.Client, project: int, title: str) -> None:
    answer = bea.post(f"/projects/{project}/tasks", json={"title": title, "assignee": ADDRESS})
    assert answer.is_success, answer.text


def badge(page: Page, count: int) -> None:
    """Wait until the navigation shows how many entries are unread."""
    link = page.get_by_role("navigation", name="Sections").get_by_role("link", name="Inbox")
    expect(link).to_have_accessible_name(f"Inbox {count} unread" if count else "Inbox")


@pytest.mark.parametrize("width", [360, 1440])
def test_the_count_goes_up_in_another_window_and_stays_over_a_reload(
    live: LiveSite, bea: httpx2.Client, project: int, width: int
) -> None:
    page = live.page(f"/web/projects/{project}", width=width)
    connected(page)
    badge(page, 0)
    assign(bea, project, "Mend the weir")
    badge(page, 1)
    expect(page).to_have_title("Weir · Tailrace")
    expect(page.locator("#unread")).to_be_visible()
    assign(bea, project, "Oil the gate")
    badge(page, 2)
    page.reload()
    badge(page, 2)
    page.context.close()


def test_the_inbox_follows_what_happens_and_is_worked_through_by_keyboard(
    live: LiveSite, bea: httpx2.Client, project: int
) -> None:
    assign(bea, project, "Mend the weir")
    page = live.page("/")
    connected(page)
    page.keyboard.press("g")
    page.keyboard.press("i")
    expect(page.get_by_role("heading", name="Inbox")).to_be_visible()
    connected(page)
    assign(bea, project, "Oil the gate")
    newest = page.locator(".entry").first
    expect(newest).to_contain_text("Oil the gate")
    page.keyboard.press("j")
    page.keyboard.press("j")
    page.keyboard.press("e")
    badge(page, 1)
    expect(page.locator(".entry").nth(1)).not_to_contain_text("New")
    expect(page.locator(".entry").nth(1).get_by_role("link")).to_be_focused()
    page.keyboard.press("k")
    page.keyboard.press("Enter")
    expect(page.get_by_role("heading", name="Oil the gate")).to_be_visible()
    badge(page, 0)
    page.context.close()


def test_all_is_marked_as_read_in_every_window_and_taken_back(live: LiveSite, bea: httpx2.Client, project: int) -> None:
    for title in ("One", "Two", "Three"):
        assign(bea, project, title)
    page, other = live.page("/web/inbox"), live.page("/web/projects", width=360, dark=True)
    connected(other)
    page.get_by_role("button", name="Mark all as read").click()
    expect(page.get_by_text("3 entries are marked as read.")).to_be_visible()
    badge(other, 0)
    assert faults(page) == []
    page.get_by_role("button", name="Undo").click()
    expect(page.locator(".entry-new")).to_have_count(3)
    badge(other, 3)
    for each in (page, other):
        each.context.close()


def test_without_scripts_too(live: LiveSite, bea: httpx2.Client, project: int) -> None:
    assign(bea, project, "Mend the weir")
    page = live.page("/web/inbox", java_script_enabled=False)
    page.get_by_role("button", name="Mark as read: bea assigned “Mend the weir” to you").click()
    badge(page, 0)
    page.get_by_role("link", name="What comes here").click()
    page.get_by_label("E-mail: I am added to a project").check()
    page.get_by_role("button", name="Save what you hear of").click()
    expect(page.get_by_label("E-mail: I am added to a project")).to_be_checked()
    page.context.close()
