"""axe finds nothing on any page, light and dark, on a phone and on a wide screen."""

from importlib.resources import files
from typing import Any

import pytest
from playwright.sync_api import Page, expect

from tests.browser.places import OPEN_PLACES
from tests.browser.site import LiveSite, connected

# The package's own modules carry no types; only its script is wanted.
AXE = (files("axe_core_python") / "axe.min.js").read_text()
RULES = ["wcag2a", "wcag2aa", "wcag21a", "wcag21aa", "wcag22aa", "best-practice"]
VIEWS = [(width, dark) for width in (360, 1440) for dark in (False, True)]


def faults(page: Page) -> list[str]:
    """Return what axe finds wrong with a page, and whether it is wider than its window."""
    page.evaluate(AXE)
    found: dict[str, Any] = page.evaluate(
        "rules => axe.run(document, {runOnly: rules, resultTypes: ['violations']})", RULES
    )
    told = [
        f"{fault['id']}: {fault['help']} ({node['target']}, {node['html'][:120]})"
        for fault in found["violations"]
        for node in fault["nodes"]
    ]
    if page.evaluate("document.documentElement.scrollWidth > innerWidth"):
        told.append("the page is wider than the window")
    return told


@pytest.mark.parametrize(("width", "dark"), VIEWS)
def test_axe_finds_nothing_on_any_page(live: LiveSite, places: dict[str, str], width: int, dark: bool) -> None:
    context = live.context(width=width, height=800, dark=dark)
    page = context.new_page()
    complaints: list[str] = []
    page.on("console", lambda said: complaints.append(said.text) if said.type == "error" else None)
    found = {}
    for name, address in places.items():
        page.goto(address)
        if told := faults(page):
            found[name] = told
    context.clear_cookies()
    for name, address in OPEN_PLACES.items():
        page.goto(address)
        if told := faults(page):
            found[name] = told
    context.close()
    assert found == {}
    # The page that there is not is one of the places.
    assert [text for text in complaints if "404" not in text] == []


def test_the_palette_and_the_list_of_keys_too(live: LiveSite, places: dict[str, str]) -> None:
    page = live.page(places["list"])
    page.keyboard.press("Control+k")
    page.locator("#found [role=option]").first.wait_for()
    assert faults(page) == []
    page.keyboard.press("Escape")
    expect(page.locator("#palette")).to_be_hidden()
    # The focus may still be on its way back from the palette's field, where a question mark would be typed.
    expect(page.locator("#palette input")).not_to_be_focused()
    page.keyboard.press("?")
    page.get_by_role("heading", name="Keys").wait_for()
    assert faults(page) == []
    page.context.close()


def test_a_phone_that_has_lost_its_connection_says_so_within_its_width(live: LiveSite) -> None:
    page = live.page("/", width=360, height=740)
    connected(page)
    page.context.set_offline(True)
    expect(page.locator("#connection")).to_be_visible()
    assert faults(page) == []
    page.context.close()
