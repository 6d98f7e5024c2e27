"""Disks, folders, mail servers and people that get in the way: the report says so, and goes on when it is mended."""

import shutil
import socket
import time
from collections.abc import Callable, Iterator
from concurrent.futures import ThreadPoolExecutor
from contextlib import contextmanager
from dataclasses import replace
from pathlib import Path
from typing import Any

import pytest
from sqlalchemy.exc import IntegrityError

from tailrace.database import Database
from tailrace.errors import Conflict, NotFound
from tailrace.jobs import Job, State, cancel_job, retry_job
from tailrace.mailer import SmtpMailer
from tailrace.reports import service
from tailrace.reports.kinds import MomentPassed
from tailrace.reports.schemas import ReportInput, ReportQuery, ReportState
from tailrace.storage import LocalStorage, Writer
from tailrace.streams import TableQuery
from tailrace.tasks.service import count_tasks, task_table
from tests.mailer.conftest import StartServer, start_server
from tests.notifications.conftest import body, read_mails
from tests.reports.conftest import AddKind, World

__all__ = ["start_server"]


class FolderLost(LocalStorage):
    """A folder whose disk goes away in the middle of every write: a file takes its place."""

    @contextmanager
    def write(self, key: str) -> Iterator[Writer]:  # type: ignore[override]
        with super().write(key) as writer:
            shutil.rmtree(self.folder)
            self.folder.write_text("no folder")
            yield writer


class SlowStorage(LocalStorage):
    """A folder that takes so long to finish a file that something happens meanwhile."""

    def __init__(self, folder: Path, meanwhile: Callable[[], None]) -> None:
        super().__init__(folder)
        self._meanwhile = meanwhile

    @contextmanager
    def write(self, key: str) -> Iterator[Writer]:  # type: ignore[override]
        with super().write(key) as writer:
            yield writer
        self._meanwhile()


def test_a_storage_that_goes_away_midway_is_waited_for(world: World) -> None:
    world.add_tasks("one")
    healthy = world.resources.storage
    folder = world.folder / "lost"
    world.resources.storage = FolderLost(folder)
    report_id = world.ask(email="ann@example.org")
    (job,) = world.run()
    assert job.state is State.RETRYABLE
    waiting = world.look(report_id)
    assert waiting.state is ReportState.RETRYING
    assert waiting.error == (
        f"The storage folder {folder} is gone or no folder: mount or restore it. It is tried again by itself."
    )
    assert read_mails(world.mails) == []

    world.resources.storage = healthy
    world.retry()
    ready = world.look(report_id)
    assert (ready.state, ready.error) == (ReportState.READY, None)
    assert len(read_mails(world.mails)) == 1


def test_a_report_that_fails_for_good_says_why_and_mails_it(world: World, database: Database) -> None:
    world.add_tasks("one")
    report_id = world.ask(email="ann@example.org")
    with database.write() as session:
        session.connection().exec_driver_sql("UPDATE jobs SET max_attempts = 1")
    world.resources.storage = FolderLost(world.folder / "lost")
    assert [(job.kind, job.state) for job in world.run()] == [
        ("reports.build", State.DISCARDED),
        ("reports.build_failed", State.COMPLETED),
        ("notifications.send_mail", State.COMPLETED),
    ]
    failed = world.look(report_id)
    assert failed.state is ReportState.FAILED
    assert failed.error == f"The storage folder {world.folder / 'lost'} is gone or no folder: mount or restore it."
    (mail,) = read_mails(world.mails)
    assert mail["Subject"] == 'Your report "Tasks" could not be made'
    assert failed.error in body(mail, "plain")


def test_a_failed_report_can_be_retried_and_is_ready_then(world: World, database: Database) -> None:
    world.add_tasks("one")
    healthy, world.resources.storage = world.resources.storage, FolderLost(world.folder / "lost")
    report_id = world.ask(email="ann@example.org")
    with database.write() as session:
        session.connection().exec_driver_sql("UPDATE jobs SET max_attempts = 1")
    world.run()
    world.resources.storage = healthy
    with database.write() as session:
        retry_job(session, world.look(report_id).job)
    assert world.look(report_id).state is ReportState.WAITING
    world.run()
    ready = world.look(report_id)
    assert (ready.state, ready.error) == (ReportState.READY, None)
    assert len(read_mails(world.mails)) == 2


def run_as_if_due(world: World) -> list[Job]:
    """Run the jobs that wait for a later time, as `World.retry` does, but keep what was counted of them."""
    with world.database.write() as session:
        session.connection().exec_driver_sql("UPDATE jobs SET run_at = '2020-01-01 00:00:00.000000'")
    return world.run()


def test_a_mistake_of_ours_is_given_up_after_a_few_tries_without_its_inside(world: World, add_kind: AddKind) -> None:
    def count(*_: object) -> int:
        raise RuntimeError("internal detail")

    add_kind("broken", count=count)
    report_id = world.ask(kind="broken")
    tries = len(world.run())
    while world.look(report_id).state is ReportState.RETRYING:
        assert world.look(report_id).error == "Something went wrong. It is tried again by itself."
        tries += len(run_as_if_due(world))
    failed = world.look(report_id)
    assert failed.state is ReportState.FAILED
    assert tries == 5 + 1
    assert "because of an error in Tailrace" in (failed.error or "")
    assert "internal detail" not in (failed.error or "")


def test_a_report_whose_moment_always_passes_is_given_up_after_thirty(world: World, add_kind: AddKind) -> None:
    moments: list[None] = []

    def count(*_: object) -> int:
        moments.append(None)
        raise MomentPassed

    add_kind("fleeting", count=count)
    report_id = world.ask(kind="fleeting")
    world.run()
    for _ in range(29):
        assert world.look(report_id).state is ReportState.WAITING
        run_as_if_due(world)
    assert len(moments) == 30
    failed = world.look(report_id)
    assert failed.state is ReportState.FAILED
    assert "something of it was deleted: ask for it again later" in (failed.error or "")
    with world.database.write() as session:
        retry_job(session, failed.job)
    world.run()
    assert world.look(report_id).state is ReportState.WAITING


def test_a_report_that_was_claimed_often_may_still_miss_its_moment(world: World, add_kind: AddKind) -> None:
    moments = iter([MomentPassed])

    def count(*arguments: Any) -> int:
        for passed in moments:
            raise passed
        return count_tasks(*arguments)

    world.add_tasks("one")
    add_kind("fleeting", count=count)
    report_id = world.ask(kind="fleeting")
    with world.database.write() as session:
        session.connection().exec_driver_sql("UPDATE jobs SET attempt = 40")
    world.run()
    assert world.look(report_id).state is ReportState.WAITING
    run_as_if_due(world)
    assert world.look(report_id).state is ReportState.READY


def test_a_mail_server_that_is_down_delays_the_mail_and_not_the_report(world: World, start_server: StartServer) -> None:
    with socket.create_server(("127.0.0.1", 0)) as reserved:
        port = reserved.getsockname()[1]
    world.resources.mailer = SmtpMailer(f"smtp://127.0.0.1:{port}")
    report_id = world.ask(email="ann@example.org")
    world.run()
    ready = world.look(report_id)
    assert (ready.state, ready.mail) == (ReportState.READY, "queued")
    assert "cannot be reached" in (ready.mail_error or "")

    server = start_server(port=port)
    world.retry()
    assert world.look(report_id).mail == "sent"
    assert server.recipients == ["ann@example.org"]


def test_a_waiting_report_that_is_cancelled_is_cancelled_without_a_mail(world: World, database: Database) -> None:
    report_id = world.ask(email="ann@example.org")
    with database.write() as session:
        cancel_job(session, world.look(report_id).job)
    world.run()
    assert world.look(report_id).state is ReportState.CANCELLED
    assert read_mails(world.mails) == []


def test_a_report_cancelled_while_it_is_made_leaves_no_file(world: World, add_kind: AddKind) -> None:
    def table(*arguments: Any) -> TableQuery:
        cancel(world, report_id)
        return task_table(*arguments)

    world.add_tasks("one")
    add_kind("slow", table=table)
    report_id = world.ask(kind="slow", email="ann@example.org")
    making, noting = world.run()
    assert (making.state, noting.state) == (State.CANCELLED, State.COMPLETED)
    assert world.look(report_id).state is ReportState.CANCELLED
    assert list(world.resources.storage.keys()) == []
    assert read_mails(world.mails) == []


def test_a_report_deleted_while_it_is_made_leaves_nothing(world: World, add_kind: AddKind) -> None:
    def table(*arguments: Any) -> TableQuery:
        delete(world, report_id)
        return task_table(*arguments)

    world.add_tasks("one")
    add_kind("slow", table=table)
    report_id = world.ask(kind="slow", email="ann@example.org")
    world.run()
    with pytest.raises(NotFound):
        world.look(report_id)
    assert list(world.resources.storage.keys()) == []
    assert read_mails(world.mails) == []


def test_a_report_deleted_after_its_last_row_leaves_nothing(world: World) -> None:
    world.add_tasks("one")
    report_id = world.ask(email="ann@example.org")
    world.resources.storage = SlowStorage(world.folder / "slow", lambda: delete(world, report_id))
    world.run()
    assert list(world.resources.storage.keys()) == []
    assert read_mails(world.mails) == []


def cancel(world: World, report_id: str) -> None:
    with world.database.write() as session:
        cancel_job(session, world.look(report_id).job)


def delete(world: World, report_id: str) -> None:
    with world.database.write() as session:
        service.delete_report(session, world.ann, report_id)


def test_of_two_clicks_at_once_one_has_a_report_made_again(world: World) -> None:
    world.add_tasks("one")
    report_id = world.ask()
    with world.database.write() as session:
        cancel_job(session, service.get_report(session, world.ann, report_id).job)

    def click() -> str:
        with world.database.write() as session:
            return service.repeat_report(session, world.ann, report_id)

    with ThreadPoolExecutor(1) as pool:
        with world.database.write() as session:
            assert service.repeat_report(session, world.ann, report_id) == report_id
            second = pool.submit(click)
            time.sleep(0.5)  # It waits for us by now.
            assert not second.done()
        with pytest.raises(Conflict, match="no need to ask again"):
            second.result()
    with world.database.read() as session:
        assert [report.id for report in service.list_reports(session, world.ann, ReportQuery()).items] == [report_id]


def test_a_report_for_nobody_is_an_error_and_no_endless_search_for_an_earlier_one(world: World) -> None:
    nobody = replace(world.ann, user_id=987_654)
    with pytest.raises(IntegrityError), world.database.write() as session:
        service.request_report(session, nobody, ReportInput(), idempotency_key="k")
