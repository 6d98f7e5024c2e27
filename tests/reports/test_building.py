"""A report that is accepted is made, whole, from what its asker may see, and only then said to be ready."""

import csv
import hashlib
import io
import json
import os
from typing import Any

import pytest
from sqlalchemy import update

from tailrace.accounts import service as accounts
from tailrace.accounts.schemas import UserChanges
from tailrace.database import Database
from tailrace.jobs import State, enqueue, get_job
from tailrace.jobs.testing import run_jobs
from tailrace.notifications import inbox
from tailrace.notifications import jobs as mail_jobs
from tailrace.notifications.choices import choose
from tailrace.notifications.kinds import Choice, Kind
from tailrace.notifications.schemas import InboxQuery
from tailrace.projects import service as projects
from tailrace.reports import jobs
from tailrace.reports import service as reports
from tailrace.reports.models import Report
from tailrace.reports.schemas import ReportState
from tailrace.storage import LocalStorage
from tailrace.streams import START, TableQuery, read_events
from tailrace.tasks import service as tasks
from tests.notifications.conftest import body, read_mails
from tests.reports.conftest import JOBS, AddKind, World

ODD = ("plain", "semi;colon", 'quo"te', "comma, and more", "ümläut ✓ 漢字", "=1+1", "@SUM(A1)", "-5", "<b>&amp;")


def rows_of(text: bytes) -> list[dict[str, str]]:
    return list(csv.DictReader(io.StringIO(text.decode(), newline="")))


def inbox_of(world: World) -> list[tuple[str, str]]:
    """Return what the asker's inbox says, and where that leads."""
    with world.database.read() as session:
        return [(entry.text, entry.url) for entry in inbox.list_entries(session, world.ann, InboxQuery()).items]


def test_a_report_of_all_tasks_is_complete_and_verified(world: World) -> None:
    world.add_tasks(*ODD)
    report_id = world.ask()
    assert world.look(report_id).state is ReportState.WAITING
    assert [job.state for job in world.run()] == [State.COMPLETED]
    report = world.look(report_id)
    content = world.read(report_id)
    assert report.state is ReportState.READY
    assert (report.rows_done, report.rows_total) == (len(ODD), len(ODD))
    assert (report.bytes, report.sha256) == (len(content), hashlib.sha256(content).hexdigest())
    assert [row["title"].removeprefix("'") for row in rows_of(content)] == list(ODD)


def test_a_csv_holds_no_cell_that_a_spreadsheet_would_run(world: World) -> None:
    world.add_tasks(*ODD)
    report_id = world.ask()
    world.run()
    cells = [cell for row in csv.reader(io.StringIO(world.read(report_id).decode())) for cell in row]
    assert "'=1+1" in cells
    assert [cell for cell in cells if cell.startswith(("=", "+", "-", "@", "\t", "\r"))] == []


def test_json_lines_hold_the_text_as_it_is(world: World) -> None:
    world.add_tasks(*ODD)
    report_id = world.ask(format="jsonl")
    world.run()
    assert [json.loads(line)["title"] for line in world.read(report_id).splitlines()] == list(ODD)


def test_a_report_without_rows_is_ready_too(world: World) -> None:
    report_id = world.ask()
    world.run()
    report = world.look(report_id)
    assert (report.state, report.rows_done, report.rows_total) == (ReportState.READY, 0, 0)
    assert rows_of(world.read(report_id)) == []
    assert world.read(report_id).startswith(b"id,project,title,")


def test_filters_choose_the_rows(world: World) -> None:
    world.add_tasks("mill wheel", "dam", "mill race")
    report_id = world.ask(filters={"q": "mill", "project": world.project_id})
    world.run()
    assert [row["title"] for row in rows_of(world.read(report_id))] == ["mill wheel", "mill race"]


def test_what_is_seen_is_decided_when_the_report_is_made(world: World, database: Database) -> None:
    world.add_tasks("secret")
    with database.write() as session:
        projects.add_member(session, world.ann, world.project_id, email=world.bob.email, role=projects.Role.VIEWER)
    report_id = world.ask(world.bob)
    with database.write() as session:
        projects.remove_member(session, world.ann, world.project_id, world.bob.user_id)
    world.run()
    report = world.look(report_id, world.bob)
    assert (report.state, report.rows_total) == (ReportState.READY, 0)


def test_no_report_is_made_for_a_disabled_account(world: World, database: Database) -> None:
    report_id = world.ask()
    with database.write() as session:
        accounts.update_user(session, world.ada, world.ann.user_id, UserChanges(disabled=True))
    world.run()
    report = world.look(report_id)
    assert report.state is ReportState.FAILED
    assert report.error == "The account of the person who asked for this report is disabled."


def test_the_mail_comes_after_the_file_and_its_link_leads_there(world: World) -> None:
    world.add_tasks("one", "two")
    report_id = world.ask(email="ann@example.org")
    built, mailed = world.run()
    assert (built.kind, mailed.kind) == ("reports.build", "notifications.send_mail")
    (mail,) = read_mails(world.mails)
    assert mail["To"] == "ann@example.org"
    assert mail["Subject"] == 'Your report "Tasks" is ready'
    text = body(mail, "plain")
    link = next(line for line in text.splitlines() if line.startswith("http://testserver/reports/"))
    assert world.client(None).get(link).content == world.read(report_id)
    assert link.replace("&", "&amp;") in body(mail, "html")
    assert "2 rows, CSV" in text
    assert world.look(report_id).mail == "sent"


def test_a_run_after_a_crash_finds_the_report_ready_and_stops(world: World, database: Database) -> None:
    world.add_tasks("one")
    report_id = world.ask(email="ann@example.org")
    world.run()
    before = world.look(report_id)
    # As if the worker had been killed between its last commit and telling the engine.
    with database.write() as session:
        enqueue(session, jobs.build_report, {"report_id": report_id})
    assert [job.state for job in world.run()] == [State.COMPLETED]
    assert world.look(report_id) == before
    assert len(read_mails(world.mails)) == 1
    assert len(list(world.resources.storage.keys())) == 1


def test_the_asker_is_told_on_their_channel(world: World, database: Database) -> None:
    report_id = world.ask()
    world.run()
    with database.read() as session:
        events = read_events(session, channels=[f"user:{world.ann.user_id}"], after=START, limit=10)
    assert [event.name for event in events] == ["report.requested", "report.ready", "inbox.changed"]
    assert json.loads(events[1].data)["id"] == report_id


def test_the_asker_finds_in_the_inbox_what_came_of_it_until_the_report_is_removed(world: World) -> None:
    report_id = world.ask()
    assert inbox_of(world) == []
    world.run()
    assert inbox_of(world) == [("Your report “Tasks” is ready", f"/web/reports#report-{report_id}")]
    with world.database.write() as session:
        reports.delete_report(session, world.ann, report_id)
    assert inbox_of(world) == []


def test_no_mail_tells_of_a_report_that_was_deleted_before_the_mail_server_came_back(world: World) -> None:
    with world.database.write() as session:
        choose(session, world.ann.user_id, {Kind.REPORT: Choice(inbox=True, mail=True)})
    kept, deleted = (world.ask(email="ann@example.org") for _ in range(2))
    making = [job for job in JOBS if job is not mail_jobs.send_mail]
    run_jobs(world.database, making, world.resources)
    with world.database.write() as session:
        reports.delete_report(session, world.ann, deleted)
    world.run()
    mails = [body(mail, "plain") for mail in read_mails(world.mails)]
    assert len(mails) == 2
    assert [deleted in mail for mail in mails] == [False, False]
    assert [kept in mail for mail in mails] == [True, True]


def test_a_report_that_becomes_ready_while_it_is_looked_at_is_not_called_failed(world: World) -> None:
    report_id = world.ask()
    with world.database.read() as session:
        row = session.get_one(Report, report_id)
        assert row.ready_at is None
        world.run()
        report = reports.get_report(session, world.ann, report_id)
        assert row in session
    # On SQLite what is read is one moment, which the work came after.
    assert report.state is (ReportState.WAITING if world.database.is_sqlite else ReportState.READY)
    assert report.error is None


def test_progress_tells_rows_done_of_rows_in_all(world: World, database: Database) -> None:
    world.add_tasks(*ODD)
    report_id = world.ask()
    world.run()
    with database.read() as session:
        job = get_job(session, world.look(report_id).job)
    assert (job.progress_done, job.progress_total) == (len(ODD), len(ODD))


def test_a_report_whose_rows_do_not_match_their_count_is_never_ready(world: World, add_kind: AddKind) -> None:
    world.add_tasks("one")
    add_kind("wrong", count=lambda *_: 2)
    report_id = world.ask(kind="wrong")
    (job,) = world.run()
    assert job.state is State.RETRYABLE
    assert "1 rows were written, but 2 were counted" in (job.error or "")
    assert world.look(report_id).state is ReportState.RETRYING
    assert list(world.resources.storage.keys()) == []


@pytest.mark.parametrize("form", ["csv", "xlsx"])
def test_a_report_whose_first_byte_takes_an_hour_is_not_swept_away(world: World, add_kind: AddKind, form: str) -> None:
    def take_an_hour(*args: Any) -> TableQuery:
        storage = world.resources.storage
        assert isinstance(storage, LocalStorage)
        for begun in (storage.folder / ".incoming").glob("*"):
            os.utime(begun, (begun.stat().st_atime, begun.stat().st_mtime - 3600))
        storage.sweep()
        return tasks.task_table(*args)

    world.add_tasks("one")
    add_kind("slow", table=take_an_hour)
    report_id = world.ask(kind="slow", format=form)
    assert [job.state for job in world.run()] == [State.COMPLETED]
    assert len(world.read(report_id)) == world.look(report_id).bytes


def test_a_kind_that_is_no_longer_there_fails_its_report(world: World, database: Database) -> None:
    report_id = world.ask()
    with database.write() as session:
        session.execute(update(Report).values(kind="ghosts"))
    world.run()
    report = world.look(report_id)
    assert report.state is ReportState.FAILED
    assert report.error == "There is no longer a kind of report called 'ghosts'."
