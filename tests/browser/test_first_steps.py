"""The first quarter of an hour of a new installation, clicked through from the link that its start prints."""

import hashlib
from collections.abc import Iterator
from pathlib import Path

import pytest
from playwright.sync_api import Locator, Page, expect

from tests.browser.chromium import chromium
from tests.browser.site import ADDRESS, PASSWORD, connected
from tests.service import Service


@pytest.fixture
def newcomer(tmp_path: Path) -> Iterator[Page]:
    """Give a browser at the set-up link of a service that starts in an empty folder."""
    with chromium() as browser, Service(tmp_path / "data") as service:
        page = browser.new_page(base_url=service.url)
        page.set_default_timeout(15_000)
        page.goto(service.setup_url)
        yield page


def test_from_the_printed_link_to_a_whole_report_and_its_mail(newcomer: Page, tmp_path: Path) -> None:
    become_administrator(newcomer)
    look_at_the_welcome(newcomer)
    open_the_demo_project(newcomer)
    line = ask_for_a_report(newcomer)
    check_the_file(newcomer, line, tmp_path / "report")
    find_the_mail(newcomer)


def become_administrator(page: Page) -> None:
    page.get_by_label("Your name").fill("Ada")
    page.get_by_label("E-mail address").fill(ADDRESS)
    page.get_by_label("Password").fill(PASSWORD)
    page.get_by_role("button", name="Create the account").click()
    expect(page.get_by_role("heading", level=1)).to_have_text("Welcome, Ada")


def look_at_the_welcome(page: Page) -> None:
    expect(page.get_by_role("img", name="QR code of http").locator("path").first).to_be_visible()
    expect(page.get_by_label("Send a test mail to")).to_have_value(ADDRESS)
    page.get_by_role("button", name="Send the test mail").click()
    told = page.get_by_role("status").filter(has_text="the mail is the file")
    expect(told).to_be_visible()
    path = Path(told.inner_text().partition("is the file ")[2].partition(". To have")[0])
    assert ADDRESS in path.read_text()


def open_the_demo_project(page: Page) -> None:
    page.get_by_role("button", name="Create the demo project").click()
    expect(page.locator(".job-bar")).to_contain_text("Done")
    page.get_by_role("link", name="Open the demo project").click()
    expect(page.locator(".task").first).to_be_visible()


def ask_for_a_report(page: Page) -> Locator:
    """Ask for it, and return its line of the list once that tells, by itself, that all is done."""
    page.get_by_role("link", name="Reports").click()
    page.get_by_role("link", name="New report").click()
    page.get_by_label("Format").select_option(label="Excel – with filters and typed columns")
    page.get_by_label("Mail a link to").fill(ADDRESS)
    page.get_by_role("button", name="Make the report").click()
    connected(page)
    page.evaluate("window.neverReloaded = true")
    line = page.locator(".report")
    expect(line).to_have_count(1)
    expect(line.get_by_role("link", name="Download")).to_be_visible()
    expect(line).to_contain_text(f"the mail to {ADDRESS} is only a file")
    assert page.evaluate("window.neverReloaded")
    return line


def check_the_file(page: Page, line: Locator, path: Path) -> None:
    with page.expect_download() as got:
        line.get_by_role("link", name="Download").click()
    got.value.save_as(path)
    told = page.request.get("/reports").json()["items"][0]
    content = path.read_bytes()
    assert len(content) == told["bytes"]
    assert hashlib.sha256(content).hexdigest() == told["sha256"]


def find_the_mail(page: Page) -> None:
    page.get_by_role("link", name="Admin", exact=True).click()
    page.get_by_role("navigation", name="Administration").get_by_role("link", name="Mail").click()
    mail = page.locator("#mails li")
    expect(mail).to_contain_text([ADDRESS])
    expect(mail).to_contain_text(["Only in a file"])
    mail.get_by_role("link").click()
    expect(page.get_by_role("main")).to_contain_text("/file?")
