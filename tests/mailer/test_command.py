"""`tailrace mail test` sends at once, and says what became of it."""

import socket
from pathlib import Path

import pytest

from tests.mailer.conftest import StartServer
from tests.notifications.conftest import read_mails
from tests.service import run_command


@pytest.fixture(autouse=True)
def _installation(tmp_path: Path) -> None:
    run_command(tmp_path / "data", "migrate")


def test_without_a_server_it_says_where_the_file_is(tmp_path: Path) -> None:
    done = run_command(tmp_path / "data", "mail", "test", "ann@example.org")
    assert done.returncode == 0, done.stderr
    (path,) = (tmp_path / "data" / "mails").glob("*.eml")
    assert f"{path}." in done.stdout
    (mail,) = read_mails(tmp_path / "data" / "mails")
    assert mail["To"] == "ann@example.org"


def test_a_server_that_accepts_is_told(tmp_path: Path, start_server: StartServer) -> None:
    post = start_server()
    url = f"smtp://127.0.0.1:{post.port}"
    done = run_command(tmp_path / "data", "mail", "test", "ann@example.org", TAILRACE_MAIL_URL=url)
    assert done.returncode == 0, done.stderr
    assert "accepted the mail for ann@example.org" in done.stdout
    assert post.messages[0]["Message-ID"] in done.stdout


def test_a_server_that_refuses_or_is_down_is_told(tmp_path: Path, start_server: StartServer) -> None:
    post = start_server()
    post.replies["RCPT"] = "550 no such person"
    url = f"smtp://127.0.0.1:{post.port}"
    refused = run_command(tmp_path / "data", "mail", "test", "ann@example.org", TAILRACE_MAIL_URL=url)
    assert (refused.returncode, refused.stdout) == (1, "")
    assert "550 no such person" in refused.stderr
    with socket.create_server(("127.0.0.1", 0)) as reserved:
        url = f"smtp://ann:hunter2@127.0.0.1:{reserved.getsockname()[1]}"
    down = run_command(tmp_path / "data", "mail", "test", "ann@example.org", TAILRACE_MAIL_URL=url)
    assert down.returncode == 1
    assert "cannot be reached" in down.stderr
    assert "hunter2" not in down.stderr
    assert "Traceback" not in down.stderr


def test_what_is_no_address_is_refused(tmp_path: Path) -> None:
    refused = run_command(tmp_path / "data", "mail", "test", "ann")
    assert refused.returncode == 1
    assert "no e-mail address" in refused.stderr
