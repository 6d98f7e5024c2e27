"""People, projects and tasks to report on, and what the jobs of reports use: real files all of it."""

from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path
from typing import Any, cast

import pytest
from fastapi import FastAPI
from sqlalchemy.orm import Session
from starlette.testclient import TestClient

from tailrace.accounts import service as accounts
from tailrace.accounts.principal import Principal
from tailrace.database import Database
from tailrace.http import problems
from tailrace.jobs import Job, State, list_jobs, retry_job
from tailrace.jobs.testing import run_jobs
from tailrace.mailer import FileMailer, Mailer
from tailrace.notifications import jobs as mail_jobs
from tailrace.projects import service as projects
from tailrace.reports import jobs as report_jobs
from tailrace.reports import routes
from tailrace.reports import service as reports
from tailrace.reports.kinds import ReportKind
from tailrace.reports.registry import KINDS
from tailrace.reports.schemas import ReportInput, ReportView
from tailrace.reports.tables import table_kind
from tailrace.storage import LocalStorage, Storage
from tailrace.streams.drain import Drain
from tailrace.tasks import service as tasks
from tailrace.tasks.schemas import TaskFilters, TaskInput
from tests.notifications.conftest import database

__all__ = ["database"]

JOBS = [
    report_jobs.build_report,
    report_jobs.report_failed,
    report_jobs.remove_report,
    report_jobs.expire_reports,
    mail_jobs.send_mail,
    mail_jobs.fail_mail,
]


@dataclass
class Resources:
    """What the jobs of reports and mails are given."""

    storage: Storage
    mailer: Mailer
    mail_from: str = "tailrace@example.org"
    base_url: str = "http://testserver"
    secret: bytes = b"a secret of more than thirty-two bytes"
    report_days: int = 30


@dataclass
class World:
    """A small installation: Ann manages a project, Bob is a member of none, Ada administers."""

    database: Database
    folder: Path
    resources: Resources
    ann: Principal
    bob: Principal
    ada: Principal
    project_id: int
    tokens: dict[str, str]

    def add_tasks(self, *titles: str, project_id: int | None = None) -> None:
        with self.database.write() as session:
            for title in titles:
                tasks.create_task(session, self.ann, project_id or self.project_id, TaskInput(title=title))

    def ask(self, who: Principal | None = None, **order: Any) -> str:
        with self.database.write() as session:
            return reports.request_report(session, who or self.ann, ReportInput(**order)).id

    def look(self, report_id: str, who: Principal | None = None) -> ReportView:
        with self.database.read() as session:
            return reports.get_report(session, who or self.ann, report_id)

    def run(self) -> list[Job]:
        return run_jobs(self.database, JOBS, self.resources)

    def retry(self) -> list[Job]:
        """Run the jobs that wait for another attempt, as if their time had come."""
        with self.database.write() as session:
            for job in list_jobs(session, states=[State.RETRYABLE]):
                retry_job(session, job.id)
        return self.run()

    def read(self, report_id: str) -> bytes:
        """Return a report's file from storage."""
        with self.database.read() as session:
            file = reports.open_report(session, report_id, self.ann)
        return b"".join(self.resources.storage.read(file.key))

    def client(self, name: str | None = "ann") -> TestClient:
        """Return a client of the routes of reports, signed in by the token of that person."""
        app = FastAPI()
        app.include_router(routes.router)
        problems.install(app)
        app.state.database = self.database
        app.state.storage = self.resources.storage
        app.state.secret = self.resources.secret
        app.state.drain = Drain()
        headers = {"Authorization": f"Bearer {self.tokens[name]}"} if name else {}
        return TestClient(app, headers=headers, raise_server_exceptions=False)

    @property
    def mails(self) -> Path:
        return self.folder / "mails"


AddKind = Callable[..., None]


@pytest.fixture
def add_kind(monkeypatch: pytest.MonkeyPatch) -> AddKind:
    """Give a function that adds a kind of report, made as the one of tasks with another `count` or `table`."""

    def add(name: str, **changes: Any) -> None:
        made: dict[str, Any] = {"table": tasks.task_table, "count": tasks.count_tasks}
        kind = table_kind(name=name, title="Tasks", filters=TaskFilters, **made | changes)
        monkeypatch.setitem(cast(dict[str, ReportKind[Any]], KINDS), name, kind)

    return add


@pytest.fixture
def world(database: Database, tmp_path: Path) -> World:
    resources = Resources(LocalStorage(tmp_path / "files"), FileMailer(tmp_path / "mails"))
    with database.write() as session:
        people = {name: _add_person(session, name) for name in ("ann", "bob", "ada")}
        tokens = {name: accounts.create_token(session, each.user_id, name="t").token for name, each in people.items()}
        project = projects.create_project(session, people["ann"], name="Mill")
    return World(database, tmp_path, resources, people["ann"], people["bob"], people["ada"], project.id, tokens)


def _add_person(session: Session, name: str) -> Principal:
    email = f"{name}@example.org"
    admin = name == "ada"
    user = accounts.create_user(session, email=email, name=name.title(), password_hash="-", is_admin=admin)
    return Principal(user.id, email, user.name, admin, "token")
