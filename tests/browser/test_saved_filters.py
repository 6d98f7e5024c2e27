"""Filters that are saved: by clicking, and seen by others at once."""

import re

from playwright.sync_api import expect

from tests.browser.site import LiveSite, connected


def test_a_shared_filter_appears_elsewhere_and_leads_there(live: LiveSite) -> None:
    project = live.project("Filters")
    live.task(project, "replace the pump", labels=["pump"])
    live.task(project, "paint the door")
    here, there = live.page(f"/web/projects/{project}"), live.page(f"/web/projects/{project}")
    connected(there)
    here.get_by_label("Label", exact=True).fill("pump")
    here.get_by_label("Label", exact=True).press("Enter")
    here.get_by_text("Save this filter").click()
    here.get_by_label("Name").fill("Pumps")
    here.get_by_label("Share it with the members of the project").check()
    here.get_by_label("Begin my list with it").check()
    here.get_by_role("button", name="Save", exact=True).click()
    there.get_by_role("navigation", name="Saved filters").get_by_role("link", name="Pumps").click()
    expect(there.locator(".task")).to_have_count(1)
    expect(there.get_by_label("Label", exact=True)).to_have_value("pump")
    there.get_by_role("link", name="Clear").click()
    expect(there.locator(".task")).to_have_count(2)
    there.get_by_role("link", name="List").click()
    expect(there).to_have_url(re.compile(r"\?label=pump$"))
    here.context.close()
    there.context.close()


def test_typing_a_name_outlasts_what_others_do(live: LiveSite) -> None:
    project = live.project("Typing")
    page = live.page(f"/web/projects/{project}?status=done")
    connected(page)
    page.get_by_text("Save this filter").click()
    page.get_by_label("Name").fill("All that is d")
    body = {"name": "From elsewhere", "filter": {"priority": "high"}, "shared": True}
    live.call("POST", f"/projects/{project}/filters", **body)
    expect(page.get_by_role("link", name="From elsewhere")).to_be_visible()
    expect(page.get_by_label("Name")).to_have_value("All that is d")
    page.context.close()


def test_a_removal_is_undone_without_scripts(live: LiveSite) -> None:
    project = live.project("Undone")
    live.call("POST", f"/projects/{project}/filters", name="Done", filter={"status": "done"})
    page = live.page(f"/web/projects/{project}/filters", java_script_enabled=False)
    page.get_by_role("button", name="Remove “Done”").click()
    expect(page.get_by_text("“Done” is removed.")).to_be_visible()
    expect(page.get_by_role("link", name="Done", exact=True)).to_have_count(0)
    page.get_by_role("button", name="Undo").click()
    expect(page.get_by_role("link", name="Done", exact=True)).to_be_visible()
    page.context.close()


def test_what_is_chosen_is_marked_and_can_be_cleared_at_once(live: LiveSite) -> None:
    project = live.project("Marked")
    live.task(project, "replace the pump", priority="high")
    page = live.page(f"/web/projects/{project}")
    clear, priority = page.get_by_role("link", name="Clear", exact=True), page.get_by_label("Priority", exact=True)
    priority.focus()
    priority.select_option("high")
    expect(clear).to_be_visible()
    expect(priority).to_have_class("chosen")
    expect(priority).to_be_focused()
    page.locator("#filter-q").press_sequentially("pum")
    expect(page).to_have_url(re.compile(r"q=pum&priority=high$"))
    expect(page.locator("#filter-q")).to_be_focused()
    expect(page.locator("#filter-q")).to_have_value("pum")
    page.locator("#filter-q").fill("")
    priority.select_option("")
    expect(clear).to_have_count(0)
    expect(priority).not_to_have_class("chosen")
    page.context.close()
