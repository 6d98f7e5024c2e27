"""Resumable uploads as a client of tus 1.0.0 sees them: against a real server, with clients good and bad."""

import base64
import hashlib
import json
import random
import time
from collections.abc import Iterator
from dataclasses import dataclass
from datetime import timedelta
from pathlib import Path
from typing import Any

import pytest
from fastapi import FastAPI
from sqlalchemy import update

from tailrace.app import create_app
from tailrace.bootstrap import build
from tailrace.database import Base, utcnow
from tailrace.photos import holding, patching, resumable
from tailrace.photos.models import Upload
from tailrace.projects import service as projects
from tailrace.settings import Settings
from tailrace.storage import LocalStorage
from tests.conftest import import_models
from tests.photos.tus_client import OFFSET_STREAM, Answer, TusClient
from tests.photos.uploading import Yard, jpeg, make_yard
from tests.streams.serving import serving, wait_for

SVG = b'<svg xmlns="http://www.w3.org/2000/svg"/>'
PHOTO = jpeg()
LARGE = jpeg(3600, 3600, quality=95)


@dataclass
class Site:
    """A running service without its engine, and clients of its people."""

    app: FastAPI
    url: str
    yard: Yard

    def client(self, name: str | None = "ann") -> TusClient:
        return TusClient(self.url, self.yard.tokens[name] if name else None)

    def change(self, path: str, **values: object) -> None:
        with self.yard.database.write() as session:
            session.execute(update(Upload).where(Upload.id == path.rsplit("/", 1)[1]).values(**values))


@pytest.fixture
def site(tmp_path: Path) -> Iterator[Site]:
    import_models()
    tailrace = build(Settings(data=tmp_path / "data"))
    Base.metadata.create_all(tailrace.database.engine)
    assert isinstance(tailrace.storage, LocalStorage)
    yard = make_yard(tailrace.database, tailrace.storage)
    app = create_app(tailrace)
    with serving(app) as url:
        yield Site(app, url, yard)
    tailrace.database.dispose()


@pytest.fixture
def ann(site: Site) -> TusClient:
    return site.client()


def get(client: TusClient, path: str) -> Any:
    answer = client.ask("GET", path)
    assert answer.status == 200, answer
    return json.loads(answer.body)


def original(client: TusClient, answer: Answer) -> bytes:
    """Return the bytes of the photo that an answer names."""
    photo = client.ask("GET", f"{answer.headers['tailrace-photo']}/original")
    assert photo.status == 200, photo
    return photo.body


# The words of the protocol


@pytest.mark.parametrize("path", ["/uploads", "/uploads/some"])
def test_what_is_spoken_is_told_without_a_sign_in(site: Site, path: str) -> None:
    answer = site.client(None).ask("OPTIONS", path, {"Tus-Resumable": None})
    assert answer.status == 204
    assert answer.headers["tus-version"] == "1.0.0"
    assert answer.headers["tus-extension"] == "creation,creation-with-upload,termination,checksum,expiration"
    assert answer.headers["tus-max-size"] == str(50 * 1024 * 1024)
    assert {"sha1", "sha256"} <= set(answer.headers["tus-checksum-algorithm"].split(","))


@pytest.mark.parametrize("version", [None, "0.2.2", "2.0.0"])
@pytest.mark.parametrize("method", ["POST", "HEAD", "PATCH", "DELETE"])
def test_another_version_is_refused(site: Site, method: str, version: str | None) -> None:
    path = "/uploads" if method == "POST" else "/uploads/some"
    answer = site.client(None).ask(method, path, {"Tus-Resumable": version})
    assert (answer.status, answer.headers["tus-version"]) == (412, "1.0.0")


def test_every_answer_says_which_version_is_spoken(ann: TusClient) -> None:
    path = ann.create(10)
    answers = [ann.ask("HEAD", path), ann.patch(path, 7, b""), ann.ask("HEAD", "/uploads/none"), ann.ask("GET", path)]
    assert [answer.status for answer in answers] == [200, 409, 404, 200]
    assert {answer.headers["tus-resumable"] for answer in answers} == {"1.0.0"}


@pytest.mark.parametrize(
    ("headers", "status", "sentence"),
    [
        ({}, 400, "Upload-Length"),
        ({"Upload-Length": "-5"}, 400, "Upload-Length"),
        ({"Upload-Length": "ten"}, 400, "Upload-Length"),
        ({"Upload-Defer-Length": "1"}, 400, "must be known"),
        ({"Upload-Length": "10", "Upload-Concat": "partial"}, 400, "parallel"),
        ({"Upload-Length": "0"}, 422, "empty"),
        ({"Upload-Length": "52428801"}, 413, "52,428,801 bytes"),
        ({"Upload-Length": "9" * 5000}, 400, "Upload-Length"),
        ({"Upload-Length": "10", "Upload-Metadata": "filename ???"}, 400, "Base64"),
        ({"Upload-Length": "10", "Upload-Metadata": "task bWU="}, 422, "task"),
        ({"Upload-Length": "10", "Upload-Metadata": "task OTk5OTk5OTk5OTk5"}, 422, "task"),
        ({"Upload-Length": "10", "Upload-Metadata": "task OTk5"}, 404, "no task"),
        ({"Upload-Length": "10", "Upload-Metadata": "caption AA=="}, 422, "caption"),
        ({"Upload-Length": "10", "Upload-Metadata": "caption " + "eHh4" * 2000}, 422, "caption"),
        ({"Upload-Length": "10", "Upload-Metadata": "x " + "eHh4" * 2500}, 400, "longer"),
    ],
)
def test_an_upload_that_cannot_be_is_not_begun(
    ann: TusClient, headers: dict[str, str], status: int, sentence: str
) -> None:
    answer = ann.ask("POST", "/uploads", headers)
    assert answer.status == status, answer
    assert sentence in answer.sentence
    assert get(ann, "/uploads") == {"items": []}


def test_an_upload_is_begun_and_described(site: Site, ann: TusClient) -> None:
    task = str(site.yard.task_id)
    path = ann.create(1000, filename="C:\\my\\wheel.jpg", filetype="text/html", task=task, caption="Mühle")
    answer = ann.ask("HEAD", path)
    assert (answer.status, answer.headers["upload-offset"], answer.headers["upload-length"]) == (200, "0", "1000")
    assert answer.headers["cache-control"] == "no-store"
    assert answer.headers["upload-expires"].endswith(" GMT")
    assert "caption TcO8aGxl" in answer.headers["upload-metadata"]
    shown = get(ann, path)
    assert (shown["name"], shown["caption"], shown["task"]) == ("wheel.jpg", "Mühle", site.yard.task_id)
    assert (shown["state"], shown["url"], shown["photo"]) == ("waiting", path, None)
    assert get(ann, "/uploads")["items"] == [shown]


def test_nobody_uploads_without_a_sign_in(site: Site) -> None:
    answer = site.client(None).ask("POST", "/uploads", {"Upload-Length": "10"})
    assert (answer.status, answer.headers["tus-resumable"]) == (401, "1.0.0")


def test_an_upload_of_somebody_else_is_not_there(site: Site, ann: TusClient) -> None:
    path, bob = ann.create(10), site.client("bob")
    statuses = [bob.ask(method, path).status for method in ("GET", "HEAD", "DELETE")] + [
        bob.patch(path, 0, b"x").status
    ]
    assert statuses == [404] * 4
    assert get(bob, "/uploads") == {"items": []}


# Sending


def test_a_photo_in_one_piece(site: Site, ann: TusClient) -> None:
    path = ann.create(len(PHOTO), filename="wheel.jpg", task=str(site.yard.task_id), caption="West")
    answer = ann.patch(path, 0, PHOTO)
    assert (answer.status, answer.offset, answer.body) == (204, len(PHOTO), b"")
    assert "upload-expires" not in answer.headers
    assert original(ann, answer) == PHOTO
    photo = get(ann, answer.headers["tailrace-photo"])
    assert (photo["name"], photo["task"], photo["caption"]) == ("wheel.jpg", site.yard.task_id, "West")
    assert (get(ann, path)["state"], get(ann, path)["photo"]) == ("finished", answer.headers["tailrace-photo"])
    assert get(ann, "/uploads") == {"items": []}
    head = ann.ask("HEAD", path)
    assert (head.offset, head.headers["tailrace-photo"]) == (len(PHOTO), answer.headers["tailrace-photo"])
    assert site.yard.quarantine() == []


def test_a_photo_in_many_pieces(site: Site, ann: TusClient) -> None:
    path = ann.create(len(PHOTO))
    answer = None
    for start in range(0, len(PHOTO), 20_000):
        answer = ann.patch(path, start, PHOTO[start : start + 20_000])
        assert answer.status == 204, answer
        assert answer.offset == min(start + 20_000, len(PHOTO))
        assert (
            ("tailrace-photo" in answer.headers)
            == (answer.offset == len(PHOTO))
            != ("upload-expires" in answer.headers)
        )
    assert answer is not None
    assert original(ann, answer) == PHOTO
    assert site.yard.quarantine() == []


def test_a_body_of_unknown_length(ann: TusClient) -> None:
    path = ann.create(len(PHOTO))
    answer = ann.patch(path, 0, iter([PHOTO[:5000], PHOTO[5000:]]))
    assert answer.status == 204
    assert original(ann, answer) == PHOTO


def test_a_large_photo_is_kept_in_segments_while_it_comes(site: Site, ann: TusClient) -> None:
    assert len(LARGE) > patching.SEGMENT_BYTES + 2_000_000
    path = ann.create(len(LARGE))
    with ann.patching(path, 0, len(LARGE)) as sending:
        sending.send(LARGE[: patching.SEGMENT_BYTES + 1_000_000])
        wait_for(lambda: ann.offset(path) == patching.SEGMENT_BYTES)
        sending.send(LARGE[patching.SEGMENT_BYTES + 1_000_000 :])
        answer = sending.answer()
    assert answer.status == 204
    assert original(ann, answer) == LARGE
    assert site.yard.quarantine() == []


def test_what_a_slow_client_sends_is_kept_before_a_segment_is_full(
    ann: TusClient, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(patching, "SEGMENT_S", 0.1)
    path = ann.create(len(PHOTO))
    with ann.patching(path, 0, len(PHOTO)) as sending:
        sending.send(PHOTO[:1000])
        time.sleep(0.3)
        sending.send(PHOTO[1000:2000])
        wait_for(lambda: ann.offset(path) >= 1000)


def test_a_patch_of_no_bytes_changes_nothing(site: Site, ann: TusClient) -> None:
    path = ann.create(len(PHOTO))
    bodies: list[Any] = [b"", iter([])]
    for body in bodies:
        answer = ann.patch(path, 0, body)
        assert (answer.status, answer.offset) == (204, 0)
    assert site.yard.quarantine() == []
    assert ann.patch(path, 0, PHOTO).status == 204
    answer = ann.patch(path, len(PHOTO), b"")
    assert (answer.status, answer.offset) == (204, len(PHOTO))
    assert original(ann, answer) == PHOTO


def test_the_same_bytes_again_are_the_first_photo(site: Site, ann: TusClient) -> None:
    answers = [ann.patch(ann.create(len(PHOTO)), 0, PHOTO) for _ in range(2)]
    assert answers[0].headers["tailrace-photo"] == answers[1].headers["tailrace-photo"]
    assert len(list(site.yard.storage.keys("photos"))) == 1
    assert site.yard.quarantine() == []


@pytest.mark.parametrize(
    ("headers", "status"),
    [
        ({"Content-Type": "application/octet-stream"}, 415),
        ({"Upload-Offset": ""}, 400),
        ({"Upload-Offset": "-1"}, 400),
        ({"Upload-Offset": "5"}, 409),
        ({"Upload-Offset": "999999999"}, 409),
        ({"Upload-Checksum": "crc7 AA=="}, 400),
        ({"Upload-Checksum": "sha1 AA=="}, 400),
    ],
)
def test_a_patch_that_cannot_be_understood_leaves_the_upload_as_it_is(
    ann: TusClient, headers: dict[str, str], status: int
) -> None:
    path = ann.create(len(PHOTO))
    assert ann.patch(path, 0, PHOTO, **headers).status == status
    assert get(ann, path)["state"] == "waiting"
    assert ann.patch(path, 0, PHOTO).status == 204


def test_nothing_is_read_before_the_upload_is_known_to_want_it(site: Site, ann: TusClient) -> None:
    """Who asks whether to send is told no at once, never "100 Continue"."""
    path = ann.create(len(PHOTO))
    stranger, nobody = site.client("bob"), site.client(None)
    expected = [(ann, 5, 409), (ann, 0, 413), (stranger, 0, 404), (nobody, 0, 401)]
    for client, offset, status in expected:
        with client.patching(path, offset, len(PHOTO) + 1, Expect="100-continue") as sending:
            assert sending.line.recv(12) == f"HTTP/1.1 {status}".encode()


def test_more_than_was_announced_is_not_kept(site: Site, ann: TusClient) -> None:
    path = ann.create(len(PHOTO))
    assert ann.patch(path, 0, PHOTO + b"x").status == 413
    assert ann.offset(path) == 0
    for surplus in ([PHOTO + b"x"], [PHOTO, b"x"], [PHOTO[:9000], PHOTO[9000:], b"x" * 100_000]):
        assert ann.patch(path, 0, iter(surplus)).status == 413
        assert ann.offset(path) == 0
    assert site.yard.quarantine() == []
    assert original(ann, ann.patch(path, 0, PHOTO)) == PHOTO


# Checksums


def digest(data: bytes, algorithm: str = "sha256") -> str:
    return f"{algorithm} {base64.b64encode(hashlib.new(algorithm, data).digest()).decode()}"


@pytest.mark.parametrize("algorithm", ["sha1", "sha256", "md5"])
def test_a_chunk_with_its_checksum(ann: TusClient, algorithm: str) -> None:
    path = ann.create(len(PHOTO))
    first, second = PHOTO[:50_000], PHOTO[50_000:]
    assert ann.patch(path, 0, first, **{"Upload-Checksum": digest(first, algorithm)}).status == 204
    answer = ann.patch(path, 50_000, second, **{"Upload-Checksum": digest(second, algorithm)})
    assert original(ann, answer) == PHOTO


def test_of_a_chunk_with_a_wrong_checksum_nothing_is_kept(site: Site, ann: TusClient) -> None:
    """Also not the verdict that damaged bytes are no picture."""
    path = ann.create(len(LARGE))
    damaged = SVG + LARGE[len(SVG) :]
    answer = ann.patch(path, 0, damaged, **{"Upload-Checksum": digest(LARGE)})
    assert answer.status == 460, answer
    assert (ann.offset(path), site.yard.quarantine()) == (0, [])
    assert ann.patch(path, 0, b"", **{"Upload-Checksum": digest(LARGE)}).status == 460
    answer = ann.patch(path, 0, LARGE, **{"Upload-Checksum": digest(LARGE)})
    assert original(ann, answer) == LARGE


def test_of_a_chunk_with_a_checksum_that_was_cut_nothing_is_kept(site: Site, ann: TusClient) -> None:
    path = ann.create(len(PHOTO))
    with ann.patching(path, 0, len(PHOTO), **{"Upload-Checksum": digest(PHOTO)}) as sending:
        sending.send(PHOTO[:5000])
        wait_for(lambda: get(ann, path)["state"] == "receiving")
    wait_for(lambda: get(ann, path)["state"] == "waiting")
    assert (ann.offset(path), site.yard.quarantine()) == (0, [])


# Interruptions


def test_what_came_before_the_connection_was_lost_is_kept(site: Site, ann: TusClient) -> None:
    path = ann.create(len(PHOTO))
    with ann.patching(path, 0, len(PHOTO)) as sending:
        sending.send(PHOTO[:70_001])
        wait_for(lambda: get(ann, path)["state"] == "receiving")
    wait_for(lambda: get(ann, path)["state"] == "waiting")
    assert ann.offset(path) == 70_001
    assert original(ann, ann.patch(path, 70_001, PHOTO[70_001:])) == PHOTO
    assert site.yard.quarantine() == []


def test_a_photo_that_was_whole_when_the_connection_was_lost(site: Site, ann: TusClient) -> None:
    path = ann.create(len(PHOTO))
    with ann.patching(path, 0, None) as sending:
        sending.send_chunk(PHOTO)
        wait_for(lambda: get(ann, path)["state"] == "receiving")
    wait_for(lambda: get(ann, path)["state"] == "finished")
    assert original(ann, ann.ask("HEAD", path)) == PHOTO


def test_a_second_patch_is_refused_at_once(ann: TusClient) -> None:
    path = ann.create(len(PHOTO))
    with ann.patching(path, 0, len(PHOTO)) as sending:
        sending.send(PHOTO[:1000])
        wait_for(lambda: get(ann, path)["state"] == "receiving")
        began = time.monotonic()
        assert ann.patch(path, 0, PHOTO).status == 423
        assert time.monotonic() - began < 12, "a lease would last fifteen"
        assert ann.ask("HEAD", path).status == 200
        sending.send(PHOTO[1000:])
        assert original(ann, sending.answer()) == PHOTO


def test_two_patches_at_once_of_which_one_writes(ann: TusClient) -> None:
    path = ann.create(len(PHOTO))
    with ann.patching(path, 0, len(PHOTO)) as first, ann.patching(path, 0, len(PHOTO)) as second:
        for half in (PHOTO[:9000], PHOTO[9000:]):
            for sending in (first, second):
                sending.send(half)
        assert sorted([first.answer().status, second.answer().status]) == [204, 423]
    assert original(ann, ann.ask("HEAD", path)) == PHOTO


def test_a_slow_request_keeps_the_upload_beyond_its_lease(ann: TusClient, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(resumable, "LEASE", timedelta(seconds=2))
    monkeypatch.setattr(holding, "RENEW_EVERY_S", 0.2)
    path = ann.create(len(PHOTO))
    with ann.patching(path, 0, len(PHOTO)) as sending:
        for start in range(0, 12_000, 1000):
            sending.send(PHOTO[start : start + 1000])
            time.sleep(0.25)
        assert ann.patch(path, 0, PHOTO).status == 423
        sending.send(PHOTO[12_000:])
        assert original(ann, sending.answer()) == PHOTO


def test_a_silent_connection_gives_the_upload_up(ann: TusClient, monkeypatch: pytest.MonkeyPatch) -> None:
    assert patching.PATIENCE_S == 10
    monkeypatch.setattr(patching, "PATIENCE_S", 0.5)
    path = ann.create(len(PHOTO))
    with ann.patching(path, 0, len(PHOTO)) as sending:
        sending.send(PHOTO[:3000])
        answer = sending.answer()
        assert answer.status == 408, answer
        assert original(ann, ann.patch(path, 3000, PHOTO[3000:])) == PHOTO


def test_a_server_that_stops_keeps_what_came_and_says_so(site: Site, ann: TusClient) -> None:
    path = ann.create(len(PHOTO))
    with ann.patching(path, 0, len(PHOTO)) as sending:
        sending.send(PHOTO[:3000])
        wait_for(lambda: get(ann, path)["state"] == "receiving")
        site.app.state.drain.start()
        answer = sending.answer()
    assert (answer.status, answer.headers["tus-resumable"]) == (503, "1.0.0")
    assert int(answer.headers["retry-after"]) > 0
    assert ann.offset(path) == 3000


@pytest.mark.parametrize("seed", range(8))
def test_however_it_is_cut_the_same_bytes_arrive(site: Site, ann: TusClient, seed: int) -> None:
    """Each request sends some bytes, announces some, and ends well or not; the client goes on where HEAD tells."""
    choose = random.Random(seed)
    data = jpeg(300 + seed, 300)
    path = ann.create(len(data))
    while (offset := ann.offset(path)) < len(data):
        rest = len(data) - offset
        sent = choose.choice([0, 1, choose.randint(0, rest), choose.randint(0, rest), rest])
        if choose.random() < 0.4:
            # The request before, whose connection was lost, may only just have begun, or ended.
            assert ann.patch(path, offset, data[offset : offset + sent]).status in {204, 409, 423}
            continue
        announced = choose.choice([None, rest, choose.randint(sent, rest)])
        with ann.patching(path, offset, announced) as sending:
            piece = data[offset : offset + sent]
            if announced is not None:
                sending.send(piece)
            elif piece:
                sending.send_chunk(piece)
        wait_for(lambda: get(ann, path)["state"] != "receiving")
    assert original(ann, ann.ask("HEAD", path)) == data
    assert site.yard.quarantine() == []


# Ends


def test_a_terminated_upload_is_gone_with_its_bytes(site: Site, ann: TusClient) -> None:
    path = ann.create(len(PHOTO))
    ann.patch(path, 0, PHOTO[:1000])
    answer = ann.ask("DELETE", path)
    assert (answer.status, answer.headers["tus-resumable"]) == (204, "1.0.0")
    assert [ann.ask(method, path).status for method in ("HEAD", "DELETE")] == [404, 404]
    assert ann.patch(path, 1000, PHOTO[1000:]).status == 404
    assert site.yard.quarantine() == []


def test_an_upload_can_be_terminated_while_bytes_come(site: Site, ann: TusClient) -> None:
    path = ann.create(len(PHOTO))
    with ann.patching(path, 0, len(PHOTO)) as sending:
        sending.send(PHOTO[:1000])
        wait_for(lambda: get(ann, path)["state"] == "receiving")
        assert ann.ask("DELETE", path).status == 204
        sending.send(PHOTO[1000:])
        assert sending.answer().status == 404
    assert site.yard.quarantine() == []
    assert list(site.yard.storage.keys("photos")) == []


def test_a_photo_outlives_its_upload(ann: TusClient) -> None:
    path = ann.create(len(PHOTO))
    answer = ann.patch(path, 0, PHOTO)
    assert ann.ask("DELETE", path).status == 204
    assert original(ann, answer) == PHOTO


def test_what_is_no_picture_is_refused_before_the_rest_has_come(site: Site, ann: TusClient) -> None:
    path = ann.create(40_000_000, filename="picture.jpg")
    with ann.patching(path, 0, 40_000_000) as sending:
        sending.send(SVG + b" " * 100_000)
        answer = sending.answer()
    assert answer.status == 415, answer
    assert "SVG" in answer.sentence
    later = [ann.ask("HEAD", path), ann.patch(path, 0, b"x")]
    assert [each.status for each in later] == [410, 410]
    assert later[1].sentence == answer.sentence
    assert (get(ann, path)["state"], get(ann, path)["error"]) == ("refused", answer.sentence)
    assert (site.yard.quarantine(), get(ann, "/uploads")) == ([], {"items": []})


def test_what_proves_to_be_no_picture_at_the_end_is_refused(site: Site, ann: TusClient) -> None:
    cut = PHOTO[:-5000]
    path = ann.create(len(cut))
    ann.patch(path, 0, cut[:1000])
    answer = ann.patch(path, 1000, cut[1000:])
    assert answer.status == 422, answer
    assert "cut off" in answer.sentence
    assert ann.ask("HEAD", path).status == 410
    assert site.yard.quarantine() == []
    assert list(site.yard.storage.keys("photos")) == []


def test_bytes_that_the_storage_lost_end_the_upload(site: Site, ann: TusClient) -> None:
    path = ann.create(len(PHOTO))
    ann.patch(path, 0, PHOTO[:1000])
    for key in site.yard.quarantine():
        site.yard.storage.delete(key)
    assert "lost" in ann.patch(path, 1000, PHOTO[1000:]).sentence
    assert ann.ask("HEAD", path).status == 410


def test_a_storage_that_is_away_for_a_while_loses_nothing(site: Site, ann: TusClient) -> None:
    path = ann.create(len(PHOTO))
    ann.patch(path, 0, PHOTO[:1000])
    folder = site.yard.storage.folder
    folder.rename(folder.with_name("unmounted"))
    answer = ann.patch(path, 1000, PHOTO[1000:])
    assert (answer.status, answer.headers["tus-resumable"]) == (503, "1.0.0")
    assert str(folder) not in answer.sentence
    folder.with_name("unmounted").rename(folder)
    assert ann.offset(path) == 1000
    assert original(ann, ann.patch(path, 1000, PHOTO[1000:])) == PHOTO


def test_an_expired_upload_is_gone(site: Site, ann: TusClient) -> None:
    path = ann.create(len(PHOTO))
    ann.patch(path, 0, PHOTO[:1000])
    site.change(path, expires_at=utcnow())
    assert ann.ask("HEAD", path).status == 410
    answer = ann.patch(path, 1000, PHOTO[1000:])
    assert (answer.status, "no progress" in answer.sentence) == (410, True)
    assert get(ann, path)["state"] == "expired"


def test_who_lost_the_right_meanwhile_cannot_go_on(site: Site) -> None:
    yard, bob = site.yard, site.client("bob")
    path = bob.create(len(PHOTO), task=str(yard.task_id))
    with bob.patching(path, 0, len(PHOTO)) as sending:
        sending.send(PHOTO[:1000])
        wait_for(lambda: get(bob, path)["state"] == "receiving")
        with yard.database.write() as session:
            projects.change_role(session, yard.ann, yard.project_id, yard.bob.user_id, projects.Role.VIEWER)
        sending.send(PHOTO[1000:])
        assert sending.answer().status == 403
    assert bob.patch(path, bob.offset(path), b"").status == 403
    with yard.database.write() as session:
        projects.change_role(session, yard.ann, yard.project_id, yard.bob.user_id, projects.Role.MEMBER)
    offset = bob.offset(path)
    assert original(bob, bob.patch(path, offset, PHOTO[offset:])) == PHOTO


def test_the_upload_of_a_task_that_was_deleted_is_gone(site: Site, ann: TusClient) -> None:
    path = ann.create(len(PHOTO), task=str(site.yard.task_id))
    assert ann.ask("DELETE", f"/tasks/{site.yard.task_id}").status == 204
    assert ann.patch(path, 0, PHOTO).status == 404


# Creation with upload


def test_the_first_bytes_may_come_with_the_creation(ann: TusClient) -> None:
    headers = {**OFFSET_STREAM, "Upload-Length": str(len(PHOTO))}
    whole = ann.ask("POST", "/uploads", headers, PHOTO)
    assert (whole.status, whole.offset) == (201, len(PHOTO))
    assert original(ann, whole) == PHOTO
    part = ann.ask("POST", "/uploads", headers, PHOTO[:1000])
    assert (part.status, part.offset) == (201, 1000)
    assert ann.patch(part.headers["location"], 1000, PHOTO[1000:]).status == 204


@pytest.mark.parametrize(
    ("headers", "body", "status"),
    [
        (OFFSET_STREAM, SVG + b" " * 5000, 415),
        (OFFSET_STREAM, PHOTO + b"x", 413),
        ({"Content-Type": "image/jpeg"}, PHOTO, 415),
        ({**OFFSET_STREAM, "Upload-Checksum": digest(b"")}, PHOTO, 460),
    ],
)
def test_a_creation_whose_bytes_are_refused_leaves_no_upload(
    site: Site, ann: TusClient, headers: dict[str, str], body: bytes, status: int
) -> None:
    answer = ann.ask("POST", "/uploads", {**headers, "Upload-Length": str(len(PHOTO))}, body)
    assert answer.status == status, answer
    assert (get(ann, "/uploads"), site.yard.quarantine()) == ({"items": []}, [])


def test_a_stopping_server_tells_a_creation_how_far_it_came(site: Site, ann: TusClient) -> None:
    with ann.sending("POST", "/uploads", len(PHOTO), **{"Upload-Length": str(len(PHOTO))}) as sending:
        sending.send(PHOTO[:3000])
        wait_for(lambda: get(ann, "/uploads")["items"] != [])
        site.app.state.drain.start()
        answer = sending.answer()
    assert (answer.status, answer.offset) == (201, 3000)
    assert ann.offset(answer.headers["location"]) == 3000


# Clients behind something that knows no PATCH


def test_the_method_may_stand_in_a_header(ann: TusClient) -> None:
    path = ann.create(len(PHOTO))
    headers = {**OFFSET_STREAM, "Upload-Offset": "0", "X-HTTP-Method-Override": "PATCH"}
    answer = ann.ask("POST", path, headers, PHOTO)
    assert answer.status == 204
    assert original(ann, answer) == PHOTO
    assert ann.ask("POST", path, {"X-HTTP-Method-Override": "DELETE"}).status == 204
    assert ann.ask("HEAD", path).status == 404
    assert ann.ask("POST", path).status == 405
