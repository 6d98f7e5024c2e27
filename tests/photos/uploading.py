"""People who upload, and what they upload: real pictures, on both databases, into a real folder."""

import functools
import io
from dataclasses import dataclass
from pathlib import Path

import pytest
from PIL import Image

from tailrace.accounts import service as accounts
from tailrace.accounts.principal import Principal
from tailrace.database import Database
from tailrace.photos.keys import QUARANTINE
from tailrace.projects import service as projects
from tailrace.storage import LocalStorage
from tailrace.tasks import service as tasks
from tailrace.tasks.schemas import TaskInput


@functools.cache
def jpeg(width: int = 400, height: int = 300, *, quality: int = 90) -> bytes:
    """Return a JPEG of noise, which compresses badly: about a byte a pixel at this quality."""
    file = io.BytesIO()
    Image.effect_noise((width, height), 90).convert("RGB").save(file, "JPEG", quality=quality)
    return file.getvalue()


@dataclass
class Yard:
    """A small installation: Ann manages a project with a task, Bob is a member, Cem is not."""

    database: Database
    storage: LocalStorage
    ann: Principal
    bob: Principal
    cem: Principal
    tokens: dict[str, str]
    project_id: int
    task_id: int

    def quarantine(self) -> list[str]:
        """Return what uploads have in storage, hidden files included."""
        hidden = [str(path) for path in (self.storage.folder / ".incoming").glob("*")]
        return [*self.storage.keys(QUARANTINE), *hidden]


@pytest.fixture
def yard(either_database: Database, tmp_path: Path) -> Yard:
    return make_yard(either_database, LocalStorage(tmp_path / "files"))


def make_yard(database: Database, storage: LocalStorage) -> Yard:
    """Fill an empty database with the people, the project and the task."""
    people: dict[str, Principal] = {}
    tokens: dict[str, str] = {}
    with database.write() as session:
        for name in ("ann", "bob", "cem"):
            email = f"{name}@example.org"
            user = accounts.create_user(session, email=email, name=name.title(), password_hash="-")
            people[name] = Principal(user.id, email, user.name, False, "token")
            tokens[name] = accounts.create_token(session, user.id, name="t").token
        ann, bob, cem = people.values()
        project = projects.create_project(session, ann, name="Mill")
        projects.add_member(session, ann, project.id, email=bob.email, role=projects.Role.MEMBER)
        task = tasks.create_task(session, ann, project.id, TaskInput(title="Wheel"))
    return Yard(database, storage, ann, bob, cem, tokens, project.id, task.id)
