"""Resumable uploads by the client that web pages use, the real tus-js-client, against a real service."""

import json
import subprocess
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import Any, Self

import pytest

from tests.node import node_with
from tests.photos.tus_client import TusClient
from tests.photos.uploading import jpeg
from tests.service import Service

VERSION = "4.3.1"
DRIVER = Path(__file__).with_name("tus_driver.cjs")
WITHIN_S = 90
LARGE = jpeg(3600, 3600, quality=95)
# A client on a page waits so long, again and again, for a service that is away.
PATIENT = [500] * 100


@dataclass
class Browser:
    """Runs the client for Ann, against a service that keeps its port over a restart."""

    service: Service
    token: str
    folder: Path
    node: str
    environment: dict[str, str]

    @property
    def client(self) -> TusClient:
        return TusClient(self.service.url, self.token)

    def file(self, name: str, data: bytes) -> str:
        path = self.folder / name
        path.write_bytes(data)
        return str(path)

    def start(self, *files: str, **order: Any) -> "Run":
        """Begin to upload files; the names of `order` are those that the driver reads."""
        told = {"url": self.service.url, "token": self.token, "files": files, **order}
        process = subprocess.Popen(
            [self.node, str(DRIVER), json.dumps(told)],
            env=self.environment,
            stdout=subprocess.PIPE,
            stderr=subprocess.STDOUT,
            text=True,
        )
        return Run(process)

    def upload(self, *files: str, **order: Any) -> list[dict[str, Any]]:
        """Upload files, and return everything that the client told."""
        with self.start(*files, **order) as run:
            return list(run)

    def original(self, event: dict[str, Any]) -> bytes:
        """Return the bytes of the photo that a success named."""
        answer = self.client.ask("GET", f"{event['photo']}/original")
        assert answer.status == 200, answer
        return answer.body


class Run:
    """A client at work; iterating gives what it tells, to its end."""

    def __init__(self, process: subprocess.Popen[str]) -> None:
        self._process = process

    def __iter__(self) -> Iterator[dict[str, Any]]:
        assert self._process.stdout is not None
        for line in self._process.stdout:
            assert line.startswith("{"), line + self._process.stdout.read()
            yield json.loads(line)

    def __enter__(self) -> Self:
        return self

    def __exit__(self, *_error: object) -> None:
        try:
            self._process.wait(WITHIN_S)
        finally:
            self._process.kill()
            assert self._process.stdout is not None
            self._process.stdout.close()
            self._process.wait()


@pytest.fixture(scope="module")
def browser(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Browser]:
    node, environment = node_with("tus-js-client", VERSION)
    folder = tmp_path_factory.mktemp("tus-js")
    with Service(folder / "data") as service:
        service.arguments = ("--port", service.url.rpartition(":")[2])
        yield Browser(service, service.create_user("ann@example.org"), folder, node, environment)


def only(events: list[dict[str, Any]], name: str) -> dict[str, Any]:
    """Return the one event of this name, which nothing went wrong before."""
    found = [event for event in events if event["event"] == name]
    assert len(found) == 1, events
    return found[0]


@pytest.mark.parametrize(
    "options",
    [
        {},
        {"chunkSize": 50_000},
        {"uploadDataDuringCreation": True},
        {"uploadDataDuringCreation": True, "chunkSize": 70_000},
        {"overridePatchMethod": True, "chunkSize": 80_000},
    ],
)
def test_a_real_picture_arrives(browser: Browser, options: dict[str, Any]) -> None:
    data = jpeg(500, 400 + len(str(options)))
    events = browser.upload(browser.file("wheel.jpg", data), options=options, metadata={"caption": "Das Rad"})
    success = only(events, "success")
    assert browser.original(success) == data
    photo = json.loads(browser.client.ask("GET", success["photo"]).body)
    assert (photo["name"], photo["caption"]) == ("wheel.jpg", "Das Rad")
    chunks = [event["size"] for event in events if event["event"] == "chunk"]
    assert sum(chunks) == len(data)
    assert len(chunks) == -(-len(data) // options.get("chunkSize", len(data)))
    assert not [event for event in events if event["event"] in {"retry", "error"}]


def test_a_large_picture_in_one_request(browser: Browser) -> None:
    events = browser.upload(browser.file("large.jpg", LARGE))
    assert browser.original(only(events, "success")) == LARGE


def test_paused_and_resumed_by_another_client(browser: Browser) -> None:
    data = jpeg(700, 700)
    file, memory = browser.file("paused.jpg", data), str(browser.folder / "memory.json")
    order: dict[str, Any] = {"memory": memory, "options": {"chunkSize": 100_000}}
    paused = only(browser.upload(file, abortAfter=200_000, **order), "aborted")
    assert browser.client.offset(paused["url"].removeprefix(browser.service.url)) == paused["accepted"] == 200_000
    events = browser.upload(file, **order)
    assert only(events, "resumed")["url"] == paused["url"] == only(events, "success")["url"]
    assert next(event["accepted"] for event in events if event["event"] == "chunk") == 300_000
    assert browser.original(only(events, "success")) == data


def test_two_uploads_at_once(browser: Browser) -> None:
    pictures = [jpeg(600, 600 + number) for number in range(2)]
    files = [browser.file(f"twin{number}.jpg", data) for number, data in enumerate(pictures)]
    events = browser.upload(*files, options={"chunkSize": 60_000})
    successes = [event for event in events if event["event"] == "success"]
    assert sorted(browser.original(event) for event in successes) == sorted(pictures)


def test_terminated(browser: Browser) -> None:
    data = jpeg(800, 500)
    order: dict[str, Any] = {"abortAfter": 100_000, "terminate": True, "options": {"chunkSize": 100_000}}
    ended = only(browser.upload(browser.file("given-up.jpg", data), **order), "aborted")
    assert browser.client.ask("HEAD", ended["url"].removeprefix(browser.service.url)).status == 404


@pytest.mark.parametrize(
    ("name", "data", "status", "word"),
    [
        ("script.jpg", b"#!/bin/sh\nrm -rf /\n" * 200_000, 415, "script"),
        ("drawing.jpg", b'<svg xmlns="http://www.w3.org/2000/svg">' + b" " * 9_000_000, 415, "SVG"),
        ("cut.jpg", jpeg()[:-3000], 422, "cut off"),
    ],
)
@pytest.mark.parametrize("with_creation", [False, True])
def test_a_refused_file_is_an_error_with_our_sentence(
    browser: Browser, name: str, data: bytes, status: int, word: str, *, with_creation: bool
) -> None:
    options = {"uploadDataDuringCreation": with_creation}
    error = only(browser.upload(browser.file(name, data), retryDelays=[100], options=options), "error")
    assert error["status"] == status, error
    assert word in json.loads(error["body"])["detail"]
    assert word in error["message"], "it is in what the page shows by default"


def test_too_large_is_refused_before_a_byte_is_sent(browser: Browser) -> None:
    events = browser.upload(browser.file("huge.jpg", bytes(52_428_801)))
    assert only(events, "error")["status"] == 413
    assert not [event for event in events if event["event"] == "progress"]


def test_a_service_that_is_killed_midway(browser: Browser) -> None:
    """The client goes on by itself when the service is back on its port, from where the service says."""
    file = browser.file("killed.jpg", jpeg(2000, 2000, quality=95))
    accepted: list[int] = []
    successes: list[dict[str, Any]] = []
    with browser.start(file, retryDelays=PATIENT, options={"chunkSize": 300_000}) as run:
        for event in run:
            if event["event"] == "chunk":
                accepted.append(event["accepted"])
                if len(accepted) in {2, 6}:
                    browser.service.kill()
                    browser.service.start()
            if event["event"] == "success":
                successes.append(event)
    assert browser.original(only(successes, "success")) == Path(file).read_bytes()
    assert accepted == sorted(accepted)
