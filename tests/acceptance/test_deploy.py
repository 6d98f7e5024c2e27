"""A deploy is not a failure: streams end with a hint, jobs go back, and a client that returns misses nothing."""

import json
import threading
import time
from collections.abc import Iterator
from dataclasses import dataclass, field
from typing import Any

import httpx2
import psutil
import pytest

from tests.acceptance.conftest import Installation

STREAMS = 200
WITHIN_S = 60

pytestmark = pytest.mark.acceptance


def test_two_hundred_streams_and_a_running_report_survive_sigterm(installation: Installation) -> None:
    ends = follow_many(installation, STREAMS)
    job = start_long_report(installation)
    before = installation.service.process.pid
    children = psutil.Process(before).children(recursive=True)
    began = time.monotonic()
    assert installation.service.stop() == 0
    # Three seconds are promised where nothing else runs; streams that were not told to end would take a minute.
    assert time.monotonic() - began < 20
    assert not [child for child in children if child.is_running() and child.status() != psutil.STATUS_ZOMBIE]
    assert [end.wait() for end in ends] == ["drain"] * STREAMS
    installation.restart()
    with installation.client as client:
        finished = wait_for_job(client, job)
    assert (finished["state"], finished["failures"], finished["crashes"]) == ("completed", 0, 0)
    assert finished["attempt"] >= 2


def test_every_event_arrives_once_and_in_order_across_a_kill_and_a_restart(installation: Installation) -> None:
    with installation.client as client:
        project = client.post("/projects", json={"name": "Harbour"}).json()["id"]
    follower = Follower(installation, f"project:{project}")
    follower.start()
    created = [create_task(installation, project, f"before {n}") for n in range(30)]
    installation.service.kill()
    installation.restart()
    created += [create_task(installation, project, f"between {n}") for n in range(30)]
    assert installation.service.stop() == 0
    installation.restart()
    created += [create_task(installation, project, f"after {n}") for n in range(30)]
    follower.wait_for(len(created))
    assert follower.created == created
    assert follower.connections >= 3


def start_long_report(installation: Installation) -> str:
    """Ask for a spreadsheet, which takes long enough to be caught in the midst, and return its job once it runs."""
    with installation.client as client:
        report = client.post("/reports", json={"kind": "tasks", "format": "xlsx"}).json()
        job = f"/jobs/{report['job']}"
        deadline = time.monotonic() + WITHIN_S
        while not client.get(job).json()["progress"]:
            assert time.monotonic() < deadline, "the report never began"
    return job


def wait_for_job(client: httpx2.Client, url: str) -> dict[str, Any]:
    deadline = time.monotonic() + WITHIN_S
    while True:
        job: dict[str, Any] = client.get(url).json()
        if job["state"] in {"completed", "discarded", "quarantined", "cancelled"}:
            return job
        assert time.monotonic() < deadline, job
        threading.Event().wait(0.05)


def create_task(installation: Installation, project: int, title: str) -> int:
    with installation.client as client:
        answer = client.post(f"/projects/{project}/tasks", json={"title": title})
    assert answer.status_code == 201, answer.text
    return int(answer.json()["id"])


@dataclass
class Stream:
    """One open stream in a thread of its own: how it ended, once it has."""

    client: httpx2.Client
    opened: threading.Event = field(default_factory=threading.Event)
    last_event: str = ""

    def start(self) -> None:
        self.thread = threading.Thread(target=self._read, daemon=True)
        self.thread.start()

    def wait(self) -> str:
        self.thread.join(WITHIN_S)
        return self.last_event

    def _read(self) -> None:
        try:
            with self.client.stream("GET", "/events?channel=project:1", timeout=WITHIN_S) as response:
                self.opened.set()
                for name, _, _ in parse(response):
                    self.last_event = name
        except httpx2.TransportError as error:
            self.last_event = f"broken: {error!r}"


def follow_many(installation: Installation, count: int) -> list[Stream]:
    client = installation.service.client(installation.token)
    client = httpx2.Client(
        base_url=installation.service.url,
        headers=client.headers,
        limits=httpx2.Limits(max_connections=count + 10),
        timeout=WITHIN_S,
    )
    streams = [Stream(client) for _ in range(count)]
    for stream in streams:
        stream.start()
    for stream in streams:
        assert stream.opened.wait(WITHIN_S)
    return streams


class Follower(threading.Thread):
    """A client that comes back with the id of its last event whenever its connection ends, however it ends."""

    def __init__(self, installation: Installation, channel: str) -> None:
        super().__init__(daemon=True)
        self.installation = installation
        self.channel = channel
        self.created: list[int] = []
        self.connections = 0
        self._last_id: str | None = None
        self._first = threading.Event()

    def start(self) -> None:
        super().start()
        assert self._first.wait(WITHIN_S)

    def wait_for(self, count: int) -> None:
        deadline = time.monotonic() + WITHIN_S
        while len(self.created) < count:
            assert time.monotonic() < deadline, f"{len(self.created)} of {count}"
            threading.Event().wait(0.05)

    def run(self) -> None:
        while True:
            try:
                self._follow()
            except httpx2.TransportError:
                threading.Event().wait(0.1)

    def _follow(self) -> None:
        headers = {"Last-Event-ID": self._last_id} if self._last_id else {}
        with (
            self.installation.client as client,
            client.stream("GET", f"/events?channel={self.channel}", headers=headers) as response,
        ):
            assert response.status_code == 200, response.read()
            self.connections += 1
            for name, event_id, data in parse(response):
                self._last_id = event_id or self._last_id
                self._first.set()
                if name == "task.created":
                    self.created.append(json.loads(data)["task"])


def parse(response: httpx2.Response) -> Iterator[tuple[str, str, str]]:
    """Yield name, id and data of each message, as the standard has it (WHATWG HTML, section 9.2.6)."""
    fields: dict[str, str] = {}
    for line in response.iter_lines():
        name, _, value = line.partition(":")
        if line:
            fields[name] = value.removeprefix(" ")
        elif fields:
            yield fields.get("event", ""), fields.get("id", ""), fields.get("data", "")
            fields = {}
