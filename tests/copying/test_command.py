"""`tailrace copy` on real processes: killed, run again, and taken into use."""

import contextlib
import hashlib
import random
import re
import secrets
import subprocess
import time
from collections.abc import Iterable
from dataclasses import replace
from pathlib import Path

import psycopg
import pytest
from sqlalchemy import make_url, text

from tailrace.bootstrap import open_storage
from tailrace.database import Database
from tailrace.migrations import COPYING, current_revision, migrate
from tailrace.settings import load_settings
from tailrace.storage import LocalStorage
from tests.copying.conftest import Move
from tests.copying.test_interruptions import check_whole
from tests.service import COMMAND, Service, environment, run_command
from tests.services import postgres_url, s3_keys, s3_url

TASKS = 8_000
OBJECTS = 100
KILLS = 6


def storage_address() -> str:
    address, _, query = s3_url().partition("?")
    return f"{address}/copied-{secrets.token_hex(4)}?{query}"


@pytest.mark.acceptance
def test_an_installation_moves_although_the_copy_is_killed(tmp_path: Path) -> None:
    data = tmp_path / "old"
    database, storage = postgres_url(), storage_address()
    arguments = ("copy", "--to", database, "--to-storage", storage)
    with Service(data) as old:
        token = old.create_user("ada@example.org", admin=True)
        assert old.run("demo", "--tasks", str(TASKS), "--user", "ada@example.org").returncode == 0
        table, report = _fetch(old, token, "/reports.csv"), _make_report(old, token)
        refused = run_command(data, *arguments, **s3_keys())
        assert re.fullmatch(r"tailrace: Another `tailrace serve` works in .*; stop it, then copy\.\n", refused.stderr)
    _kill_in_the_middle(data, database, arguments)
    half = run_command(data, "migrate", TAILRACE_DATABASE_URL=database)
    assert half.stderr.endswith("a half-done copy: go on with `tailrace copy` until it is whole.\n")
    _finish(data, arguments)
    settings = {"TAILRACE_DATABASE_URL": database, "TAILRACE_STORAGE_URL": storage, "TAILRACE_S3_REDIRECT": "true"}
    with Service(tmp_path / "new", {**settings, **s3_keys()}) as new:
        # The same token, the same tasks, the same file; and it goes on from there.
        assert _fetch(new, token, "/reports.csv") == _fetch(new, token, report) == table
        with new.client(token) as client:
            assert client.get("/tasks", params={"q": "scaffold", "limit": 1}).json()["items"]
            assert client.post("/projects", json={"name": "New"}).status_code == 201
        _fetch_by_command(new, token, report, table)


def _finish(data: Path, arguments: tuple[str, ...]) -> None:
    done = run_command(data, *arguments, **s3_keys())
    assert done.returncode == 0, done.stderr
    assert done.stderr == "The target holds a half-done copy of this installation, which goes on.\n"
    assert re.search(rf"^tasks: {TASKS:,} copied and compared, digest [0-9a-f]{{64}}$", done.stdout, re.MULTILINE)
    assert re.search(r"^objects: 1 copied and compared, digest [0-9a-f]{64}$", done.stdout, re.MULTILINE)


def _kill_in_the_middle(data: Path, database: str, arguments: tuple[str, ...]) -> None:
    plain = database.replace("+psycopg", "")
    quiet = {"stdout": subprocess.DEVNULL, "stderr": subprocess.DEVNULL}
    with (
        subprocess.Popen([*COMMAND, *arguments], env=environment(data, s3_keys()), **quiet) as copy,  # type: ignore[call-overload] # the options of every start
        psycopg.connect(plain, autocommit=True) as connection,
    ):
        deadline = time.monotonic() + 60
        while not _copied_tasks(connection):
            assert copy.poll() is None
            assert time.monotonic() < deadline
            time.sleep(0.005)
        copy.kill()
    assert copy.returncode == -9
    with psycopg.connect(plain) as connection:
        assert 0 < _copied_tasks(connection) < TASKS


def _copied_tasks(connection: psycopg.Connection) -> int:
    there = connection.execute("SELECT to_regclass('tailrace_copy_tables') IS NOT NULL").fetchone()
    if there != (True,):
        return 0
    found = connection.execute("SELECT count(*) FROM tasks").fetchone()
    assert found is not None
    return int(found[0])


def _fetch(service: Service, token: str, path: str) -> str:
    """Return the SHA-256 of what curl gets, which follows to the bucket as a browser does."""
    command = ["curl", "-sSfL", "-H", f"Authorization: Bearer {token}", service.url + path]
    return hashlib.sha256(subprocess.run(command, check=True, capture_output=True).stdout).hexdigest()


def _make_report(service: Service, token: str) -> str:
    with service.client(token) as client:
        started = client.post("/reports").json()
        client.get(started["events"])
        return str(started["url"])


def _fetch_by_command(service: Service, token: str, report: str, expected: str) -> None:
    file = service.data / "fetched.csv"
    report_id = report.split("/")[2]
    options = ("--resume", report_id, "-o", str(file), "--url", service.url, "--token", token)
    fetched = service.run("report", "tasks", *options)
    assert fetched.returncode == 0, fetched.stderr
    assert hashlib.sha256(file.read_bytes()).hexdigest() == expected


@pytest.mark.acceptance
def test_no_kill_at_any_moment_leaves_a_copy_that_looks_whole_and_is_not(move: Move) -> None:
    choose = random.Random(5)
    for number in range(OBJECTS):
        move.put(f"reports/{number}/2.csv", str(number).encode() * 1000)
    files = LocalStorage(move.old_files.folder.with_name("new"))
    url = move.target.url.render_as_string(hide_password=False)
    arguments = ("copy", "--to", url, "--to-storage", f"file://{files.folder}")
    data = move.old_files.folder.parent
    migrate(move.target)  # Which takes longer than the copy, and is all or nothing.
    moments: list[str | None] = []
    for number in range(KILLS):
        with subprocess.Popen([*COMMAND, *arguments], env=environment(data), stdout=subprocess.DEVNULL) as copy:
            _wait_for_lock(move.target, copy)
            with contextlib.suppress(subprocess.TimeoutExpired):
                copy.wait(choose.uniform(0, 0.2) * (number + 1))
            copy.kill()
        moments.append(current_revision(move.target))
    # Not all of them came too early, or too late.
    assert COPYING in moments
    again = run_command(data, *arguments)
    assert again.returncode == 0 or "has held the whole copy" in again.stderr, again.stderr
    check_whole(replace(move, new_files=files))


def _wait_for_lock(target: Database, copy: subprocess.Popen[bytes]) -> None:
    """Return once the copy has begun to work on the target, or has ended."""
    held = "SELECT count(*) FROM pg_locks JOIN pg_database ON database = pg_database.oid"
    held += " WHERE locktype = 'advisory' AND datname = current_database()"
    deadline = time.monotonic() + 60
    while copy.poll() is None:
        with target.read() as session:
            if session.scalar(text(held)):
                return
        assert time.monotonic() < deadline
        time.sleep(0.01)


def test_the_settings_to_go_on_with_are_those_that_work(tmp_path: Path) -> None:
    data, address = tmp_path / "old", make_url(postgres_url()).set(drivername="postgresql", password="not a $secret")
    run_command(data, "migrate")
    to = address.render_as_string(hide_password=False)
    done = run_command(data, "copy", "--to", to)
    assert done.returncode == 0, done.stderr
    file = tmp_path / "environment"
    file.write_text(done.stdout.partition("these settings:\n")[2])
    given = _read_as_file(file)
    assert given["TAILRACE_DATABASE_URL"] == to
    assert given["TAILRACE_SECRET"] == (data / "secret.key").read_text()
    assert _read_as_shell(file, given) == given
    assert run_command(tmp_path / "new", "migrate", **given).stdout.endswith(" already.\n")
    assert not (tmp_path / "new" / "secret.key").exists()


def test_files_that_stay_are_found_from_another_folder_and_said_to_be_shared(tmp_path: Path) -> None:
    run_command(tmp_path / "my old", "migrate")
    with LocalStorage(tmp_path / "my old" / "files").write("reports/1/1.csv") as writer:
        writer.write(b"id\n1\n")
    told = run_command(tmp_path / "my old", "copy", "--to", postgres_url()).stdout
    assert "\n# The files stay where they are, " in told
    (tmp_path / "environment").write_text(told.partition("these settings:\n")[2])
    settings = load_settings(storage_url=_read_as_file(tmp_path / "environment")["TAILRACE_STORAGE_URL"])
    assert list(open_storage(settings).keys()) == ["reports/1/1.csv"]


def test_files_that_went_elsewhere_are_not_said_to_be_shared(tmp_path: Path) -> None:
    run_command(tmp_path / "old", "migrate")
    files = f"file://{tmp_path}/files"
    told = run_command(tmp_path / "old", "copy", "--to", postgres_url(), "--to-storage", files).stdout
    assert f"\nTAILRACE_STORAGE_URL={files}\n" in told
    assert "stay where they are" not in told


def test_a_key_that_cannot_be_written_as_a_setting_is_named_by_its_file(tmp_path: Path) -> None:
    run_command(tmp_path, "migrate")
    (tmp_path / "secret.key").write_bytes(bytes(range(128, 192)))
    told = run_command(tmp_path, "copy", "--to", postgres_url()).stdout
    assert "TAILRACE_SECRET" not in told
    assert f"\n# Copy {tmp_path}/secret.key into the new data folder, or links in old mails fail.\n" in told


def test_a_secret_that_was_set_is_not_printed(tmp_path: Path) -> None:
    run_command(tmp_path, "migrate")
    done = run_command(tmp_path, "copy", "--to", postgres_url(), TAILRACE_SECRET="x" * 40)
    assert done.returncode == 0, done.stderr
    assert "SECRET" not in done.stdout
    assert "x" * 40 not in done.stdout


def _read_as_file(file: Path) -> dict[str, str]:
    """Return what systemd and Docker read: names and values; lines that begin with # are remarks."""
    lines = [line for line in file.read_text().splitlines() if not line.startswith("#")]
    assert all(re.fullmatch(r"[A-Z_]+=([^'\"\s]+|'[^']*')", line) for line in lines), lines
    pairs = (line.split("=", 1) for line in lines)
    return {name: value.strip("'") for name, value in pairs}


def _read_as_shell(file: Path, names: Iterable[str]) -> dict[str, str]:
    script = f". {file} && env -0"
    shell = subprocess.run(["sh", "-eac", script], env={}, capture_output=True, text=True, check=True)
    assert shell.stderr == ""
    found = dict(line.split("=", 1) for line in shell.stdout.split("\0") if line)
    return {name: found[name] for name in names}


def test_a_database_without_its_data_folder_is_told_in_a_sentence(tmp_path: Path) -> None:
    run_command(tmp_path / "old", "migrate")
    database = (tmp_path / "old" / "tailrace.db").rename(tmp_path / "elsewhere.db")
    away = tmp_path / "away"
    wrong = run_command(away, "copy", "--to", postgres_url(), TAILRACE_DATABASE_URL=f"sqlite:///{database}")
    assert wrong.returncode == 1
    assert re.fullmatch(
        r"tailrace: The data folder .*/away cannot be used: No such .* with TAILRACE_DATA\.\n", wrong.stderr
    )


@pytest.mark.parametrize("target", ["mysql://host/name", "sqlite:///{}/x.db", "x.db"])
def test_a_target_that_is_not_postgresql_is_told_in_a_sentence_and_not_made(tmp_path: Path, target: str) -> None:
    run_command(tmp_path / "data", "migrate")
    wrong = run_command(tmp_path / "data", "copy", "--to", target.format(tmp_path))
    assert wrong.returncode == 1
    assert re.fullmatch(r"tailrace: The target is PostgreSQL: give its address as postgresql://.*\.\n", wrong.stderr)
    assert [path.name for path in tmp_path.iterdir()] == ["data"]


@pytest.mark.parametrize("to_storage", ["s3://bucket?colour=red", "/srv/files"])
def test_a_storage_that_cannot_be_is_told_by_its_option(tmp_path: Path, to_storage: str) -> None:
    run_command(tmp_path, "migrate")
    wrong = run_command(tmp_path, "copy", "--to", "postgresql://nobody@127.0.0.1:1/name", "--to-storage", to_storage)
    assert (wrong.returncode, wrong.stderr.count("\n")) == (1, 1)
    assert wrong.stderr.endswith(" That is --to, or --to-storage.\n")


def test_a_target_that_does_not_answer_is_told_in_a_sentence(tmp_path: Path) -> None:
    run_command(tmp_path, "migrate")
    away = run_command(tmp_path, "copy", "--to", "postgresql://nobody@127.0.0.1:1/name")
    assert away.returncode == 1
    told = r"tailrace: The database cannot be used: connection failed: .*refused\. Start its server, or .* in --to\.\n"
    assert re.fullmatch(told, away.stderr)


def test_a_target_that_is_not_there_is_told_in_a_sentence(tmp_path: Path) -> None:
    run_command(tmp_path, "migrate")
    nowhere = make_url(postgres_url()).set(database="nowhere").render_as_string(hide_password=False)
    told = run_command(tmp_path, "copy", "--to", nowhere).stderr
    assert told.endswith('"nowhere" does not exist. Make that database on its server, or name another in --to.\n')
