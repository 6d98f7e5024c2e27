import json
import re
from pathlib import Path
from typing import Any

import pytest

from tailrace.jobs import DoNotRetry, Job, JobContext, State, enqueue, enqueue_many, get_job, job
from tailrace.jobs.testing import run_jobs
from tailrace.mailer import FileMailer, SmtpMailer
from tailrace.notifications.jobs import fail_mail
from tailrace.notifications.jobs import send_mail as mail_job
from tailrace.notifications.models import Mail
from tailrace.notifications.service import MailState, send_mail
from tailrace.storage import LocalStorage
from tests.features import Site
from tests.reports.conftest import Resources
from tests.web.browsing import PASSWORD, Browser, visible

PAGES = ("/web/admin", "/web/admin/jobs", "/web/admin/mail", "/web/admin/log", "/web/admin/people")


@job("tests_admin.sum")
def add_up(ctx: JobContext[Any], a: int, b: int) -> None:
    if b < 0:
        raise DoNotRetry("The second number is negative: send another.")
    ctx.progress(a, b, "numbers")


@pytest.fixture
def ada(ada: Browser, site: Site, tmp_path: Path) -> Browser:
    """Give Ada on a site that has what the pages of administrators look at."""
    state = site.app.state
    state.storage, state.mailer = LocalStorage(tmp_path / "files"), FileMailer(tmp_path / "mails")
    state.unshared = []
    state.data, state.mail_from = tmp_path, "tailrace@site.test"
    state.log_file = tmp_path / "tailrace.log"
    return ada


def put(site: Site, **args: int) -> str:
    with site.database.write() as session:
        return enqueue(session, add_up, {"a": 1, "b": 2} | args).id


def look(site: Site, job_id: str) -> Job:
    with site.database.read() as session:
        return get_job(session, job_id)


def run(site: Site) -> None:
    run_jobs(site.database, [add_up], None)


def test_only_administrators_see_these_pages(ada: Browser, site: Site) -> None:
    job_id = put(site)
    ben = site.person("Ben").client
    for page in (*PAGES, f"/web/admin/jobs/{job_id}"):
        assert ben.get(page).status_code == 403, page
        assert ada.get(page).status_code == 200, page
    for form in ("bulk", f"{job_id}/cancel", f"{job_id}/retry"):
        assert ben.post(f"/web/admin/jobs/{form}").status_code == 403
    assert 'href="/web/admin"' in ada.text("/")
    assert 'href="/web/admin"' not in ben.get("/").text


def test_without_jobs_the_page_says_what_they_are(ada: Browser) -> None:
    assert "No such job" in ada.text("/web/admin/jobs")


def test_jobs_are_counted_and_listed_by_state_and_kind(ada: Browser, site: Site) -> None:
    done = put(site)
    failed = put(site, b=-1)
    run(site)
    waiting = put(site)
    text = ada.text("/web/admin/jobs")
    assert "All 3 Waiting 1 Done 1 Failed 1" in visible(text)
    assert {done, failed, waiting} == set(re.findall(r'name="job" value="(\w+)"', text))
    assert 'aria-label="tests_admin.sum, Failed: 1"' in text
    only = ada.text("/web/admin/jobs?state=discarded&kind=tests_admin.sum", headers={"HX-Request": "true"})
    assert "<html" not in only
    assert re.findall(r'name="job" value="(\w+)"', only) == [failed]
    assert "The second number is negative" in only
    assert ada.get("/web/admin/jobs?state=x").status_code == 422
    assert "No such job" in ada.text("/web/admin/jobs?kind=unknown")


def test_of_many_jobs_the_newest_are_shown_and_the_way_to_the_others(ada: Browser, site: Site) -> None:
    with site.database.write() as session:
        enqueue_many(session, add_up, [{"a": 1, "b": number} for number in range(60)])
    text = ada.text("/web/admin/jobs?state=available")
    assert len(re.findall(r'name="job" value=', text)) == 50
    earlier = re.search(r"/web/admin/jobs\?state=available&amp;after=\w+", text)
    assert earlier is not None
    assert len(re.findall(r'name="job" value=', ada.text(earlier[0].replace("&amp;", "&")))) == 10


def test_one_job_shows_all_that_is_known(ada: Browser, site: Site) -> None:
    job_id = put(site, b=-1)
    run(site)
    text = ada.text(f"/web/admin/jobs/{job_id}")
    told = visible(text)
    assert '"a": 1, "b": -1' in told
    assert "1 attempt so far, 1 failed (given up after" in told
    assert re.search(r"Waiting .* Running attempt 1 .* Failed attempt 1 .* The second number is negative", told)
    assert f'data-channel="job:{job_id}"' in text
    part = ada.text(f"/web/admin/jobs/{job_id}", headers={"HX-Request": "true"})
    assert "<html" not in part
    assert ada.get("/web/admin/jobs/0123").status_code == 404


def test_a_failed_job_is_tried_again_and_a_waiting_one_cancelled(ada: Browser, site: Site) -> None:
    job_id = put(site, b=-1)
    run(site)
    assert ada.sent(f"/web/admin/jobs/{job_id}/retry") == f"/web/admin/jobs/{job_id}"
    assert look(site, job_id).state is State.AVAILABLE
    ada.sent(f"/web/admin/jobs/{job_id}/cancel")
    assert look(site, job_id).state is State.CANCELLED
    refused = ada.send(f"/web/admin/jobs/{job_id}/cancel")
    assert refused.status_code == 409
    assert "cancelled already" in refused.text


def test_marked_jobs_are_changed_and_the_others_told(ada: Browser, site: Site) -> None:
    failed, done, waiting = put(site, b=-1), put(site), ""
    run(site)
    waiting = put(site)
    where = ada.sent("/web/admin/jobs/bulk", scope="marked", action="cancel", job=[waiting, done, "0" * 32])
    assert "1 job cancelled, or asked to stop. 2 others could not be" in ada.text(where)
    assert [look(site, each).state for each in (failed, done, waiting)] == ["discarded", "completed", "cancelled"]


def test_all_that_match_are_changed_beyond_one_page(ada: Browser, site: Site) -> None:
    with site.database.write() as session:
        enqueue_many(session, add_up, [{"a": 1, "b": -1} for _ in range(120)])
    for _ in range(3):
        run(site)
    fields = {"scope": "all", "action": "retry", "state": "discarded", "kind": "tests_admin.sum"}
    where = ada.sent("/web/admin/jobs/bulk", **fields)
    assert where == "/web/admin/jobs?state=discarded&kind=tests_admin.sum"
    assert "120 jobs to be tried again." in ada.text(where)
    assert "Waiting 120" in visible(ada.text("/web/admin/jobs"))


def test_health_tells_what_the_doctor_finds(ada: Browser) -> None:
    text = visible(ada.text("/web/admin"))
    for part in ("Database", "Migrations", "Storage", "Mail", "Disk"):
        assert part in text
    # The tables were made without migrations here, and no engine runs.
    assert "Run `tailrace migrate`." in text
    assert "Start tailrace serve" in text
    assert "<html" not in ada.text("/web/admin", headers={"HX-Request": "true"})


def test_mail_that_is_only_kept_as_files_is_never_called_sent(ada: Browser, site: Site) -> None:
    folder = str(site.app.state.mailer.folder)
    told = f"each mail is only written to a file in {folder}, and nobody gets it. To have mails sent, set"
    assert told in visible(ada.text("/web/admin"))
    assert "FileMailer" not in ada.text("/web/admin")
    text = visible(ada.text("/web/admin/mail"))
    assert told in text
    assert "Sent" not in text
    assert "nobody gets them" in visible(ada.text("/web/account"))
    assert "only written to a file" in visible(ada.text("/web/reports/new"))
    site.app.state.mailer.folder.rmdir()
    site.app.state.mailer.folder.write_text("a file in its place")
    assert "Check the room, and the rights on the folder" in visible(ada.text("/web/admin"))
    site.app.state.mailer = SmtpMailer("smtp://ada:secret@mail.site.test:2525")
    assert told not in visible(ada.text("/web/admin/mail"))
    assert "Sent" in visible(ada.text("/web/admin/mail"))
    assert "Mails go to ada@site.test at once" in visible(ada.text("/web/account"))


def test_the_log_is_shown_by_level_and_text(ada: Browser, site: Site) -> None:
    assert "Each appears here as it is written" in ada.text("/web/admin/log")
    told = [
        {"at": "2030-01-02T03:04:05.006+00:00", "level": "info", "logger": "a", "message": "<b>began</b>", "pid": 7},
        {"at": "2030-01-02T03:04:06.006+00:00", "level": "error", "logger": "a", "message": "broke", "exception": "Tr"},
    ]
    lines = "".join(json.dumps(line) + "\n" for line in told)
    site.app.state.log_file.write_text(f"{lines}not JSON\n")
    text = visible(ada.text("/web/admin/log"))
    assert "03:04:05 info <b>began</b>" in text
    assert "pid: 7" in text
    assert "exception: Tr" in text
    assert "not JSON" in text
    assert "began" not in ada.text("/web/admin/log?level=error")
    assert "broke" not in ada.text("/web/admin/log?q=BEGAN")
    assert "Choose all levels" in ada.text("/web/admin/log?q=nothing")


def test_an_account_is_made_and_mistakes_stand_beside_their_fields(ada: Browser, site: Site) -> None:
    form: dict[str, Any] = {"name": "Ben", "email": "ben@site.test", "password": "short"}
    wrong = ada.send("/web/admin/people", **form)
    assert wrong.status_code == 422
    assert 'id="password-fault">Must have 10 characters or more.' in wrong.text
    assert 'value="ben@site.test"' in wrong.text
    ada.sent("/web/admin/people", **form | {"password": PASSWORD})
    assert "Ben ben@site.test" in visible(ada.text("/web/admin/people"))
    taken = ada.send("/web/admin/people", **form | {"password": PASSWORD})
    assert taken.status_code == 409
    assert 'id="email-fault">There is an account' in taken.text
    ben = site.client()
    assert ben.post("/web/sign-in", data={"email": "ben@site.test", "password": PASSWORD}).status_code == 303
    assert ben.get("/web/admin/people").status_code == 403


def test_rights_password_and_tokens_of_somebody(ada: Browser, site: Site) -> None:
    ben = site.person("Ben")
    page = f"/web/admin/people/{ben.id}"
    ada.sent(page, is_admin="true")
    assert "Administrator" in visible(ada.text(page))
    assert ben.client.get("/web/admin/people").status_code == 200
    ada.sent(page, is_admin="false")
    assert ada.send(f"{page}/password", password="short").status_code == 422
    assert "Their API tokens still work" in ada.text(ada.sent(f"{page}/password", password=PASSWORD))
    signed_in = site.client()
    assert signed_in.post("/web/sign-in", data={"email": ben.email, "password": PASSWORD}).status_code == 303
    revoke = re.search(rf"{page}/tokens/\d+/delete", ada.text(page))
    assert revoke is not None
    ada.sent(revoke[0])
    assert ben.client.get("/users/me").status_code == 401
    ada.sent(page, disabled="true")
    assert signed_in.get("/").headers["location"] == "/sign-in"
    assert ada.send(page, password=PASSWORD).status_code == 403


def test_the_only_administrator_stays_one(ada: Browser) -> None:
    refused = ada.send("/web/admin/people/1", is_admin="false")
    assert refused.status_code == 409
    assert "make somebody else one first" in refused.text
    assert ada.send("/web/admin/people/1/password", password=PASSWORD).status_code == 403


def test_mails_are_listed_shown_and_sent_again(ada: Browser, site: Site) -> None:
    assert "Try one below" in visible(ada.text("/web/admin/mail"))
    with site.database.write() as session:
        mail = send_mail(session, to="ben@site.test", template="test", context={}, key="one")
        other = send_mail(session, to="cat@site.test", template="test", context={}, key="two")
        session.get_one(Mail, mail.id).state = MailState.FAILED
        session.get_one(Mail, mail.id).error = "Nobody is there."
    text = visible(ada.text("/web/admin/mail?state=failed"))
    assert "ben@site.test Nobody is there. Given up" in text
    assert "cat@site.test" not in text
    assert "cat@site.test" in ada.text("/web/admin/mail", headers={"HX-Request": "true"})
    page = ada.text(f"/web/admin/mail/{mail.id}")
    assert "This is the test that you asked for" in visible(page)
    assert ada.send(f"/web/admin/mail/{other.id}/resend").status_code == 409
    ada.sent(f"/web/admin/mail/{mail.id}/resend")
    resources = Resources(site.app.state.storage, site.app.state.mailer)
    run_jobs(site.database, [mail_job, fail_mail], resources)
    assert "Nobody is there" not in ada.text(f"/web/admin/mail/{mail.id}")
    assert "ben@site.test Only in a file" in visible(ada.text("/web/admin/mail?state=sent"))
    assert ada.get("/web/admin/mail/0123").status_code == 404
    assert ada.get("/web/admin/mail?state=x").status_code == 422


def test_a_test_mail_is_sent_or_its_fault_told(ada: Browser) -> None:
    assert "the mail is the file" in ada.send("/web/admin/mail/test", email="ada@site.test").text
    wrong = ada.send("/web/admin/mail/test", email="nobody")
    assert wrong.status_code == 422
    assert 'id="email-fault"' in wrong.text
