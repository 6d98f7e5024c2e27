"""The service behind real proxies, with the settings that are in deploy/ and in the how-to."""

import contextlib
import os
import shutil
import sqlite3
import subprocess
import sys
import time
import urllib.request
from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from pathlib import Path

import pytest

from deploy import one_machine
from tests.acceptance.test_broken_export import spoil_pages_of
from tests.service import Service, run_command
from tests.services import unavailable

PROXIES = ("nginx", "caddy")
EMAIL = "ada@example.org"
BROKEN_TASKS = 20_000
# Every row is long, so that the half that can be read is more than fits into the buffers on its way.
FILL_BROKEN = f"""
INSERT INTO tasks (project_id, title, description, status, priority, labels, version, created_by_id, created_at,
    updated_at)
WITH RECURSIVE numbers(n) AS (SELECT 1 UNION ALL SELECT n + 1 FROM numbers WHERE n < {BROKEN_TASKS})
SELECT 2, iif(n = {BROKEN_TASKS // 2}, 'unmistakable', '{"x" * 290}'), '', status, priority, '', 1, created_by_id,
    created_at, updated_at
FROM numbers, (SELECT * FROM tasks LIMIT 1)
"""


@dataclass
class Behind:
    """A service, a token of an administrator, and the addresses of proxies before it."""

    service: Service
    token: str
    proxies: dict[str, str]

    def at(self, proxy: str) -> str:
        """Return the address of a proxy; skips the test aloud where it is not installed."""
        if proxy not in self.proxies:
            unavailable(f"There is no {proxy} here: install nginx-light and caddy.")
        return self.proxies[proxy]


@pytest.fixture(scope="module")
def behind(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Behind]:
    """Give a service behind each proxy that is installed; the disk has lost a page in the midst of project 2."""
    folder = tmp_path_factory.mktemp("proxies")
    _fill(folder / "data")
    with contextlib.ExitStack() as stack:
        service = stack.enter_context(Service(folder / "data"))
        port = int(service.url.rpartition(":")[2])
        there = [name for name in PROXIES if is_there(name)]
        proxies = {name: stack.enter_context(running_proxy(name, folder / name, [port])) for name in there}
        yield Behind(service, service.create_token(EMAIL), proxies)


@contextlib.contextmanager
def running_proxy(name: str, folder: Path, upstreams: Sequence[int]) -> Iterator[str]:
    """Run a proxy before the API on these ports, and give its address."""
    (port,) = one_machine.free_ports(1)
    part = {"nginx": one_machine.nginx, "caddy": one_machine.caddy}[name](folder, port, upstreams)
    with (folder / "log").open("wb") as log:
        process = subprocess.Popen(part.command, env={**os.environ, **part.environment}, stdout=log, stderr=log)
    try:
        _wait_for(f"http://127.0.0.1:{port}/healthz", process, folder / "log")
        yield f"http://127.0.0.1:{port}"
    finally:
        process.terminate()
        process.wait(10)


def is_there(proxy: str) -> bool:
    """Return whether a proxy is installed."""
    return shutil.which(proxy, path=f"{Path(sys.executable).parent}:{os.environ['PATH']}:/usr/sbin") is not None


def _fill(data: Path) -> None:
    create = ("user", "create", EMAIL, "--admin", "--password-stdin")
    for arguments in (("migrate",), create, ("demo", "--tasks", "2000"), ("demo", "--tasks", "1")):
        done = run_command(data, *arguments, stdin="correct horse battery")
        assert done.returncode == 0, done.stderr
    with contextlib.closing(sqlite3.connect(data / "tailrace.db")) as database, database:
        database.execute("DROP TRIGGER task_search_insert")
        database.execute(FILL_BROKEN)
    spoil_pages_of(data / "tailrace.db", b"unmistakable")


def _wait_for(url: str, process: subprocess.Popen[bytes], log: Path) -> None:
    deadline = time.monotonic() + 20
    while True:
        with contextlib.suppress(OSError), urllib.request.urlopen(url, timeout=5):
            return
        assert process.poll() is None, log.read_text()
        assert time.monotonic() < deadline, log.read_text()
        time.sleep(0.05)
