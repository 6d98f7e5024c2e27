"""What people see while something breaks: a worker that is killed, a service that restarts, a page that slept."""

import hashlib
import os
import re
import signal
import time
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

import psutil
import pytest
from playwright.sync_api import Page, expect

from tests.browser.chromium import chromium
from tests.browser.site import ADDRESS, LiveSite, connected
from tests.service import Service

TASKS = 10_000
#: Keeps every text that the report's line had, in their order; a morph may replace the line, not what is around it.
WATCH = """() => {
  window.told = []
  const note = () => {
    const text = document.querySelector('.report')?.innerText.replace(/\\s+/g, ' ')
    if (text && window.told.at(-1) !== text) window.told.push(text)
  }
  const whole = { subtree: true, childList: true, attributes: true, characterData: true }
  new MutationObserver(note).observe(document.querySelector('main'), whole)
}"""


@pytest.fixture(scope="module")
def site(tmp_path_factory: pytest.TempPathFactory) -> Iterator[LiveSite]:
    """Give a service with one worker and 10,000 tasks, whose port stays the same when it starts again."""
    data = tmp_path_factory.mktemp("interrupted") / "data"
    with chromium() as browser, Service(data, {"TAILRACE_WORKERS": "1"}) as service:
        token = service.create_user(ADDRESS, admin=True)
        made = service.run("demo", "--tasks", str(TASKS), "--user", ADDRESS)
        assert made.returncode == 0, made.stderr
        service.arguments = ("--port", service.url.rpartition(":")[2])
        site = LiveSite(service, browser, token)
        yield site
        site.api.close()


def test_a_report_whose_worker_is_killed_goes_on_and_tells_the_truth(site: LiveSite, tmp_path: Path) -> None:
    page = site.page("/web/reports")
    connected(page)
    page.evaluate(WATCH)
    report = site.call("POST", "/reports", format="xlsx")
    with stopped_in_the_middle(site, report["id"]) as worker:
        bar = page.locator(".report progress")
        expect(bar).to_have_attribute("max", str(TASKS))
        expect(bar).to_have_attribute("value", re.compile("^[1-9]"))
        assert int(bar.get_attribute("value") or 0) < TASKS
        os.kill(worker, signal.SIGKILL)
    line = page.locator(".report")
    expect(line.get_by_role("link", name="Download")).to_be_visible()
    with page.expect_download() as got:
        line.get_by_role("link", name="Download").click()
    got.value.save_as(tmp_path / "report.xlsx")
    made = site.call("GET", f"/reports/{report['id']}")
    content = (tmp_path / "report.xlsx").read_bytes()
    assert (len(content), hashlib.sha256(content).hexdigest()) == (made["bytes"], made["sha256"])
    check_what_was_told(page.evaluate("window.told"))
    page.goto(f"/web/admin/jobs/{report['job']}")
    expect(page.locator(".facts")).to_contain_text("2 attempts so far, 1 worker killed (given")
    expect(page.locator(".facts")).to_contain_text("1 worker killed")
    expect(page.locator(".steps")).to_contain_text("attempt 2")
    page.context.close()


def check_what_was_told(texts: list[str]) -> None:
    """No text before the last claims an end, and one says that it goes on."""
    assert any("was killed" in text and "It is tried again by itself." in text for text in texts), texts
    assert [text for text in texts if "Download" in text] == texts[-1:], texts
    assert f"{TASKS:,} rows" in texts[-1]


@contextmanager
def stopped_in_the_middle(site: LiveSite, report_id: str) -> Iterator[int]:
    """Give the process id of the worker that makes the report, which stands still half-way."""
    deadline = time.monotonic() + 60
    worker = only_worker(site)
    while not 0 < site.call("GET", f"/reports/{report_id}")["rows_done"] < TASKS:
        assert time.monotonic() < deadline
        time.sleep(0.01)
    os.kill(worker, signal.SIGSTOP)
    yield worker


def only_worker(site: LiveSite) -> int:
    (engine,) = psutil.Process(site.service.process.pid).children()
    (worker,) = engine.children()
    return worker.pid


@pytest.mark.parametrize("number", [signal.SIGTERM, signal.SIGKILL])
def test_a_restart_is_told_quietly_and_loses_nothing(site: LiveSite, number: signal.Signals) -> None:
    project = site.project(f"Restarted by {number.name}")
    page = site.page(f"/web/projects/{project}")
    connected(page)
    page.evaluate("window.neverReloaded = true")
    note = page.locator("#connection")
    site.service.stop(number)
    expect(note).to_be_visible()
    expect(note).to_have_text("Reconnecting…")
    check_that_typing_stays(page)
    site.service.start()
    site.task(project, "made while the page was away")
    expect(page.get_by_role("link", name="made while the page was away")).to_be_visible()
    expect(note).to_be_hidden()
    page.get_by_role("button", name="Add", exact=True).click()
    expect(page.get_by_role("link", name="typed meanwhile")).to_have_count(1)
    assert page.evaluate("window.neverReloaded")
    page.context.close()


def check_that_typing_stays(page: Page) -> None:
    """A form that is sent while the service is away says so, and keeps its text."""
    field = page.get_by_label("New task")
    field.fill("typed meanwhile")
    page.get_by_role("button", name="Add", exact=True).click()
    expect(page.get_by_text("The service does not answer. What you typed is still here.").first).to_be_visible()
    expect(field).to_have_value("typed meanwhile")


def test_what_happened_while_the_machine_slept_arrives_when_it_wakes(site: LiveSite) -> None:
    project = site.project("Slept")
    page = site.page(f"/web/projects/{project}")
    connected(page)
    page.evaluate("window.neverReloaded = true")
    with sleeping_browser():
        site.task(project, "made while it slept")
        site.service.kill()
        site.service.start()
        site.task(project, "made after the connection was lost")
    expect(page.get_by_role("link", name="made while it slept")).to_be_visible()
    expect(page.get_by_role("link", name="made after the connection was lost")).to_be_visible()
    assert page.evaluate("window.neverReloaded")
    page.context.close()


@contextmanager
def sleeping_browser() -> Iterator[None]:
    """Stop all processes of the browser, as a closed lid does; nothing may be asked of it meanwhile."""
    processes = [each for each in psutil.Process().children(recursive=True) if "chrom" in each.name()]
    assert processes
    for process in processes:
        process.suspend()
    yield
    for process in reversed(processes):
        process.resume()
