"""Killing the API, the engine and workers during 200 uploads loses none that was answered, and leaves nothing."""

import hashlib
import os
import random
import time
from collections.abc import Iterator
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path
from typing import Any

import httpx2
import pytest

from tailrace.storage import LocalStorage
from tests.acceptance.conftest import EMAIL, Installation
from tests.acceptance.test_kills import kill
from tests.photos.uploading import jpeg
from tests.service import Service

UPLOADS = 200
KILLS = 6
WITHIN_S = 300
JPEG = jpeg()
_PASSING = (409, 500, 502, 503)

pytestmark = pytest.mark.acceptance


@pytest.fixture
def empty(tmp_path: Path) -> Iterator[Installation]:
    service = Service(tmp_path / "data").start()
    installation = Installation(service, service.create_user(EMAIL, admin=True))
    yield installation
    if installation.service.process.poll() is None:
        installation.service.stop()


def picture(number: int) -> bytes:
    """Return one of 200 JPEGs that differ in what follows their end."""
    return JPEG + b"%d" % number


def upload(installation: Installation, number: int) -> str:
    """Send a picture again and again until it is answered, and return its address."""
    deadline = time.monotonic() + WITHIN_S
    while time.monotonic() < deadline:
        try:
            with installation.client as client:
                answer = client.post("/photos/async", files={"file": (f"{number}.jpg", picture(number), "image/jpeg")})
        except httpx2.HTTPError:
            time.sleep(0.2)
            continue
        if answer.status_code == 202:
            return str(answer.headers["location"])
        assert answer.status_code in _PASSING, answer.text
        time.sleep(0.2)
    raise AssertionError("the service did not come back")


def wait_until_ready(installation: Installation, address: str) -> dict[str, Any]:
    deadline = time.monotonic() + WITHIN_S
    with installation.client as client:
        while time.monotonic() < deadline:
            photo: dict[str, Any] = client.get(address).json()
            if photo["state"] in {"ready", "failed"}:
                return photo
            time.sleep(0.2)
    raise AssertionError(f"{address} did not come to an end")


def test_kills_during_two_hundred_uploads_lose_none_and_leave_nothing(empty: Installation) -> None:
    choose = random.Random(7)
    with ThreadPoolExecutor(4) as pool:
        answered = [pool.submit(upload, empty, number) for number in range(UPLOADS)]
        for number in range(KILLS):
            time.sleep(choose.uniform(0.2, 1.0))  # The kill may come at any moment: nothing is waited for.
            kill(empty, ("service", "worker", "engine")[number % 3])
        addresses = [upload.result() for upload in answered]
    assert len(set(addresses)) == UPLOADS
    with empty.client as client:
        for number, address in enumerate(addresses):
            assert wait_until_ready(empty, address)["state"] == "ready"
            original = client.get(f"{address}/original").raise_for_status().content
            assert hashlib.sha256(original).digest() == hashlib.sha256(picture(number)).digest()
    check_nothing_is_left(LocalStorage(empty.service.data / "files"))


def check_nothing_is_left(storage: LocalStorage) -> None:
    """Look at what is left once what killed processes were writing is old enough to be swept."""
    hidden = list((storage.folder / ".incoming").glob("*"))
    for path in hidden:
        os.utime(path, (0, 0))
    assert storage.sweep() == len(hidden)
    assert not list((storage.folder / ".incoming").glob("*"))
    assert list(storage.keys("quarantine")) == []
