"""What every mailer promises, whichever it is."""

from collections.abc import Callable
from email import message_from_bytes
from email.message import EmailMessage, Message
from email.policy import default
from pathlib import Path
from typing import cast

import pytest

from tailrace.mailer import FileMailer, Mailer, SmtpMailer
from tests.mailer.conftest import StartServer, make_message

pytestmark = pytest.mark.conformance("mailer", by="mail")
Outbox = Callable[[], list[Message]]


@pytest.fixture(params=["file", "smtp"])
def mail(request: pytest.FixtureRequest, tmp_path: Path) -> tuple[Mailer, Outbox]:
    """Give a mailer, and a function that returns what it sent."""
    if request.param == "file":
        return FileMailer(tmp_path / "mail"), lambda: _read_folder(tmp_path / "mail")
    start_server: StartServer = request.getfixturevalue("start_server")
    post = start_server()
    return SmtpMailer(f"smtp://127.0.0.1:{post.port}"), lambda: post.messages


def _read_folder(folder: Path) -> list[Message]:
    return [message_from_bytes(path.read_bytes(), policy=default) for path in sorted(folder.glob("*.eml"))]


def test_a_message_arrives_as_it_was(mail: tuple[Mailer, Outbox]) -> None:
    mailer, outbox = mail
    sent = make_message()
    mailer.send(sent)
    (got,) = outbox()
    for name in ("From", "To", "Subject", "Message-ID"):
        assert got[name] == sent[name]
    assert _bodies(cast(EmailMessage, got)) == _bodies(sent)


def test_several_messages_arrive_in_full(mail: tuple[Mailer, Outbox]) -> None:
    mailer, outbox = mail
    for number in range(3):
        mailer.send(make_message(**{"Message-ID": f"<m{number}@example.org>"}))
    assert [message["Message-ID"] for message in outbox()] == [f"<m{number}@example.org>" for number in range(3)]


def test_an_international_address_arrives(mail: tuple[Mailer, Outbox]) -> None:
    mailer, outbox = mail
    mailer.send(make_message(To="jürgen@example.org"))
    assert outbox()[0]["To"] == "jürgen@example.org"


def test_a_healthy_mailer_passes_its_check_and_sends_nothing(mail: tuple[Mailer, Outbox]) -> None:
    mailer, outbox = mail
    mailer.check()
    assert outbox() == []


def test_it_says_in_plain_words_what_becomes_of_messages(mail: tuple[Mailer, Outbox], tmp_path: Path) -> None:
    mailer, _ = mail
    told = mailer.describe()
    assert told.endswith(".")
    assert type(mailer).__name__ not in told
    if mailer.delivers:
        assert "Mails are sent by the mail server 127.0.0.1:" in told
    else:
        assert f"written to a file in {tmp_path / 'mail'}, and nobody gets it" in told


def _bodies(message: EmailMessage) -> list[str]:
    parts = [message.get_body((kind,)) for kind in ("plain", "html")]
    return [part.get_content().replace("\r\n", "\n") for part in parts if part is not None]
