"""The whole corpus against the real service with real workers: each file gets its answer, or fails with its reason.

No worker dies of any, and nothing is left of what was refused.
"""

import json
import time
from collections.abc import Iterator, Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import httpx2
import psutil
import pytest

from tailrace.photos.keys import PHOTOS, QUARANTINE
from tailrace.storage import LocalStorage
from tests.features import ok
from tests.photos.corpus import CORPUS
from tests.photos.entries import Entry
from tests.photos.tus_client import TusClient
from tests.service import Service

FORM = 30  # files
WITHIN_S = 300
ENDS = {"ready", "failed"}
ACCEPTED = [entry for entry in CORPUS if entry.outcome != "refused"]
REFUSED = [entry for entry in CORPUS if entry.outcome == "refused"]

pytestmark = pytest.mark.acceptance


@dataclass
class Siege:
    """A service after everybody has sent it the corpus; answers and photos by the name of the entry."""

    service: Service
    client: httpx2.Client
    token: str
    temporary: Path
    answers: dict[str, dict[str, Any]] = field(default_factory=dict)
    photos: dict[str, dict[str, Any]] = field(default_factory=dict)
    workers: Sequence[set[int]] = ()

    @property
    def storage(self) -> LocalStorage:
        return LocalStorage(self.service.data / "files")

    def hidden(self) -> list[Path]:
        """Return the files that are being written into the storage."""
        return list((self.storage.folder / ".incoming").glob("*"))


@pytest.fixture(scope="module")
def siege(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Siege]:
    folder = tmp_path_factory.mktemp("siege")
    temporary = folder / "tmp"
    temporary.mkdir()
    with Service(folder / "data", {"TMPDIR": str(temporary)}) as service:
        token = service.create_user("ann@example.org", admin=True)
        with service.client(token) as client:
            siege = Siege(service, client, token, temporary)
            project = ok(client.post("/projects", json={"name": "Mill"}), 201)["id"]
            task = ok(client.post(f"/projects/{project}/tasks", json={"title": "Wheel"}), 201)["id"]
            before = workers_of(service)
            for start in range(0, len(CORPUS), FORM):
                send(siege, task, CORPUS[start : start + FORM])
            wait_for_ends(siege)
            siege.workers = before, workers_of(service)
            yield siege


def workers_of(service: Service) -> set[int]:
    """Return the processes that run jobs, by id."""
    engines = psutil.Process(service.process.pid).children()
    return {worker.pid for engine in engines for worker in engine.children()}


def send(siege: Siege, task: int, entries: Sequence[Entry]) -> None:
    """Send files as one form, each under a good name and with a good type; keep the answer to each."""
    files = [("file", (f"{number}.jpg", entry.data, "image/jpeg")) for number, entry in enumerate(entries)]
    answer = siege.client.post(f"/tasks/{task}/photos", files=files, timeout=120)
    body = answer.json()
    results = body["photos"] if answer.status_code == 202 else body["files"]
    for entry, result in zip(entries, results, strict=True):
        siege.answers[entry.name] = result


def wait_for_ends(siege: Siege) -> None:
    """Wait until every photo is ready or has failed."""
    until = time.monotonic() + WITHIN_S
    waiting = {name: answer["url"] for name, answer in siege.answers.items() if "url" in answer}
    while waiting and time.monotonic() < until:
        time.sleep(0.5)
        for name, url in list(waiting.items()):
            photo = ok(siege.client.get(url))
            if photo["state"] not in ENDS:
                break  # The others come after it.
            siege.photos[name] = photo
            del waiting[name]


@pytest.mark.parametrize("entry", REFUSED, ids=str)
def test_a_bad_file_is_refused_with_its_reason(siege: Siege, entry: Entry) -> None:
    problem = siege.answers[entry.name]["error"]
    assert problem["status"] == entry.status
    assert entry.says in problem["detail"]


@pytest.mark.parametrize("entry", ACCEPTED, ids=str)
def test_whatever_comes_in_becomes_ready_or_fails_with_its_reason(siege: Siege, entry: Entry) -> None:
    photo = siege.photos[entry.name]
    assert (photo["state"], photo["format"]) == (entry.outcome, entry.format), photo["error"]
    size = entry.size[::-1] if entry.on_its_side else entry.size
    assert (photo["width"], photo["height"], photo["frames"]) == (*size, entry.frames)
    if entry.outcome == "ready":
        assert set(photo["renditions"]) == {"thumb", "small", "large"}
        assert photo["placeholder"]
    else:
        assert photo["error"].startswith("This ")
        assert entry.says in photo["error"]
        assert not photo["renditions"]


def test_the_original_is_kept_as_it_came(siege: Siege) -> None:
    for entry in ACCEPTED:
        answer = siege.client.get(siege.photos[entry.name]["original"])
        assert answer.content == entry.data, entry
        assert answer.headers["content-type"] == f"image/{entry.format}"
        assert answer.headers["x-content-type-options"] == "nosniff"


def test_no_worker_died_of_anything(siege: Siege) -> None:
    before, after = siege.workers
    assert before == after != set()
    harmed = [job for job in jobs_of(siege) if job["crashes"] or job["failures"] > 1]
    assert not harmed, [(job["crashes"], job["failures"], job["error"]) for job in harmed]


def jobs_of(siege: Siege) -> Iterator[dict[str, Any]]:
    page: dict[str, Any] = {"next": ""}
    while page["next"] is not None:
        after = {"after": page["next"]} if page["next"] else {}
        page = ok(siege.client.get("/jobs", params={"kind": "photos.process", "limit": 200, **after}))
        yield from page["items"]


def test_nothing_is_left_in_quarantine_and_no_temporary_file(siege: Siege) -> None:
    assert siege.hidden() == []
    assert list(siege.storage.keys(QUARANTINE)) == []
    assert list(siege.temporary.rglob("*")) == []


def test_in_storage_is_what_photos_have_and_nothing_else(siege: Siege) -> None:
    expected = {f"{PHOTOS}/{photo['id']}/original" for photo in siege.photos.values()}
    kept = set(siege.storage.keys(PHOTOS))
    renditions = kept - expected
    assert expected <= kept
    ready = [photo for photo in siege.photos.values() if photo["state"] == "ready"]
    assert len(renditions) == 3 * len({photo["id"] for photo in ready})
    assert {key.split("/")[1] for key in renditions} == {photo["id"] for photo in ready}


@pytest.mark.parametrize("entry", [entry for entry in REFUSED if entry.data][:: len(REFUSED) // 20], ids=str)
def test_a_bad_file_is_refused_as_a_resumable_upload_too(siege: Siege, entry: Entry) -> None:
    client = TusClient(siege.service.url, siege.token)
    answer = upload_resumably(client, entry)
    problem = json.loads(answer)
    assert (problem["status"], entry.says in problem["detail"]) == (entry.status, True), problem
    assert list(siege.storage.keys(QUARANTINE)) == []


def upload_resumably(client: TusClient, entry: Entry) -> bytes:
    """Send a file in two halves, and return the body of the answer that ended it."""
    path = client.create(len(entry.data), filename="photo.jpg")
    half = len(entry.data) // 2
    answer = client.patch(path, 0, entry.data[:half])
    if answer.status == 204:
        answer = client.patch(path, half, entry.data[half:])
    return answer.body


def test_a_failed_photo_fails_again_and_harms_nobody(siege: Siege) -> None:
    photo = next(photo for photo in siege.photos.values() if photo["state"] == "failed")
    ok(siege.client.post(f"/photos/{photo['id']}/retry"), 202)
    until = time.monotonic() + 30
    while (again := ok(siege.client.get(photo["url"])))["state"] not in ENDS and time.monotonic() < until:
        time.sleep(0.1)
    assert (again["state"], again["error"]) == ("failed", photo["error"])
