"""A real `tailrace serve` in a process of its own, for tests that break it or talk to it as a client does."""

import os
import re
import signal
import ssl
import subprocess
import sys
import threading
import time
from collections.abc import Mapping
from dataclasses import dataclass, field
from pathlib import Path
from types import TracebackType
from typing import Self

import httpx2

# Reading the certificates that are trusted takes a client longer than asking, and here they are not even needed.
_TLS = ssl.create_default_context()
COMMAND = (sys.executable, "-m", "tailrace")
_START_WITHIN_S = 60
_STOP_WITHIN_S = 20


def environment(data: Path, extra: Mapping[str, str] | None = None) -> dict[str, str]:
    """Return this process's environment, without settings of its own, for a command on the data folder."""
    own = {name: value for name, value in os.environ.items() if not name.startswith("TAILRACE_")}
    return {**own, "TAILRACE_DATA": str(data), **(extra or {})}


def run_command(data: Path, *arguments: str, stdin: str = "", **extra: str) -> subprocess.CompletedProcess[str]:
    """Run `tailrace ARGUMENTS` on the data folder to its end; `extra` are further environment variables."""
    return subprocess.run(
        [*COMMAND, *arguments],
        env=environment(data, extra),
        input=stdin,
        capture_output=True,
        text=True,
        timeout=120,
        check=False,
    )


@dataclass
class Service:
    """A running service; use it as a context manager."""

    data: Path
    extra: Mapping[str, str] = field(default_factory=dict)
    arguments: tuple[str, ...] = ("--port", "0")
    url: str = ""
    setup_url: str = ""

    def start(self) -> Self:
        """Start it, and wait until it is ready, its engine included."""
        self.data.mkdir(parents=True, exist_ok=True)
        self.log = self.data.with_name(f"{self.data.name}.stderr")
        with self.log.open("ab") as log:
            self.process = subprocess.Popen(
                [*COMMAND, "serve", *self.arguments],
                env=environment(self.data, self.extra),
                stdout=subprocess.PIPE,
                stderr=log,
                text=True,
            )
        assert self.process.stdout is not None
        self._printed: list[str] = []
        self._greeted = threading.Event()
        self._reader = threading.Thread(target=self._read, daemon=True)
        self._reader.start()
        assert self._greeted.wait(_START_WITHIN_S), self._told()
        self._wait_until_ready()
        return self

    def stop(self, number: int = signal.SIGTERM) -> int:
        """Send a signal, and return the exit code."""
        if self.process.poll() is None:
            self.process.send_signal(number)
        code = self.process.wait(_STOP_WITHIN_S)
        self._reader.join()
        return code

    def kill(self) -> None:
        """Kill it as a power cut would; what it started goes too, by itself."""
        self.stop(signal.SIGKILL)

    def client(self, token: str | None = None) -> httpx2.Client:
        """Return a client of it, with an API token if one is given."""
        headers = {"Authorization": f"Bearer {token}"} if token else {}
        return httpx2.Client(base_url=self.url, headers=headers, timeout=30, verify=_TLS)

    def run(self, *arguments: str, stdin: str = "") -> subprocess.CompletedProcess[str]:
        """Run another command with the settings of this service."""
        return run_command(self.data, *arguments, stdin=stdin, **self.extra)

    def create_user(self, email: str, *, admin: bool = False) -> str:
        """Create a person and return an API token of theirs."""
        flags = ("--admin",) if admin else ()
        created = self.run("user", "create", email, *flags, "--password-stdin", stdin="correct horse battery")
        assert created.returncode == 0, created.stderr
        return self.create_token(email)

    def create_token(self, email: str) -> str:
        """Return a new API token of that person."""
        token = self.run("token", "create", email)
        assert token.returncode == 0, token.stderr
        return token.stdout.strip()

    def __enter__(self) -> Self:
        return self.start()

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        if self.process.poll() is None:
            self.stop()

    def _read(self) -> None:
        assert self.process.stdout is not None
        with self.process.stdout as lines:
            for line in lines:
                self._printed.append(line)
                if found := re.search(r"on (http://\S+)", line):
                    self.url = found[1]
                    self._greeted.set()
                if found := re.search(r"(http://\S+/setup\?\S+)", line):
                    self.setup_url = found[1]

    def _wait_until_ready(self) -> None:
        deadline = time.monotonic() + _START_WITHIN_S
        while time.monotonic() < deadline and self.process.poll() is None:
            try:
                answer = httpx2.get(f"{self.url}/readyz", timeout=5, verify=_TLS)
                # Its jobs run too: a warning would be that they wait.
                if answer.status_code == 200 and all(part["state"] == "ok" for part in answer.json()["parts"]):
                    return
            except httpx2.TransportError:
                pass
            time.sleep(0.05)
        raise AssertionError(self._told())

    def _told(self) -> str:
        return f"{''.join(self._printed)}\n{self.log.read_text()[-5000:]}"
