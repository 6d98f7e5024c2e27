"""Behind nginx and Caddy, with the settings that deploy/ has: nothing is held back, cut short in silence, or forged."""

import json
import select
import socket
import subprocess
import sys
import time
from pathlib import Path

import httpx2
import pytest

from deploy.one_machine import free_ports
from tailrace.database import new_id
from tests.deploy.conftest import BROKEN_TASKS, PROXIES, Behind, is_there, running_proxy
from tests.services import unavailable
from tests.streams.serving import wait_for

pytestmark = pytest.mark.acceptance


@pytest.fixture(params=PROXIES)
def address(request: pytest.FixtureRequest, behind: Behind) -> str:
    return behind.at(request.param)


def curl(behind: Behind, url: str, *options: str) -> subprocess.CompletedProcess[bytes]:
    authorization = ("-H", f"Authorization: Bearer {behind.token}")
    command = ["curl", "-sS", "-N", "--max-time", "30", *authorization, *options, url]
    return subprocess.run(command, capture_output=True, check=False)


def test_events_pass_as_they_are_sent(behind: Behind, address: str) -> None:
    command = ["curl", "-sN", "--max-time", "20", f"{address}/stream?limit=4&interval=0.3"]
    with subprocess.Popen(command, stdout=subprocess.PIPE) as process:
        assert process.stdout is not None
        times = [time.monotonic() for line in process.stdout if line.strip()]
    assert process.returncode == 0
    assert times[-1] - times[0] > 0.7


def test_an_export_arrives_whole(behind: Behind, address: str) -> None:
    whole = curl(behind, f"{behind.service.url}/reports.csv?project=1").stdout
    through = curl(behind, f"{address}/reports.csv?project=1")
    assert (through.returncode, through.stdout) == (0, whole)


def test_an_upload_is_refused_while_it_is_being_sent(address: str) -> None:
    """Both ends must pass on what they have: of the 50 MB that are announced, few are sent before the refusal comes."""
    host, port = address.removeprefix("http://").split(":")
    what = "Content-Type: multipart/form-data; boundary=x\r\nContent-Length: 50000000"
    with socket.create_connection((host, int(port)), timeout=10) as connection:
        connection.sendall(f"POST /tasks/1/photos HTTP/1.1\r\nHost: {host}\r\n{what}\r\n\r\n".encode())
        sent = 0
        # Caddy looks for the answer when the next bytes come.
        while not select.select([connection], [], [], 0.1)[0]:
            connection.sendall(bytes(65_536))
            sent += 65_536
            assert sent < 5_000_000
        assert connection.recv(65_536).startswith(b"HTTP/1.1 401 ")


def test_the_limit_for_a_body_is_that_of_tailrace(behind: Behind, address: str) -> None:
    answer = curl(
        behind, f"{address}/projects", "-d", "x" * 100_000, "-H", "Expect:", "--data-binary", f"@{_large(behind)}"
    )
    assert json.loads(answer.stdout)["status"] == 413


def _large(behind: Behind) -> Path:
    file = behind.service.data / "large"
    file.write_bytes(bytes(2 * 1024 * 1024))
    return file


def test_large_headers_pass(behind: Behind, address: str) -> None:
    answer = curl(
        behind, f"{address}/users/me", "-H", f"Cookie: large={'x' * 16_000}", "-o", "/dev/null", "-w", "%{http_code}"
    )
    assert answer.stdout == b"200"


def test_the_service_knows_who_asks_and_believes_no_forgery(behind: Behind, address: str) -> None:
    request_id = new_id()
    forged = ("-H", "X-Forwarded-For: 203.0.113.9", "-H", f"X-Request-ID: {request_id}")
    assert curl(behind, f"{address}/users/me", "--interface", "127.0.0.2", *forged).returncode == 0
    log = behind.service.data / "logs" / "tailrace.log"
    wait_for(lambda: request_id in log.read_text())
    (record,) = (json.loads(line) for line in log.read_text().splitlines() if request_id in line)
    assert record["client"] == "127.0.0.2"


def test_links_and_cookies_know_of_https(behind: Behind) -> None:
    """The proxy that ends TLS says so; here, on the machine of the service, anybody may."""
    body = json.dumps({"email": "ada@example.org", "password": "correct horse battery"})
    options = ("-H", "Content-Type: application/json", "-d", body, "-D", "-", "-o", "/dev/null")
    for scheme, secure in (("https", True), ("http", False)):
        answer = curl(behind, f"{behind.service.url}/session", *options, "-H", f"X-Forwarded-Proto: {scheme}")
        assert (b"; secure" in answer.stdout.lower()) is secure, answer.stdout


def test_what_is_for_the_inside_stays_there(behind: Behind, address: str) -> None:
    for path in ("/metrics", "/readyz"):
        answer = curl(behind, f"{address}{path}", "-o", "/dev/null", "-w", "%{http_code}")
        assert answer.stdout == b"404"


def test_an_export_that_breaks_midway_arrives_broken(behind: Behind, address: str, tmp_path: Path) -> None:
    """Its database cannot read a page in the midst of what is asked for."""
    answer = curl(behind, f"{address}/reports.csv?project=2", "-o", str(tmp_path / "cut.csv"))
    assert answer.returncode == 18, answer.stderr
    assert 0 < (tmp_path / "cut.csv").read_bytes().count(b"\n") < BROKEN_TASKS


@pytest.mark.parametrize("proxy", PROXIES)
def test_processes_that_are_killed_one_right_after_another_are_not_missed(proxy: str, tmp_path: Path) -> None:
    if not is_there(proxy):
        unavailable(f"There is no {proxy} here: install nginx-light and caddy.")
    (tmp_path / "healthz").touch()
    ports = free_ports(2)
    answering = _answer(tmp_path, ports[0])
    try:
        with running_proxy(proxy, tmp_path / proxy, ports) as address:
            for port in (ports[1], *ports, *ports):
                _end(answering)
                answering = _answer(tmp_path, port)
                assert [httpx2.get(f"{address}/healthz").status_code for _ in range(4)] == [200] * 4
    finally:
        _end(answering)


def _answer(folder: Path, port: int) -> subprocess.Popen[bytes]:
    """Start a server of the files in a folder, and return its process once it listens."""
    command = [sys.executable, "-m", "http.server", "--bind", "127.0.0.1", "--directory", str(folder), str(port)]
    process = subprocess.Popen(command, stdout=subprocess.DEVNULL, stderr=subprocess.DEVNULL)
    wait_for(lambda: _listens(port))
    return process


def _end(process: subprocess.Popen[bytes]) -> None:
    process.kill()
    process.wait()


def _listens(port: int) -> bool:
    with socket.socket() as connection:
        return connection.connect_ex(("127.0.0.1", port)) == 0
