"""The whole set on this machine, as processes: PostgreSQL, Redis, two APIs, two Celery workers, nginx before them."""

import contextlib
import os
import re
import shlex
import shutil
import signal
import subprocess
import sys
import tempfile
import threading
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path

import httpx2
import psutil
import pytest

from tests.deploy.conftest import is_there
from tests.service import COMMAND
from tests.services import unavailable
from tests.streams.serving import Listening, wait_for

pytestmark = pytest.mark.acceptance
ROOT = Path(__file__).parents[2]
SCRIPT = ROOT / "deploy" / "one_machine.py"


@dataclass
class Set:
    """The processes, and the address of the proxy."""

    process: subprocess.Popen[str]
    data: Path
    url: str
    token: str = ""

    def parts(self, words: str) -> list[psutil.Process]:
        """Return the children whose command line contains `words`."""
        found = []
        for child in psutil.Process(self.process.pid).children():
            with contextlib.suppress(psutil.Error):  # It has just ended.
                found += [child] if words in " ".join(child.cmdline()) else []
        return found

    def ports_ready(self) -> set[str]:
        """Return the ports on which an API is ready."""
        ready = set()
        for port in (part.cmdline()[-1] for part in self.parts("tailrace serve")):
            with contextlib.suppress(httpx2.TransportError):
                ready |= {port} if httpx2.get(f"http://127.0.0.1:{port}/readyz").status_code == 200 else set()
        return ready

    @property
    def settings(self) -> dict[str, str]:
        """Return the settings that are written down for commands beside the service."""
        lines = (self.data / "environment").read_text().splitlines()
        return dict(shlex.split(line)[1].split("=", 1) for line in lines)

    def run(self, *arguments: str, stdin: str = "") -> str:
        """Run a command beside the service, with its settings, and return what it prints."""
        command = [*COMMAND, *arguments]
        environment = {**os.environ, **self.settings}
        done = subprocess.run(command, env=environment, input=stdin, capture_output=True, text=True, check=False)
        assert done.returncode == 0, done.stderr
        return done.stdout.strip()

    @property
    def client(self) -> httpx2.Client:
        """Return a client of the proxy."""
        return httpx2.Client(base_url=self.url, headers={"Authorization": f"Bearer {self.token}"}, timeout=30)


@pytest.fixture(scope="module")
def folder() -> Iterator[Path]:
    # Not pytest's, which is closed to the user that PostgreSQL runs as where the tests run as root.
    folder = Path(tempfile.mkdtemp(prefix="tailrace-one-"))
    folder.chmod(0o711)
    yield folder
    shutil.rmtree(folder)


@pytest.fixture(scope="module")
def running(folder: Path) -> Iterator[Set]:
    if not is_there("nginx"):
        unavailable("There is no nginx here: install nginx-light.")
    data = folder / "data"
    own = {name: value for name, value in os.environ.items() if not name.startswith("TAILRACE_")}
    with (data.parent / "log").open("wb") as log:
        process = subprocess.Popen(
            [sys.executable, str(SCRIPT), "--data", str(data), "--port", "0"],
            env=own,
            stdout=subprocess.PIPE,
            stderr=log,
            text=True,
        )
    try:
        assert process.stdout is not None
        greeting = re.search(r"on (http://\S+)", process.stdout.readline())
        assert greeting is not None, (data.parent / "log").read_text()[-3000:]
        running = Set(process, data, greeting[1])
        running.run("user", "create", "ada@example.org", "--admin", "--password-stdin", stdin="correct horse battery")
        running.token = running.run("token", "create", "ada@example.org")
        yield running
    finally:
        process.terminate()
        process.communicate(timeout=60)


def test_what_cannot_work_is_told_in_a_sentence_before_anything_is_started(tmp_path: Path) -> None:
    environment = {**os.environ, "TAILRACE_DATABASE_URL": f"sqlite:///{tmp_path}/tailrace.db"}
    command = [sys.executable, str(SCRIPT), "--data", str(tmp_path / "data")]
    done = subprocess.run(command, env=environment, capture_output=True, text=True, timeout=30, check=False)
    assert done.returncode == 1
    (sentence,) = done.stderr.splitlines()
    assert "set TAILRACE_DATABASE_URL=postgresql://" in sentence
    assert not (tmp_path / "data").exists()


def test_a_process_that_never_stays_ends_the_whole() -> None:
    parts = "[[Part('database', ['sleep', '60'])], [Part('proxy', ['false'])]]"
    program = (
        f"from deploy.one_machine import Installation, Part; Installation({parts}).run('', ['http://127.0.0.1:1'])"
    )
    command = [sys.executable, "-c", program]
    done = subprocess.run(command, cwd=ROOT, capture_output=True, text=True, timeout=30, check=False)
    assert done.returncode == 1
    *again, last = done.stderr.splitlines()
    assert again == ["proxy ended with 1; it is started again"] * 4
    assert last == "proxy has ended at once 5 times; the log above says why."


def test_all_have_the_same_key(running: Set) -> None:
    assert running.settings["TAILRACE_SECRET"] == (running.data / "secret.key").read_text()
    assert "key that signs" not in (running.data.parent / "log").read_text()


def test_a_job_runs_on_a_worker_and_is_followed_through_the_proxy(running: Set) -> None:
    with running.client as client:
        started = client.post("/reports").json()
        followed = client.get(started["events"]).text
        assert '"state":"completed"' in followed
        assert client.get(started["url"]).text.startswith("id,project,title")


def test_news_reach_the_streams_of_every_api(running: Set) -> None:
    """What is written through one API comes to a reader of the other."""
    ports = [part.cmdline()[-1] for part in running.parts("tailrace serve")]
    headers = {"Authorization": f"Bearer {running.token}"}
    with running.client as client:
        project = client.post("/projects", json={"name": "Two APIs"}).json()["id"]
    streams = [Listening(f"http://127.0.0.1:{port}/events?channel=project:{project}", headers) for port in ports]
    wait_for(lambda: all(stream.pieces for stream in streams))
    for number, port in enumerate(ports * 3):
        body = {"title": f"Task {number}"}
        httpx2.post(f"http://127.0.0.1:{port}/projects/{project}/tasks", json=body, headers=headers).raise_for_status()
    wait_for(lambda: all(_titles(stream) == [f"Task {number}" for number in range(6)] for stream in streams))
    for stream in streams:
        stream.close()


def _titles(stream: Listening) -> list[str]:
    return [message.json().get("title", "") for message in list(stream.messages) if message.name == "task.created"]


def test_an_api_that_is_killed_is_not_missed_and_comes_back(running: Set) -> None:
    before, ports = running.parts("tailrace serve"), running.ports_ready()
    streams = [Listening(f"{running.url}/stream?limit=1000&interval=0.1") for _ in before]
    wait_for(lambda: all(stream.pieces for stream in streams))
    before[0].kill()
    # One of the streams was on it, and the proxy says so; the other goes on.
    wait_for(lambda: sum(stream.broken for stream in streams) == 1)
    with running.client as client:
        for _ in range(20):
            assert client.get("/healthz").status_code == 200
    wait_for(lambda: running.ports_ready() == ports)
    for stream in streams:
        stream.close()


def test_what_a_killed_api_has_accepted_is_done_once(running: Set) -> None:
    """Fault: kill -9 of an API process while it takes requests that begin jobs, seconds after another one's."""
    doomed = running.parts("tailrace serve")[0]
    accepted: list[dict[str, str]] = []
    asking = threading.Thread(target=_ask_until_it_breaks, args=(running, doomed.cmdline()[-1], accepted))
    asking.start()
    wait_for(lambda: len(accepted) >= 10)
    doomed.kill()
    asking.join()
    with running.client as client:
        for report in accepted:
            assert client.get(report["events"]).text.count('"state":"completed"') == 1
            assert client.get(report["url"]).text.startswith("id,project,title")
        # The last request may have broken after its commit: then its report is there too, and whole like the others.
        wait_for(lambda: {report["state"] for report in client.get("/reports").json()["items"]} == {"ready"})


def _ask_until_it_breaks(running: Set, port: str, accepted: list[dict[str, str]]) -> None:
    headers = {"Authorization": f"Bearer {running.token}"}
    address = f"http://127.0.0.1:{port}"
    with contextlib.suppress(httpx2.TransportError), httpx2.Client(base_url=address, headers=headers) as client:
        while True:
            accepted.append(client.post("/reports").raise_for_status().json())


def test_a_signal_stops_everything_in_time(running: Set) -> None:
    sockets = Path(running.settings["TAILRACE_DATABASE_URL"].partition("?host=")[2])
    assert sockets.is_dir()
    family = psutil.Process(running.process.pid).children(recursive=True)
    assert len(family) > 8
    running.process.send_signal(signal.SIGTERM)
    assert running.process.wait(60) == 0
    _, alive = psutil.wait_procs(family, timeout=5)
    assert alive == []
    assert not sockets.exists()
