"""Killing the service at any moment of an upload: the client goes on where HEAD tells, and the same bytes arrive."""

import contextlib
import http.client
import json
import random
import signal
import threading
import time
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest

from tailrace.storage import LocalStorage
from tests.photos.tus_client import TusClient
from tests.photos.uploading import jpeg
from tests.service import Service
from tests.streams.serving import wait_for

KILLS = 6
PIECE = 256 * 1024
MEBIBYTE = 1024 * 1024
DATA = jpeg(3600, 3600, quality=95)

pytestmark = pytest.mark.acceptance


@pytest.fixture
def service(tmp_path: Path) -> Iterator[Service]:
    with Service(tmp_path / "data") as service:
        yield service


def get(client: TusClient, path: str) -> Any:
    return json.loads(client.ask("GET", path).body)


def test_killed_again_and_again(service: Service) -> None:
    choose = random.Random(4)
    token = service.create_user("ann@example.org")
    client = TusClient(service.url, token)
    path = client.create(len(DATA), filename="wheel.jpg")
    offsets = [0]
    for number in range(KILLS):
        # First it is many requests that are killed between and within, then one that brings all the rest.
        sender = threading.Thread(target=send, args=(client, path, MEBIBYTE if number < KILLS // 2 else len(DATA)))
        sender.start()
        time.sleep(choose.uniform(0.1, 0.5))
        service.kill()
        sender.join()
        service.start()
        client = TusClient(service.url, token)
        offsets.append(client.offset(path))
        photos = get(client, "/photos")["items"]
        assert len(photos) == (offsets[-1] == len(DATA)), "the photo exists if and only if the upload is whole"
    send(client, path, len(DATA))
    assert offsets == sorted(offsets), "what was told to be safe is safe"
    assert offsets[-1] > 0, offsets
    (photo,) = get(client, "/photos")["items"]
    assert client.ask("GET", f"/photos/{photo['id']}/original").body == DATA
    assert get(client, path)["photo"] == f"/photos/{photo['id']}"


def send(client: TusClient, path: str, at_once: int) -> None:
    """Send the rest, `at_once` bytes a request, until it is through or the service is gone."""
    with contextlib.suppress(OSError, http.client.HTTPException, AssertionError):
        while (offset := client.offset(path)) < len(DATA):
            client.patch(path, offset, DATA[offset : offset + at_once])


def test_a_killed_service_is_free_for_the_same_upload_as_soon_as_it_is_back(service: Service) -> None:
    """The lease of the request that died would last another fifteen seconds."""
    token = service.create_user("ann@example.org")
    client = TusClient(service.url, token)
    path = client.create(len(DATA))
    with client.patching(path, 0, len(DATA)) as sending:
        sending.send(DATA[:PIECE])
        wait_for(lambda: get(client, path)["state"] == "receiving")
        service.kill()
    service.start()
    client = TusClient(service.url, token)
    assert get(client, path)["state"] == "waiting"
    assert client.patch(path, client.offset(path), DATA[client.offset(path) :]).status == 204


def test_a_service_that_is_stopped_keeps_every_byte(service: Service) -> None:
    token = service.create_user("ann@example.org")
    client = TusClient(service.url, token)
    path = client.create(len(DATA))
    with client.patching(path, 0, len(DATA)) as sending:
        sending.send(DATA[: 3 * PIECE])
        wait_for(lambda: get(client, path)["state"] == "receiving")
        service.process.send_signal(signal.SIGTERM)
        answer = sending.answer()
    assert answer.status == 503
    assert service.stop() == 0
    service.start()
    client = TusClient(service.url, token)
    assert client.offset(path) == 3 * PIECE
    client.patch(path, 3 * PIECE, DATA[3 * PIECE :])
    assert client.ask("GET", f"{get(client, path)['photo']}/original").body == DATA
    assert list(LocalStorage(service.data / "files").keys("quarantine")) == []
