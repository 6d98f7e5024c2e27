"""The commands that need no running service: quick to answer, and one sentence when something is wrong."""

import json
import re
import subprocess
import sys
from datetime import timedelta
from pathlib import Path

import pytest
from sqlalchemy import text

import tailrace
from tailrace.bootstrap import open_database
from tailrace.database import utcnow
from tailrace.jobs import enqueue
from tailrace.migrations import HEAD, migrate
from tailrace.operations.jobs import prune_old_events
from tailrace.settings import load_settings
from tests.service import run_command

COMMANDS = ["serve", "worker", "migrate", "doctor", "demo", "report", "user", "token", "jobs", "mail"]


@pytest.fixture
def data(tmp_path: Path) -> Path:
    return tmp_path / "data"


@pytest.fixture
def job_id(data: Path) -> str:
    """Return a job that waits for tomorrow."""
    database = open_database(load_settings(data=data))
    migrate(database)
    with database.write() as session:
        job = enqueue(session, prune_old_events, run_at=utcnow() + timedelta(days=1))
    database.dispose()
    return job.id


def test_help_names_every_command(data: Path) -> None:
    shown = run_command(data, "--help")
    assert shown.returncode == 0
    assert all(f"  {command} " in shown.stdout for command in COMMANDS)
    assert not data.exists()


def test_help_imports_nothing_slow() -> None:
    script = "import sys, tailrace.cli; print(*(n for n in ('sqlalchemy', 'fastapi', 'pydantic') if n in sys.modules))"
    done = subprocess.run([sys.executable, "-c", script], capture_output=True, text=True, check=True)
    assert done.stdout.strip() == ""


@pytest.mark.parametrize(
    ("arguments", "extra", "sentence"),
    [
        (["migrate"], {"TAILRACE_PORT": "many"}, "The setting TAILRACE_PORT is wrong"),
        (
            ["migrate"],
            {"TAILRACE_DATABASE_URL": "sqlite:////proc/none/t.db"},
            "TAILRACE_DATABASE_URL cannot be used",
        ),
        (["migrate"], {"TAILRACE_DATA": "/proc/none"}, "The data folder /proc/none cannot be made"),
        (["serve"], {"TAILRACE_STORAGE_URL": "s3://bucket?colour=red"}, "TAILRACE_STORAGE_URL cannot be used"),
        (["serve", "--host", "192.0.2.1"], {}, "Cannot listen on 192.0.2.1:8000"),
        (["migrate"], {"TAILRACE_STORAGE_URL": "ftp://bucket"}, "The setting TAILRACE_STORAGE_URL is wrong"),
    ],
)
def test_what_is_wrong_is_one_sentence(data: Path, arguments: list[str], extra: dict[str, str], sentence: str) -> None:
    done = run_command(data, *arguments, **extra)
    assert done.returncode == 1
    assert done.stderr.startswith(f"tailrace: {sentence}"), done.stderr
    assert done.stderr.count("\n") == 1


@pytest.mark.usefixtures("job_id")
def test_a_second_engine_is_refused_with_the_cure(data: Path) -> None:
    database = open_database(load_settings(data=data))
    with database.hold("engine"):
        done = run_command(data, "worker")
    database.dispose()
    assert done.returncode == 1
    told = done.stderr.splitlines()[-1]
    assert told.startswith("tailrace: Another engine runs the jobs of this database: stop `tailrace serve`, ")
    assert "TAILRACE_ENGINE=celery" in told


@pytest.mark.parametrize("command", ["show", "cancel"])
@pytest.mark.usefixtures("job_id")
def test_a_job_that_does_not_exist_is_one_sentence(data: Path, command: str) -> None:
    done = run_command(data, "jobs", command, "0" * 32)
    assert (done.returncode, done.stderr.count("\n")) == (1, 1)
    assert done.stderr.startswith("tailrace: There is no job")


@pytest.mark.parametrize(
    "arguments",
    [
        ["doctor"],
        ["worker"],
        ["demo"],
        ["jobs", "list"],
        ["user", "list"],
        ["user", "create", "ada@example.org", "--password-stdin"],
        ["token", "create", "ada@example.org"],
        ["mail", "test", "ada@example.org"],
    ],
)
def test_in_the_wrong_folder_a_command_says_so_and_leaves_nothing(data: Path, arguments: list[str]) -> None:
    done = run_command(data, *arguments, stdin="correct horse battery\n")
    assert (done.returncode, done.stdout) == (1, "")
    assert done.stderr.startswith(f"tailrace: There is no Tailrace in {data}: ")
    assert not data.exists()


def test_a_misspelt_setting_is_named(data: Path) -> None:
    done = run_command(data, "migrate", TAILRACE_WROKERS="3", TAILRACE_TOKEN="t", TAILRACE_URL="u", TAILRACE_SITE="s")
    assert done.returncode == 0
    assert done.stderr == "tailrace: TAILRACE_WROKERS is no setting and is ignored; TAILRACE_WORKERS is one.\n"


def test_the_version_can_be_asked_for(data: Path) -> None:
    assert run_command(data, "--version").stdout == f"Tailrace {tailrace.__version__}\n"


def test_help_says_what_to_write_rather_than_of_which_type_it_is(data: Path) -> None:
    shown = run_command(data, "report", "--help").stdout + run_command(data, "user", "create", "--help").stdout
    assert "--email EMAIL" in shown
    assert not re.search(r"--[\w-]+ <(str|int|path)>", shown)


def test_migrate_says_what_it_did(data: Path) -> None:
    first = run_command(data, "migrate")
    assert first.stdout == f"The database went from revision none to {HEAD}.\n"
    assert run_command(data, "migrate").stdout == f"The database is at revision {HEAD} already.\n"


def test_doctor_finds_a_sound_installation_sound(data: Path) -> None:
    run_command(data, "migrate")
    done = run_command(data, "doctor", "--json")
    assert done.returncode == 0, done.stdout
    states = {finding["part"]: finding["state"] for finding in json.loads(done.stdout)}
    sound = dict.fromkeys(("database", "migrations", "storage", "mail", "disk", "clock", "queues"), "ok")
    assert states == {**sound, "engine": "warn"}
    table = run_command(data, "doctor")
    assert table.returncode == 0
    assert "tailrace serve" in table.stdout


def test_doctor_names_what_is_broken_and_the_cure(data: Path) -> None:
    data.mkdir()
    (data / "tailrace.db").touch()
    done = run_command(data, "doctor", "--json", TAILRACE_MAIL_URL="smtp://127.0.0.1:1")
    assert done.returncode == 1
    broken = {finding["part"]: finding["cure"] for finding in json.loads(done.stdout) if finding["state"] == "fail"}
    assert broken.keys() == {"mail", "migrations"}
    assert "TAILRACE_MAIL_URL" in broken["mail"]
    assert "tailrace migrate" in broken["migrations"]


def test_jobs_are_listed_and_shown(data: Path, job_id: str) -> None:
    listed = run_command(data, "jobs", "list", "--state", "scheduled")
    assert job_id in listed.stdout
    assert "operations.prune_events" in listed.stdout
    assert job_id not in run_command(data, "jobs", "list", "--kind", "other").stdout
    assert json.loads(run_command(data, "jobs", "show", job_id).stdout)["state"] == "scheduled"


def test_errors_are_listed_as_they_are(data: Path, job_id: str) -> None:
    database = open_database(load_settings(data=data))
    with database.write() as session:
        session.execute(text("UPDATE jobs SET error = 'no [bold] file [/tmp/x]' WHERE id = :id"), {"id": job_id})
    database.dispose()
    listed = run_command(data, "jobs", "list")
    assert "no [bold] file [/tmp/x]" in listed.stdout, listed.stderr


def test_what_doctor_finds_is_shown_as_it_is(tmp_path: Path) -> None:
    data = tmp_path / "[" / "x]"
    run_command(data, "migrate")
    shown = run_command(data, "doctor", COLUMNS="1000")
    assert str(data) in shown.stdout, shown.stderr


@pytest.mark.parametrize("columns", [80, 40])
def test_what_doctor_finds_is_wrapped_and_never_cut(tmp_path: Path, columns: int) -> None:
    data = tmp_path / ("folder-" * 20) / "data"
    run_command(data, "migrate")
    (data / "mails").touch()
    findings = {finding["part"]: finding for finding in json.loads(run_command(data, "doctor", "--json").stdout)}
    shown = run_command(data, "doctor", COLUMNS=str(columns)).stdout
    assert max(map(len, shown.splitlines())) <= columns
    together = re.sub(r"\s", "", shown)
    for part in ("engine", "mail"):
        assert re.sub(r"\s", "", findings[part]["detail"] + findings[part]["cure"]) in together
    assert str(data) in together


def test_a_job_is_cancelled_and_retried(data: Path, job_id: str) -> None:
    assert run_command(data, "jobs", "cancel", job_id).stdout == f"{job_id} is cancelled.\n"
    again = run_command(data, "jobs", "cancel", job_id)
    assert (again.returncode, again.stderr.count("\n")) == (1, 1)
    assert run_command(data, "jobs", "retry", job_id).stdout == f"{job_id} is available.\n"
    assert run_command(data, "jobs", "log", job_id).stdout == ""
