"""A real service with real data, for the tests that break it."""

from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path

import httpx2
import pytest

from tests.service import Service, run_command

TASKS = 20_000
EMAIL = "ada@example.org"


@dataclass
class Installation:
    """A service, and a person whose token may use it."""

    service: Service
    token: str

    @property
    def client(self) -> httpx2.Client:
        return self.service.client(self.token)

    def restart(self) -> None:
        """Start the service again on the same data, on a new port."""
        self.service = Service(self.service.data).start()

    def count_tasks(self) -> int:
        """Count the lines of the export, which are as many as the tasks."""
        with self.client as client:
            return client.get("/reports.csv").text.count("\n") - 1


@pytest.fixture
def installation(tmp_path: Path) -> Iterator[Installation]:
    """Give a running service with 20,000 tasks."""
    service = Service(tmp_path / "data").start()
    installation = Installation(service, service.create_user(EMAIL, admin=True))
    made = run_command(service.data, "demo", "--tasks", str(TASKS), "--user", EMAIL)
    assert made.returncode == 0, made.stderr
    yield installation
    if installation.service.process.poll() is None:
        installation.service.stop()
