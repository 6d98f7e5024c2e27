"""The example runs as its head says, and is short."""

import ast
import os
import re
import shlex
import socket
import subprocess
import sys
import threading
import time
from collections.abc import Iterator
from pathlib import Path

import httpx2
import pytest

EXAMPLES = Path(__file__).parents[1] / "examples"
CODE = (EXAMPLES / "parcels.py").read_text()
HEAD = ast.get_docstring(ast.parse(CODE)) or ""
# The command that starts it, and those that try it.
START, *TRY = re.findall(r"^    (.+)$", HEAD, re.MULTILINE)


@pytest.fixture
def parcels(tmp_path: Path) -> Iterator[str]:
    with socket.create_server(("127.0.0.1", 0)) as probe:
        port = probe.getsockname()[1]
    environment = {**os.environ, "PARCELS_DATABASE": f"sqlite:///{tmp_path / 'parcels.db'}"}
    program, *arguments = shlex.split(START.replace("8001", str(port)))
    assert program == "../.venv/bin/uvicorn"
    command = [sys.executable, "-m", "uvicorn", *arguments]
    with (tmp_path / "log").open("wb") as log:
        server = subprocess.Popen(command, cwd=EXAMPLES, env=environment, stdout=log, stderr=log)
    url = f"http://127.0.0.1:{port}"
    _wait_until_open(url, server)
    yield url
    server.terminate()
    # uvicorn raises the signal again once it has shut down properly.
    assert server.wait(20) in {0, -15}


def _wait_until_open(url: str, server: subprocess.Popen[bytes]) -> None:
    deadline = time.monotonic() + 30
    while server.poll() is None and time.monotonic() < deadline:
        try:
            httpx2.get(f"{url}/openapi.json")
        except httpx2.TransportError:
            threading.Event().wait(0.05)
        else:
            return
    pytest.fail("The example does not start.")


def test_a_parcel_is_delivered_while_the_client_watches(parcels: str) -> None:
    accepted = httpx2.post(f"{parcels}/parcels", json={"street": 'Mill "Old" Lane 3'})
    assert accepted.status_code == 202
    events = httpx2.get(parcels + accepted.json()["events"], timeout=30).text
    assert events.index('"running"') < events.index('"done":3') < events.index('"completed"')
    table = httpx2.get(f"{parcels}/parcels.csv").text
    assert table == 'id,street,state\n1,"Mill ""Old"" Lane 3","delivered"\n'


def test_the_commands_of_its_head_show_a_job_and_streams(parcels: str) -> None:
    commands = "\n".join(TRY).replace("http://127.0.0.1:8001", parcels)
    printed = subprocess.run(["sh", "-ec", commands], capture_output=True, text=True, timeout=30, check=True).stdout
    assert printed.index('"running"') < printed.index('"completed"')
    assert printed.endswith('id,street,state\n1,"Mill Lane 3","delivered"\n')


def test_it_has_fewer_than_sixty_lines_of_code() -> None:
    lines = CODE.replace(HEAD, "").splitlines()
    assert len([line for line in lines if line.strip()]) < 60
