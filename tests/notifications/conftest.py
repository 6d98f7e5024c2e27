"""What sending mails takes, on real files and a real mail server."""

from collections.abc import Iterator
from dataclasses import dataclass
from email import message_from_bytes
from email.message import EmailMessage
from email.policy import default
from pathlib import Path

import pytest

from tailrace.database import Base, Database
from tailrace.mailer import FileMailer, Mailer
from tailrace.streams import record
from tests.conftest import import_models
from tests.mailer.conftest import start_server
from tests.services import postgres_url

__all__ = ["database", "start_server"]


@pytest.fixture(params=["sqlite", "postgresql"])
def database(request: pytest.FixtureRequest, tmp_path: Path) -> Iterator[Database]:
    """Give an empty database of each kind with every table, whose commits write the event log."""
    import_models()
    url = f"sqlite:///{tmp_path / 'tailrace.db'}" if request.param == "sqlite" else postgres_url()
    database = Database(url, record=record)
    Base.metadata.create_all(database.engine)
    yield database
    database.dispose()


@dataclass
class Post:
    """The resources of the jobs that send mails."""

    mailer: Mailer
    mail_from: str = "tailrace@example.org"
    base_url: str = "https://tasks.example.org"


@pytest.fixture
def post(tmp_path: Path) -> Post:
    return Post(FileMailer(tmp_path / "mails"))


def read_mails(folder: Path) -> list[EmailMessage]:
    """Return the mails that a `FileMailer` wrote to `folder`."""
    return [message_from_bytes(path.read_bytes(), policy=default) for path in sorted(folder.glob("*.eml"))]


def body(mail: EmailMessage, kind: str) -> str:
    """Return the `plain` or `html` text of a mail."""
    part = mail.get_body((kind,))
    assert part is not None
    return str(part.get_content())
