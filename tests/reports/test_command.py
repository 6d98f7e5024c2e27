"""`tailrace report` against a real service: the file is whole and verified, or a sentence says why it is not there."""

import csv
import hashlib
import io
import os
import pty
import signal
import socket
import subprocess
import threading
import zipfile
from collections.abc import Callable, Iterator
from pathlib import Path

import openpyxl  # type: ignore[import-untyped]
import pytest
from PIL import Image

from tailrace.cli.common import CommandError
from tailrace.cli.report_client import ReportClient
from tailrace.cli.reports import parse_filters
from tests.reports.proxy import cutting
from tests.service import COMMAND, Service, environment, run_command

TASKS = 3000


@pytest.fixture(scope="module")
def service(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Service]:
    with Service(tmp_path_factory.mktemp("service") / "data") as running:
        yield running


@pytest.fixture(scope="module")
def token(service: Service) -> str:
    """Give the token of an administrator, who sees the tasks of the demo."""
    created = service.create_user("ada@example.org", admin=True)
    demo = run_command(service.data, "demo", "--tasks", str(TASKS))
    assert demo.returncode == 0, demo.stderr
    return created


@pytest.fixture
def report(service: Service, token: str, tmp_path: Path) -> Callable[..., subprocess.CompletedProcess[str]]:
    """Give a function that runs `tailrace report` in a folder of its own."""

    def run(*arguments: str, url: str = service.url, secret: str = token) -> subprocess.CompletedProcess[str]:
        return subprocess.run(
            [*COMMAND, "report", *arguments],
            env=environment(service.data, {"TAILRACE_URL": url, "TAILRACE_TOKEN": secret}),
            cwd=tmp_path,
            capture_output=True,
            text=True,
            timeout=120,
            check=False,
        )

    return run


Run = Callable[..., subprocess.CompletedProcess[str]]


def test_a_report_becomes_a_file_that_is_whole(report: Run, tmp_path: Path) -> None:
    done = report("tasks", "--format", "csv", "-o", "all.csv")
    assert done.returncode == 0, done.stderr
    content = (tmp_path / "all.csv").read_bytes()
    assert len(list(csv.reader(io.StringIO(content.decode(), newline="")))) == TASKS + 1
    assert done.stdout == (
        f"all.csv: {TASKS:,} rows, {len(content):,} bytes, SHA-256 {hashlib.sha256(content).hexdigest()}\n"
    )
    assert [path.name for path in tmp_path.iterdir()] == ["all.csv"]


def test_formats_and_filters_are_passed_on(report: Run, tmp_path: Path) -> None:
    done = report("tasks", "--format", "xlsx", "--filter", "status=done", "--filter", "status=todo")
    assert done.returncode == 0, done.stderr
    sheet = openpyxl.load_workbook(tmp_path / "tasks.xlsx").active
    header, *rows = sheet.iter_rows(values_only=True)
    assert {row[header.index("status")] for row in rows} == {"done", "todo"}


def test_photos_come_as_an_archive(report: Run, service: Service, token: str, tmp_path: Path) -> None:
    picture = io.BytesIO()
    Image.new("RGB", (64, 48), "teal").save(picture, "JPEG")
    with service.client(token) as client:
        sent = client.post("/photos/async", files={"file": ("gate.jpg", picture.getvalue(), "image/jpeg")})
        assert sent.status_code == 202, sent.text
    done = report("photos", "--format", "zip")
    assert done.returncode == 0, done.stderr
    assert done.stdout.startswith("photos.zip: 1 photo, ")
    with zipfile.ZipFile(tmp_path / "photos.zip") as archive:
        assert archive.namelist() == ["Without a task/gate.jpg", "manifest.csv"]
        assert archive.read("Without a task/gate.jpg") == picture.getvalue()
    refused = report("photos", "--format", "csv")
    assert (refused.returncode, "they come as zip" in refused.stderr) == (1, True)


@pytest.mark.parametrize("cuts", [[3000], [400, 800, 1200, 1600, 2000], [50_000, 60_000, 70_000, 80_000]])
def test_a_network_that_breaks_delays_the_file_and_nothing_else(
    report: Run, service: Service, tmp_path: Path, cuts: list[int]
) -> None:
    with cutting(service.url, cuts) as proxy:
        done = report("tasks", "-o", "all.csv", url=proxy.url)
        assert proxy.cuts == []
    assert done.returncode == 0, done.stderr
    assert hashlib.sha256((tmp_path / "all.csv").read_bytes()).hexdigest() in done.stdout


def test_a_part_of_another_file_is_noticed_and_thrown_away(report: Run, tmp_path: Path) -> None:
    (tmp_path / "all.csv.part").write_bytes(b"another report's beginning\n" * 20)
    done = report("tasks", "-o", "all.csv")
    assert done.returncode == 0, done.stderr
    assert hashlib.sha256((tmp_path / "all.csv").read_bytes()).hexdigest() in done.stdout
    assert not (tmp_path / "all.csv.part").exists()


def test_a_refusal_is_told_in_the_services_own_words(report: Run, tmp_path: Path) -> None:
    for arguments, sentence in (
        (["ghosts"], "there is no such kind of report"),
        (["tasks", "--filter", "colour=red"], "colour"),
        (["tasks", "--resume", "0" * 32], "no such report"),
        (["tasks", "--filter", "status"], "NAME=VALUE"),
        (["tasks", "-o", "none/all.csv"], "There is no folder"),
    ):
        refused = report(*arguments)
        assert (refused.returncode, refused.stdout) == (1, "")
        assert sentence in refused.stderr
        assert "Traceback" not in refused.stderr
    assert list(tmp_path.iterdir()) == []


def test_a_file_that_is_there_is_replaced_only_when_told_so(report: Run, tmp_path: Path) -> None:
    target = tmp_path / "all.csv"
    target.write_text("years of work")
    refused = report("tasks", "-o", "all.csv")
    assert (refused.returncode, "--force" in refused.stderr) == (1, True)
    failed = report("tasks", "-o", "all.csv", "--force", "--filter", "colour=red")
    assert failed.returncode == 1
    assert target.read_text() == "years of work"
    done = report("tasks", "-o", "all.csv", "--force")
    assert done.returncode == 0, done.stderr
    assert hashlib.sha256(target.read_bytes()).hexdigest() in done.stdout


def test_a_dash_is_standard_output(report: Run, tmp_path: Path) -> None:
    done = report("tasks", "-o", "-")
    assert done.returncode == 0, done.stderr
    assert len(list(csv.reader(io.StringIO(done.stdout)))) == TASKS + 1
    assert hashlib.sha256(done.stdout.encode()).hexdigest() in " ".join(done.stderr.split())
    assert list(tmp_path.iterdir()) == []


def test_without_an_address_it_is_where_the_settings_say(service: Service, token: str, tmp_path: Path) -> None:
    port = service.url.rpartition(":")[2]
    done = run_command(
        service.data, "report", "tasks", "-o", str(tmp_path / "all.csv"), TAILRACE_PORT=port, TAILRACE_TOKEN=token
    )
    assert done.returncode == 0, done.stderr


def test_a_service_that_is_not_there_is_told_at_once() -> None:
    with socket.create_server(("127.0.0.1", 0)) as reserved:
        url = f"http://127.0.0.1:{reserved.getsockname()[1]}"
    told: list[str] = []
    with ReportClient(url, "trt_any", tell=told.append) as client, pytest.raises(CommandError, match="TAILRACE_URL"):
        client.ask({"kind": "tasks"})
    assert told == []


class Told(Exception):
    """Ends a wait as soon as it is spoken of."""


def test_a_wait_is_spoken_of() -> None:
    def tell(sentence: str) -> None:
        raise Told(sentence)

    with socket.create_server(("127.0.0.1", 0)) as listener:

        def hang_up() -> None:
            connection, _ = listener.accept()
            connection.close()

        hanging_up = threading.Thread(target=hang_up)
        hanging_up.start()
        url = f"http://127.0.0.1:{listener.getsockname()[1]}"
        with ReportClient(url, "trt_any", tell=tell) as client, pytest.raises(Told, match="Waiting for it"):
            client.ask({"kind": "tasks"})
        hanging_up.join()


def test_without_a_good_token_it_says_what_to_do(report: Run) -> None:
    missing = report("tasks", secret="")
    assert (missing.returncode, "TAILRACE_TOKEN" in missing.stderr) == (1, True)
    wrong = report("tasks", secret="trt_wrong")
    assert wrong.returncode == 1
    assert "token" in wrong.stderr.lower()


def test_a_wrong_option_is_wrong_usage(report: Run) -> None:
    assert report("tasks", "--format", "pdf").returncode == 2


def test_an_interrupted_command_says_how_to_fetch_the_report_later(
    report: Run, service: Service, token: str, tmp_path: Path
) -> None:
    command = [*COMMAND, "report", "tasks", "--format", "xlsx", "-o", str(tmp_path / "all.xlsx")]
    terminal, theirs = pty.openpty()
    env = environment(service.data, {"TAILRACE_URL": service.url, "TAILRACE_TOKEN": token})
    with subprocess.Popen(command, env=env, stderr=theirs, stdout=theirs, start_new_session=True) as process:
        os.close(theirs)
        shown = b""
        while b"waiting" not in shown and b"running" not in shown:
            shown += os.read(terminal, 4096)
        process.send_signal(signal.SIGINT)
        shown += _read_all(terminal)
    os.close(terminal)
    assert process.returncode == 130
    told = " ".join(shown.decode().split())
    assert "The report goes on being made" in told
    report_id = told.partition("--resume ")[2].partition(" ")[0]
    done = report("tasks", "--resume", report_id, "-o", "later.xlsx")
    assert done.returncode == 0, done.stderr
    assert openpyxl.load_workbook(tmp_path / "later.xlsx").active.max_row == TASKS + 1


def _read_all(terminal: int) -> bytes:
    found = b""
    try:
        while data := os.read(terminal, 4096):
            found += data
    except OSError:  # A terminal whose other side is closed.
        pass
    return found


def test_filters_become_what_the_service_takes() -> None:
    assert parse_filters([]) == {}
    assert parse_filters(["a=1", "b=x=y", "a=2", "a=3", "c="]) == {"a": ["1", "2", "3"], "b": "x=y", "c": ""}
    for bad in ("a", "=a", ""):
        with pytest.raises(CommandError, match="NAME=VALUE"):
            parse_filters([bad])
