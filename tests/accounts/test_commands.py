"""The commands for people, tokens and demo data, as processes of their own."""

import re
import signal
import subprocess
from pathlib import Path

import pytest
from sqlalchemy import text

from tailrace.accounts import service as accounts
from tailrace.database import Database
from tailrace.demo.filling import BATCH
from tests.jobs.worlds import until
from tests.service import COMMAND, environment, run_command


@pytest.fixture
def data(tmp_path: Path) -> Path:
    run_command(tmp_path / "data", "migrate")
    return tmp_path / "data"


def test_people_tokens_and_demo_data_come_from_the_command_line(data: Path) -> None:
    create = ("user", "create", "Ada@Site.test", "--admin", "--password-stdin", "--name", "Ada")
    made = run_command(data, *create, stdin="a long password\n")
    assert (made.returncode, "ada@site.test" in made.stdout) == (0, True), made.stderr
    again = run_command(data, *create, stdin="a long password\n")
    assert again.returncode == 1
    assert "already" in again.stderr
    assert "Traceback" not in again.stderr
    token = run_command(data, "token", "create", "ADA@site.test", "--days", "3").stdout
    assert re.fullmatch(r"trt_[\w-]{43}\n", token)
    assert "ada@site.test" in run_command(data, "user", "list").stdout
    demo = run_command(data, "demo", "--tasks", "50")
    assert (demo.returncode, "50 tasks" in demo.stdout) == (0, True), demo.stderr
    database = Database(f"sqlite:///{next(data.glob('*.db'))}")
    with database.read() as session:
        principal = accounts.authenticate_token(session, token.strip())
    database.dispose()
    assert (principal.email, principal.is_admin) == ("ada@site.test", True)


@pytest.mark.parametrize("name", ["[/x]", "[boss] Ada", "[red]Ada[/red]", "\\[Ada]"])
def test_a_name_is_listed_as_it_is(data: Path, name: str) -> None:
    create = ("user", "create", "a@b.test", "--password-stdin", "--name", name)
    assert run_command(data, *create, stdin="a long password\n").returncode == 0
    listed = run_command(data, "user", "list")
    assert listed.returncode == 0
    assert f" {name} " in listed.stdout


@pytest.mark.parametrize(
    ("arguments", "stdin"),
    [
        (("user", "create", "nobody", "--password-stdin"), "a long password\n"),
        (("user", "create", "a@site.test", "--password-stdin"), "short\n"),
        (("user", "create", "a@site.test", "--password-stdin"), ""),
        (("token", "create", "nobody@site.test"), ""),
        (("token", "create", "a@b\r\nc"), ""),
        (("demo",), ""),
        (("demo", "--user", "nobody@site.test"), ""),
    ],
)
def test_a_refusal_is_one_sentence_on_standard_error(data: Path, arguments: tuple[str, ...], stdin: str) -> None:
    refused = run_command(data, *arguments, stdin=stdin)
    assert (refused.returncode, refused.stdout) == (1, "")
    assert refused.stderr.startswith("tailrace: ")
    assert "Traceback" not in refused.stderr


def test_the_address_is_checked_before_a_password_is_asked_for(data: Path) -> None:
    refused = run_command(data, "user", "create", "nobody")
    assert refused.returncode == 1
    assert "Password" not in refused.stdout + refused.stderr
    assert "no e-mail address" in refused.stderr


def test_ctrl_c_leaves_the_tasks_that_were_committed(data: Path) -> None:
    run_command(data, "user", "create", "ada@site.test", "--admin", "--password-stdin", stdin="a long password\n")
    demo = subprocess.Popen(
        [*COMMAND, "demo", "--tasks", "10000000"],
        env=environment(data),
        stdout=subprocess.DEVNULL,
        stderr=subprocess.PIPE,
        text=True,
        # A shell lets what it starts in the background ignore the signal, and that would be inherited.
        preexec_fn=lambda: signal.signal(signal.SIGINT, signal.SIG_DFL),  # noqa: PLW1509 (no other thread runs here)
    )
    database = Database(f"sqlite:///{next(data.glob('*.db'))}")
    try:
        until(lambda: count(database) > 0)
        demo.send_signal(signal.SIGINT)
        _, told = demo.communicate(timeout=30)
        left = count(database)
    finally:
        demo.kill()
        database.dispose()
    assert demo.returncode == 130
    assert "Interrupted" in told
    assert "Traceback" not in told
    assert left >= BATCH
    assert left % BATCH == 0


def count(database: Database) -> int:
    with database.read() as session:
        return int(session.scalar(text("SELECT count(*) FROM tasks")) or 0)
