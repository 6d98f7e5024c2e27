"""What administrators watch: counts, a job and the log change by themselves."""

import pytest
from playwright.sync_api import expect

from tests.browser.site import LiveSite, connected


def test_counts_and_the_list_of_jobs_follow_what_happens(live: LiveSite) -> None:
    page = live.page("/web/admin/jobs?kind=reports.build")
    job = live.call("POST", "/reports", format="jsonl")["job"]
    expect(page.locator(f"#job-line-{job}")).to_contain_text("Done", timeout=20_000)
    page.locator(f"#job-line-{job} a").click()
    expect(page.get_by_role("heading", name="reports.build")).to_be_visible()
    expect(page.locator(".steps")).to_contain_text("Running")
    page.context.close()


def test_a_mark_stays_while_the_list_is_refreshed(live: LiveSite) -> None:
    job = live.call("POST", "/reports", format="csv")["job"]
    page = live.page("/web/admin/jobs?kind=reports.build")
    mark = page.locator(f"#job-line-{job} input")
    mark.check()
    with page.expect_response("**/web/admin/jobs?kind=reports.build"):
        pass
    other = live.call("POST", "/reports", format="csv")["job"]
    expect(page.locator(f"#job-line-{other}")).to_be_visible(timeout=20_000)
    expect(mark).to_be_checked()
    page.context.close()


def test_a_job_is_followed_to_its_end_on_its_page(live: LiveSite) -> None:
    job = live.call("POST", "/reports", format="csv")["job"]
    page = live.page(f"/web/admin/jobs/{job}")
    connected(page)
    expect(page.locator("#job .page-head")).to_contain_text("Done")
    expect(page.locator(".job-bar")).to_contain_text("Done")
    page.context.close()


def test_the_log_is_tailed_and_narrowed(live: LiveSite) -> None:
    page = live.page("/web/admin/log")
    entries = page.locator(".log-entry:visible")
    expect(entries.first).to_be_visible()
    page.get_by_role("searchbox", name="Search").fill("no line has this")
    expect(entries).to_have_count(0)
    page.get_by_role("searchbox", name="Search").fill("")
    page.get_by_label("Level").select_option("error")
    expect(page.locator(".log-entry.log-info:visible")).to_have_count(0)
    page.context.close()


#: What stands out of the window, unless something that scrolls holds it, and text in a column of a few letters.
MISFITS = """
    [...document.querySelectorAll('main :is(p, dt, dd, h1, h2, h3, span, strong, button, a, code)')].filter((each) => {
        if (!each.checkVisibility() || each.closest('pre, .clip, .tabs, .table-scroll, .visually-hidden')) return false
        const { width, height, right } = each.getBoundingClientRect()
        return right > innerWidth || (each.matches('p') && width < 130 && height > 80)
    }).map((each) => each.outerHTML.slice(0, 200))
"""


@pytest.mark.parametrize("name", ["health", "jobs", "job", "mail", "log", "people", "person"])
def test_a_phone_shows_all_of_each_page(live: LiveSite, places: dict[str, str], name: str) -> None:
    page = live.page(places[name], width=360, height=740)
    expect(page.locator("main")).to_be_visible()
    assert page.evaluate(MISFITS) == []
    page.context.close()
