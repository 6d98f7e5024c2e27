"""`tailrace serve` is the API alone with Celery, as often as one likes, and `tailrace worker` runs the jobs."""

import json
import re
import subprocess
from collections.abc import Iterator
from pathlib import Path

import httpx2
import psutil
import pytest

from tests.brokers import RedisServer
from tests.jobs.worlds import until
from tests.service import COMMAND, Service, environment, run_command
from tests.services import postgres_url


@pytest.fixture
def variables() -> Iterator[dict[str, str]]:
    """Give the settings of an installation on PostgreSQL, Celery and a Redis of its own."""
    redis = RedisServer()
    yield {
        "TAILRACE_ENGINE": "celery",
        "TAILRACE_DATABASE_URL": postgres_url(),
        "TAILRACE_BROKER_URL": redis.start(),
        "TAILRACE_SECRET": "the same for every process of this installation",
    }
    redis.remove()


def test_two_apis_and_a_worker_beside_them(tmp_path: Path, variables: dict[str, str]) -> None:
    data = tmp_path / "data"
    refused = run_command(data, "worker", "--queues", "photo", **variables)
    assert "There is no queue 'photo'; choose among default, photos." in refused.stderr
    worker = subprocess.Popen(
        [*COMMAND, "worker", "--queues", "photos,default", "--concurrency", "3"], env=environment(data, variables)
    )
    try:
        with Service(data, variables) as first, Service(data, variables) as second:
            for service in (first, second):
                assert psutil.Process(service.process.pid).children() == []
            token = first.create_user("ada@example.org", admin=True)
            _make_report(second.client(token))
            figures = httpx2.get(f"{first.url}/metrics").text
            assert re.search(r'tailrace_job_slots\{queue="photos"\} 3', figures)
            assert re.search(r'tailrace_jobs_waiting\{queue="photos"\} 0', figures)
            findings = {finding["part"]: finding for finding in json.loads(second.run("doctor", "--json").stdout)}
            assert findings["engine"]["detail"] == "1 running, 3 jobs at a time."
            assert (findings["files"]["state"], "key" in findings) == ("warn", False)
            worker.terminate()
            assert worker.wait(10) == 0
            until(lambda: _state_of_engine(first) == "warn")
            answer = httpx2.get(f"{first.url}/readyz")
            assert (answer.status_code, answer.json()["status"]) == (200, "ready")
    finally:
        worker.kill()
        worker.wait()


def _state_of_engine(service: Service) -> str:
    parts = httpx2.get(f"{service.url}/readyz").json()["parts"]
    return next(str(part["state"]) for part in parts if part["part"] == "engine")


def _make_report(client: httpx2.Client) -> None:
    with client:
        report = client.post("/reports", json={"kind": "tasks", "format": "csv"}).json()
        until(lambda: client.get(f"/reports/{report['id']}").json()["state"] == "ready")
