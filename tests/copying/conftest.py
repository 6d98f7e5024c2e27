"""An installation to copy, and where it is copied to: a real PostgreSQL, and a real S3 server."""

import secrets
import shutil
from collections.abc import Iterator
from dataclasses import dataclass, field
from pathlib import Path

import pytest
from sqlalchemy import insert

from tailrace.accounts import service as accounts
from tailrace.accounts.principal import Principal
from tailrace.copying import Files, copy_installation
from tailrace.database import Base, Database, new_id, publish, utcnow
from tailrace.demo.filling import fill
from tailrace.migrations import migrate
from tailrace.storage import LocalStorage, Storage
from tailrace.streams import record
from tests.conftest import import_models
from tests.services import postgres_url, s3_storage

TASKS = 300


@dataclass
class Told:
    """A progress that remembers what it was told."""

    verified_rows: dict[str, int] = field(default_factory=dict)
    advanced: dict[str, list[int]] = field(default_factory=dict)
    notes: list[str] = field(default_factory=list)

    def begin(self, what: str, total: int) -> None:
        self._what = what

    def advance(self, done: int) -> None:
        self.advanced.setdefault(self._what, []).append(done)

    def verified(self, what: str, count: int, digest: str) -> None:
        assert len(digest) == 64
        self.verified_rows[what] = count

    def note(self, sentence: str) -> None:
        self.notes.append(sentence)


@dataclass
class Move:
    """A source, and an empty target."""

    source: Database
    target: Database
    old_files: LocalStorage
    new_files: Storage

    def run(self, new_files: Storage | None = None, *, told: Told | None = None) -> Told:
        """Copy everything, and return what was told."""
        told = told or Told()
        files = Files(self.old_files, new_files or self.new_files, "s3://test/copy")
        copy_installation(self.source, self.target, files, told)
        return told

    def put(self, key: str, data: bytes) -> None:
        """Store an object in the source."""
        with self.old_files.write(key) as writer:
            writer.write(data)


@pytest.fixture(scope="session")
def filled(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """Give a SQLite database with a project of tasks, events and jobs."""
    import_models()
    path = tmp_path_factory.mktemp("filled") / "tailrace.db"
    source = Database(f"sqlite:///{path}", record=record)
    migrate(source)
    _fill(source)
    source.dispose()
    return path


@pytest.fixture
def move(tmp_path: Path, filled: Path) -> Iterator[Move]:
    """Give an installation with a project of tasks, events, jobs and three objects."""
    (tmp_path / "old").mkdir()
    path = shutil.copy(filled, tmp_path / "old")
    source = Database(f"sqlite:///{path}", record=record)
    target = Database(postgres_url(), record=record)
    storage = s3_storage(f"copying-{secrets.token_hex(4)}")
    move = Move(source, target, LocalStorage(tmp_path / "old" / "files"), storage)
    for key, data in (("reports/1/1.csv", b"id\n1\n"), ("reports/2/1.csv", b""), ("photos/3/original", bytes(300_000))):
        move.put(key, data)
    yield move
    source.dispose()
    target.dispose()


def _fill(database: Database) -> None:
    with database.write() as session:
        ada = accounts.create_user(session, email="ada@site.test", name="Ada", password_hash="!", is_admin=True)
    fill(database, Principal(ada.id, "ada@site.test", "Ada", True, "token"), tasks=TASKS, on_progress=lambda _: None)
    with database.write() as session:
        for number in range(20):
            publish(session, "project:1", "task.changed", {"number": number, "title": "línea\n" + chr(0)})
        jobs = Base.metadata.tables["jobs"]
        session.execute(insert(jobs), [_job(state) for state in ("available", "running", "completed")])


def _job(state: str) -> dict[str, object]:
    now = utcnow()
    row = {"id": new_id(), "kind": "reports.build", "args": {"report_id": state}, "queue": "default", "priority": 50}
    row |= {"state": state, "attempt": 1, "failures": 0, "crashes": 0, "max_attempts": 5, "owner": "user:1"}
    row |= {"run_at": now, "created_at": now, "claimed_by": "gone" if state == "running" else None}
    return row
