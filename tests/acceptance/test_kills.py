"""Killing any process at any moment loses nothing: each report is completed once, correct, and mailed once."""

import contextlib
import email
import email.policy
import hashlib
import os
import random
import signal
import threading
import time
from collections import Counter
from typing import Any

import httpx2
import psutil
import pytest

from tests.acceptance.conftest import EMAIL, TASKS, Installation

# In each, the first two strike at work, the others at what is just being started again.
ROUNDS = (
    ("worker", "engine", "engine", "service", "engine"),
    ("worker", "service", "worker", "engine", "engine"),
) * 5
KILLS = 50
AT_WORK = 5
WITHIN_S = 60
FORMATS = ("csv", "jsonl")

pytestmark = pytest.mark.acceptance


def test_fifty_kills_at_random_moments(installation: Installation) -> None:
    choose = random.Random(20)
    reports: list[dict[str, Any]] = []
    for victims in ROUNDS:
        for what in victims:
            reports += [ask_for_report(installation, file_format) for file_format in FORMATS]
            threading.Event().wait(choose.uniform(0, 0.15))
            kill(installation, what)
        for report in reports[-len(victims) * len(FORMATS) :]:
            wait_for_end(installation, report)
    assert len(reports) == KILLS * len(FORMATS)
    for report in reports:
        check_report(installation, report)
    check_mails(installation, [report["id"] for report in reports])
    # Many were killed while they were being made, and their jobs tell of it.
    again = [read(installation, f"/jobs/{report['job']}").json()["attempt"] - 1 for report in reports]
    assert sum(again) >= AT_WORK


def ask_for_report(installation: Installation, file_format: str) -> dict[str, Any]:
    with installation.client as client:
        answer = client.post("/reports", json={"kind": "tasks", "format": file_format, "email": EMAIL})
    assert answer.status_code == 202, answer.text
    report: dict[str, Any] = answer.json()
    return report


def kill(installation: Installation, what: str) -> None:
    """Kill a worker process, the engine above it, or the whole service, as `kill -9` does; wait for one to be there."""
    service = psutil.Process(installation.service.process.pid)
    if what == "service":
        installation.service.kill()
        installation.restart()
        return
    deadline = time.monotonic() + WITHIN_S
    while not (victims := living(service) if what == "engine" else [w for e in living(service) for w in living(e)]):
        assert time.monotonic() < deadline, f"no {what} came back"
        threading.Event().wait(0.02)
    os.kill(victims[0].pid, signal.SIGKILL)


def living(parent: psutil.Process) -> list[psutil.Process]:
    """Return the children of a process that run; none if it has just ended itself."""
    with contextlib.suppress(psutil.NoSuchProcess):
        return [child for child in parent.children() if child.status() != psutil.STATUS_ZOMBIE]
    return []


def wait_for_end(installation: Installation, report: dict[str, Any]) -> None:
    deadline = time.monotonic() + WITHIN_S
    while time.monotonic() < deadline:
        if read(installation, f"/reports/{report['id']}").json()["state"] in {"ready", "failed", "cancelled"}:
            return
        threading.Event().wait(0.05)
    raise AssertionError(read(installation, f"/reports/{report['id']}").text)


def read(installation: Installation, path: str) -> httpx2.Response:
    with installation.client as client:
        return client.get(path)


def check_report(installation: Installation, asked: dict[str, Any]) -> None:
    report = read(installation, f"/reports/{asked['id']}").json()
    assert report["state"] == "ready", report
    content = read(installation, f"/reports/{asked['id']}/file").content
    assert hashlib.sha256(content).hexdigest() == report["sha256"]
    header = 1 if report["format"] == "csv" else 0
    assert len(content.splitlines()) - header == TASKS
    log = read(installation, asked["events"]).text
    assert log.count('"state":"completed"') == 1, log


def check_mails(installation: Installation, report_ids: list[str]) -> None:
    """Each report was mailed, and no mail but its own, with a Message-ID of its own, speaks of it."""
    folder = installation.service.data / "mails"
    deadline = time.monotonic() + WITHIN_S
    while True:
        mails = [email.message_from_bytes(path.read_bytes(), policy=email.policy.default) for path in folder.iterdir()]
        about = Counter(report for mail in mails for report in report_ids if report in str(mail))
        if set(about) == set(report_ids) or time.monotonic() > deadline:
            break
        threading.Event().wait(0.1)
    assert set(about) == set(report_ids)
    by_id: dict[str, set[str]] = {}
    for mail in mails:
        by_id.setdefault(mail["Message-ID"], set()).add(str(mail["Subject"]))
    assert len(by_id) == len(report_ids), "a repeated attempt is recognisable by its Message-ID"
