"""`tailrace serve` on real processes: it starts, keeps its engine, and stops as promised."""

import json
import signal
import subprocess
from collections.abc import Callable
from pathlib import Path

import httpx2
import psutil
import pytest

from tests.photos.tus_client import TusClient
from tests.photos.uploading import jpeg
from tests.service import COMMAND, Service, environment, run_command
from tests.services import postgres_url
from tests.streams.serving import wait_for


def _engine(service: Service) -> psutil.Process:
    return next(
        child
        for child in psutil.Process(service.process.pid).children()
        if "tailrace.jobs.engines.local" in child.cmdline()
    )


def _finish_a_report(service: Service, token: str) -> str:
    with service.client(token) as client:
        job = client.post("/reports").json()["job"]
        return client.get(f"/jobs/{job}/events").text


def test_the_set_up_link_is_there_until_it_was_used(server: Callable[..., Service], tmp_path: Path) -> None:
    first = server()
    assert first.setup_url.startswith(f"{first.url}/setup?token=")
    with first.client() as client:
        assert client.get(first.setup_url).status_code == 200
    first.create_user("ada@example.org", admin=True)
    assert first.stop() == 0
    assert server().setup_url == ""


@pytest.mark.parametrize("number", [signal.SIGTERM, signal.SIGINT])
def test_a_signal_ends_streams_with_a_hint_and_is_no_failure(
    server: Callable[..., Service], number: signal.Signals
) -> None:
    service = server()
    token = service.create_user("ada@example.org", admin=True)
    engine = _engine(service)
    with (
        service.client(token) as client,
        client.stream("GET", "/events", params={"channel": "user:1"}) as events,
        client.stream("GET", "/stream", params={"limit": 100, "interval": 30}) as numbers,
    ):
        lines = events.iter_lines()
        next(lines)
        counted = numbers.iter_lines()
        next(counted)
        service.process.send_signal(number)
        assert "event: drain" in list(lines)
        assert "event: drain" in list(counted)
    assert service.stop() == 0
    assert not engine.is_running()


@pytest.mark.parametrize("missing", [50_000, 500_000])
def test_a_signal_tells_uploads_to_come_again_whatever_they_lack(server: Callable[..., Service], missing: int) -> None:
    """Little that is missing is otherwise waited for, longer than a server that stops may."""
    service = server()
    client = TusClient(service.url, service.create_user("ada@example.org", admin=True))
    picture = jpeg(2000, 2000, quality=95)
    start = b'--line\r\nContent-Disposition: form-data; name="file"; filename="a.jpg"\r\n\r\n'
    form = start + picture + b"\r\n--line--\r\n"
    of_form = {"Content-Type": "multipart/form-data; boundary=line"}
    path = client.create(len(picture))
    with (
        client.patching(path, 0, len(picture)) as resumable,
        client.sending("POST", "/photos/async", len(form), **of_form) as single,
    ):
        resumable.send(picture[:-missing])
        single.send(form[:-missing])
        wait_for(lambda: json.loads(client.ask("GET", path).body)["state"] == "receiving")
        service.process.send_signal(signal.SIGTERM)
        answers = resumable.answer(), single.answer()
    assert [(answer.status, answer.headers["retry-after"].isdigit()) for answer in answers] == [(503, True)] * 2
    assert service.stop() == 0
    assert "Traceback" not in service.log.read_text()


def test_a_second_service_on_the_folder_is_refused_in_a_sentence(server: Callable[..., Service]) -> None:
    service = server()
    second = run_command(service.data, "serve", "--port", "0")
    assert second.returncode == 1
    assert second.stderr.startswith("tailrace: Another `tailrace serve` works in ")
    assert second.stderr.count("\n") == 1
    assert service.process.poll() is None


def test_a_port_in_use_is_refused_in_a_sentence(server: Callable[..., Service], tmp_path: Path) -> None:
    port = server().url.rpartition(":")[2]
    second = run_command(tmp_path / "other", "serve", "--port", port)
    assert second.returncode == 1
    assert second.stderr == (
        f"tailrace: Cannot listen on 127.0.0.1:{port}: Address already in use; choose another with --port.\n"
    )


def test_the_service_runs_on_postgresql(server: Callable[..., Service]) -> None:
    service = server(TAILRACE_DATABASE_URL=postgres_url())
    token = service.create_user("ada@example.org", admin=True)
    assert '"state":"completed"' in _finish_a_report(service, token)
    findings = json.loads(service.run("doctor", "--json").stdout)
    assert {finding["state"] for finding in findings} == {"ok"}, findings
    assert service.stop() == 0


def test_an_engine_that_dies_is_replaced(server: Callable[..., Service]) -> None:
    service = server()
    token = service.create_user("ada@example.org", admin=True)
    engine = _engine(service)
    engine.kill()
    psutil.wait_procs([engine], timeout=10)
    assert '"state":"completed"' in _finish_a_report(service, token)
    assert _engine(service).pid != engine.pid
    assert "the engine ended by itself with exit code -9" in service.log.read_text()


def test_the_engine_does_not_outlive_a_service_that_was_killed(server: Callable[..., Service]) -> None:
    service = server()
    family = psutil.Process(service.process.pid).children(recursive=True)
    assert family
    service.kill()
    _, alive = psutil.wait_procs(family, timeout=30)
    assert alive == []
    token = server().create_user("ada@example.org", admin=True)
    assert token.startswith("trt_")


def test_links_carry_the_port_that_was_taken(server: Callable[..., Service]) -> None:
    service = server()
    token = service.create_user("ada@example.org", admin=True)
    with service.client(token) as client:
        job = client.post("/reports", params={"email": "ada@example.org"}).json()["job"]
        client.get(f"/jobs/{job}/events")
        mails = client.get("/jobs", params={"kind": "notifications.send_mail"}).json()["items"]
        client.get(f"/jobs/{mails[0]['id']}/events")
    (mail,) = (service.data / "mails").glob("*.eml")
    assert f"{service.url}/" in mail.read_text()


def test_a_keep_alive_connection_is_reused(server: Callable[..., Service]) -> None:
    service = server(TAILRACE_KEEP_ALIVE_S="60")
    done = subprocess.run(
        ["curl", "-s", "-w", "%{num_connects}\n", *(f"{service.url}/healthz", "-o", "/dev/null") * 2],
        capture_output=True,
        text=True,
        check=True,
    )
    assert done.stdout.split() == ["1", "0"]


def test_the_log_is_json_when_asked_for(server: Callable[..., Service]) -> None:
    service = server(TAILRACE_LOG_FORMAT="json")
    httpx2.get(f"{service.url}/nowhere", headers={"X-Request-ID": "find-me"})
    assert service.stop() == 0
    assert '"request_id": "find-me"' in service.log.read_text()
    assert '"request_id": "find-me"' in (service.data / "logs" / "tailrace.log").read_text()


def test_the_data_folder_can_be_chosen_on_the_command_line(tmp_path: Path) -> None:
    chosen = tmp_path / "chosen"
    with Service(tmp_path / "unused", arguments=("--port", "0", "--data", str(chosen))) as service:
        assert service.url
    assert (chosen / "tailrace.db").exists()
    assert not (tmp_path / "unused" / "tailrace.db").exists()


def test_a_worker_without_the_api_runs_jobs(tmp_path: Path) -> None:
    data = tmp_path / "data"
    run_command(data, "migrate")
    with subprocess.Popen([*COMMAND, "worker"], env=environment(data), stderr=subprocess.PIPE, text=True) as worker:
        assert worker.stderr is not None
        assert any("runs jobs in 2 worker processes" in line for line in worker.stderr)
        worker.terminate()
        worker.stderr.read()
    assert worker.returncode == 0
