import re
from collections.abc import Callable
from datetime import timedelta
from pathlib import Path
from typing import Any

import pytest

from tailrace.database import utcnow
from tailrace.jobs import DoNotRetry, JobContext
from tailrace.jobs.testing import run_jobs
from tailrace.mailer import FileMailer
from tailrace.reports.models import Report
from tailrace.reports.registry import KINDS
from tailrace.storage import LocalStorage
from tailrace.web.wording import remaining
from tests.features import Site, ok
from tests.reports.conftest import JOBS, Resources
from tests.web.browsing import Browser, visible


@pytest.fixture
def project(ada: Browser) -> str:
    return ada.sent("/web/projects", name="Mill Quarter")


@pytest.fixture
def work(site: Site, tmp_path: Path) -> Callable[[], Any]:
    """Give what runs all jobs that wait."""
    resources = Resources(LocalStorage(tmp_path / "files"), FileMailer(tmp_path / "mails"))
    return lambda: run_jobs(site.database, JOBS, resources)


def report_of(text: str) -> str:
    found = re.search(r'id="report-(\w+)"', text)
    assert found is not None, text
    return found[1]


def kept(site: Site, report_id: str) -> Report:
    with site.database.read() as session:
        report = session.get_one(Report, report_id)
        session.expunge(report)
        return report


def test_without_reports_the_page_says_what_they_are(ada: Browser) -> None:
    text = ada.text("/web/reports")
    assert "No report yet" in text
    assert 'href="/web/reports/new"' in text


def test_every_kind_has_a_form_with_its_own_formats_and_filters(ada: Browser) -> None:
    for name, kind in KINDS.items():
        text = ada.text(f"/web/reports/new?kind={name}")
        assert re.findall(r'<option value="(csv|jsonl|xlsx|zip)"', text) == [each.value for each in kind.formats]
        for field in kind.filters.model_fields:
            assert f'name="{field}"' in text
    assert ada.get("/web/reports/new?kind=x").status_code == 404


def test_the_filter_of_a_list_comes_along(ada: Browser, site: Site, project: str) -> None:
    number = project.rpartition("/")[2]
    due = str(utcnow().date())
    task = {"title": "valve", "labels": ["pump"], "status": "doing", "assignee": "me", "due": due}
    ok(ada.client.post(f"/projects/{number}/tasks", json=task), 201)
    listed = ada.text(f"{project}?status=doing&label=pump&assignee=me&when=week&q=val")
    link = re.search(r'href="(/web/reports/new[^"]*)"', listed)
    assert link is not None
    form = ada.text(link[1].replace("&amp;", "&"))
    assert f'<option value="{number}" selected>Mill Quarter</option>' in form
    assert re.findall(r'value="(\w+)" checked', form) == ["doing"]
    assert '<option value="me" selected>' in form
    for name, value in (("label", "pump"), ("q", "val"), ("due_before", "20")):
        assert re.search(rf'name="{name}" type="\w+" value="{value}', form), name
    fields = {"kind": "tasks", "format": "xlsx", "email": "", "project": number, "status": ["doing", "blocked"]}
    ada.sent("/web/reports", **fields, label="pump, roof", assignee="me", due_before="2030-02-01", q="", priority="")
    report = kept(site, report_of(ada.text("/web/reports")))
    assert (report.format, report.email) == ("xlsx", None)
    assert report.filters == {
        "project": [int(number)],
        "status": ["doing", "blocked"],
        "assignee": ["me"],
        "label": ["pump", "roof"],
        "due_before": "2030-02-01",
    }
    shown = visible(ada.text("/web/reports"))
    assert "Mill Quarter Doing or Blocked assignee: me label: pump, roof due before 1 Feb 2030" in shown


def test_a_plain_list_means_its_open_tasks(ada: Browser, project: str) -> None:
    ok(ada.client.post(f"{project.removeprefix('/web')}/tasks", json={"title": "one"}), 201)
    link = re.search(r'href="(/web/reports/new[^"]*)"', ada.text(project))
    assert link is not None
    assert re.findall(r'value="(\w+)" checked', ada.text(link[1].replace("&amp;", "&"))) == ["todo", "doing", "blocked"]


def test_a_day_begins_where_the_person_is(ada: Browser, site: Site) -> None:
    ada.sent("/web/reports", kind="photos", format="zip", taken_after="2030-07-01")
    report = kept(site, report_of(ada.text("/web/reports")))
    # Ada's zone is Europe/Zurich, two hours ahead in summer.
    assert report.filters == {"taken_after": "2030-06-30T22:00:00Z"}
    assert "taken from 1 Jul 2030" in visible(ada.text("/web/reports"))


def test_what_is_wrong_stands_beside_its_field_and_what_was_typed_stays(ada: Browser, site: Site) -> None:
    answer = ada.send("/web/reports", kind="tasks", format="csv", due_after="soon", label="pump", email="nobody")
    assert answer.status_code == 422
    assert 'id="due_after-fault">This is no date' in answer.text
    assert 'value="pump"' in answer.text
    assert 'id="email-fault"' in ada.send("/web/reports", kind="tasks", format="csv", email="nobody").text
    assert 'id="format-fault"' in ada.send("/web/reports", kind="tasks", format="docx").text
    ben = Browser(site.person("Ben").client)
    answer = ben.client.post("/web/reports", data={"kind": "tasks", "format": "csv", "email": "x@elsewhere.test"})
    assert answer.status_code == 403
    assert 'id="email-fault">Nobody here has the address' in answer.text


def test_a_report_is_made_downloaded_and_removed(ada: Browser, project: str, work: Callable[[], Any]) -> None:
    ok(ada.client.post(f"{project.removeprefix('/web')}/tasks", json={"title": "one"}), 201)
    ada.sent("/web/reports", kind="tasks", format="csv", email="ada@site.test")
    text = ada.text("/web/reports")
    report = report_of(text)
    assert "Waiting for its turn" in text
    assert f'hx-get="/web/reports/{report}/line"' in text
    assert 'data-channel="job:' in text
    work()
    line = ada.text(f"/web/reports/{report}/line", headers={"HX-Request": "true"})
    assert "<html" not in line
    assert "1 row," in line
    assert "expires in" in visible("<main" + line)
    assert "a link went to ada@site.test" in line
    assert f'href="/reports/{report}/file"' in line
    assert "hx-get" not in line
    ada.sent(f"/web/reports/{report}/delete")
    assert "No report yet" in ada.text("/web/reports")


def test_a_line_that_was_refreshed_can_still_be_used_without_htmx(ada: Browser) -> None:
    ada.sent("/web/reports", kind="tasks", format="csv")
    report = report_of(ada.text("/web/reports"))
    line = ada.text(f"/web/reports/{report}/line", headers={"HX-Request": "true"})
    token = re.search(r'name="forgery_token" value="(\w+)"', line)
    assert token is not None
    answer = ada.client.post(f"/web/reports/{report}/cancel", data={"forgery_token": token[1]})
    assert answer.status_code == 303


def test_a_cancelled_report_is_made_after_all(ada: Browser, work: Callable[[], Any]) -> None:
    ada.sent("/web/reports", kind="tasks", format="csv")
    report = report_of(ada.text("/web/reports"))
    ada.sent(f"/web/reports/{report}/cancel")
    work()
    assert "Cancelled." in ada.text("/web/reports")
    ada.sent(f"/web/reports/{report}/again")
    work()
    assert f'href="/reports/{report}/file"' in ada.text("/web/reports")
    assert ada.send(f"/web/reports/{report}/again").status_code == 409


def test_what_failed_says_why_and_is_tried_again(
    ada: Browser, work: Callable[[], Any], monkeypatch: pytest.MonkeyPatch
) -> None:
    sentence = "The report has too many rows for Excel: ask for csv."

    def refuse(_ctx: JobContext[Any], _report_id: str) -> None:
        raise DoNotRetry(sentence)

    ada.sent("/web/reports", kind="tasks", format="csv")
    report = report_of(ada.text("/web/reports"))
    with monkeypatch.context() as patch:
        patch.setattr("tailrace.reports.building.build", refuse)
        work()
    text = ada.text("/web/reports")
    assert f'<p class="fault">{sentence}</p>' in text
    assert "Try again" in text
    ada.sent(f"/web/reports/{report}/again")
    work()
    assert f'href="/reports/{report}/file"' in ada.text("/web/reports")


def test_an_expired_report_is_made_anew(ada: Browser, site: Site, work: Callable[[], Any]) -> None:
    ada.sent("/web/reports", kind="tasks", format="jsonl", status="done")
    report = report_of(ada.text("/web/reports"))
    work()
    with site.database.write() as session:
        session.get_one(Report, report).expires_at = utcnow() - timedelta(hours=1)
    text = ada.text("/web/reports")
    assert "has expired" in text
    assert f'href="/reports/{report}/file"' not in text
    ada.sent(f"/web/reports/{report}/again")
    new = report_of(ada.text("/web/reports"))
    assert new != report
    assert (kept(site, new).format, kept(site, new).filters) == ("jsonl", {"status": ["done"]})


def test_of_many_the_newest_are_shown_and_the_way_to_the_others(ada: Browser, site: Site) -> None:
    with site.database.write() as session:
        session.add_all([Report(user_id=1, kind="tasks", format="csv", filters={}, fingerprint="x") for _ in range(51)])
    text = ada.text("/web/reports")
    assert len(re.findall(r'<li class="report ', text)) == 50
    earlier = re.search(r"/web/reports\?after=\w+", text)
    assert earlier is not None
    assert len(re.findall(r'<li class="report ', ada.text(earlier[0]))) == 1


def test_nobody_sees_or_touches_the_reports_of_others(ada: Browser, site: Site) -> None:
    ada.sent("/web/reports", kind="tasks", format="csv")
    report = report_of(ada.text("/web/reports"))
    ben = site.person("Ben").client
    assert "No report yet" in ben.get("/web/reports").text
    assert ben.get(f"/web/reports/{report}/line").status_code == 404
    for what in ("cancel", "again", "delete"):
        assert ben.post(f"/web/reports/{report}/{what}").status_code == 404


@pytest.mark.parametrize(
    ("seconds", "done", "total", "said"),
    [
        (10, 0, 100, ""),
        (10, 50, None, ""),
        (10, 100, 100, ""),
        (10, 50, 100, "about 10 seconds left"),
        (0.001, 50, 100, "about 1 second left"),
        (60, 1, 10, "about 9 minutes left"),
        (3600, 1, 2, "about 1 hour left"),
        (86_400, 1, 1000, "more than a month left"),
    ],
)
def test_how_long_it_still_takes(seconds: float, done: int, total: int | None, said: str) -> None:
    assert remaining(timedelta(seconds=seconds), done=done, total=total) == said
