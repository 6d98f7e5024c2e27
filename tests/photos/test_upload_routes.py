"""Photos that come by a form: against a real server, with clients good and bad."""

import itertools
import json
import sqlite3
import struct
import subprocess
import threading
import time
import zlib
from collections.abc import Callable, Iterator, Sequence
from concurrent.futures import ThreadPoolExecutor
from contextlib import closing
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any

import httpx2
import pytest
from fastapi import FastAPI
from sqlalchemy import func, select

from tailrace.app import create_app
from tailrace.bootstrap import build
from tailrace.database import Base
from tailrace.photos.models import Photo
from tailrace.projects import service as projects
from tailrace.settings import Settings
from tailrace.storage import LocalStorage
from tests.conftest import import_models
from tests.features import ok, refused
from tests.photos.uploading import Yard, jpeg, make_yard
from tests.streams.forms import Field, encode
from tests.streams.sending import Reply, Sender
from tests.streams.serving import serving, wait_for

LIMIT = 400_000
SVG = b'<svg xmlns="http://www.w3.org/2000/svg"/>'
SCRIPT = b"#!/bin/sh\nrm -rf /\n" * 100
FORM = "Content-Type: multipart/form-data; boundary=B"
_numbers = itertools.count()


def picture() -> bytes:
    """Return a JPEG unlike any before it."""
    return jpeg() + b"%d" % next(_numbers)  # what follows the end of a JPEG is no part of the picture


def png_header(width: int, height: int) -> bytes:
    """Return the beginning of a PNG of this size."""
    header = b"IHDR" + struct.pack(">IIBBBBB", width, height, 8, 2, 0, 0, 0)
    return b"\x89PNG\r\n\x1a\n" + struct.pack(">I", 13) + header + struct.pack(">I", zlib.crc32(header))


@dataclass
class Site:
    """A running service without its engine, and clients of its people."""

    app: FastAPI
    url: str
    yard: Yard

    @property
    def path(self) -> str:
        return f"/tasks/{self.yard.task_id}/photos"

    def client(self, name: str) -> httpx2.Client:
        headers = {"Authorization": f"Bearer {self.yard.tokens[name]}"}
        return httpx2.Client(base_url=self.url, headers=headers, timeout=20)

    def begin(self, path: str, *headers: str, name: str = "ann") -> Sender:
        """Send the line and the headers of a request, and nothing more."""
        return Sender(self.url).begin(path, FORM, *headers, token=f"Bearer {self.yard.tokens[name]}")

    def send(self, path: str, body: bytes, *headers: str, name: str = "ann") -> Reply:
        """Send a whole form and return the answer."""
        with self.begin(path, f"Content-Length: {len(body)}", *headers, name=name) as sender:
            return sender.send(body).reply()

    def stored(self) -> list[str]:
        """Return every file in the storage, those being written included."""
        return [str(path) for path in self.yard.storage.folder.rglob("*") if path.is_file()]

    def count(self) -> int:
        """Return how many photos there are."""
        with self.yard.database.read() as session:
            return session.scalar(select(func.count()).select_from(Photo)) or 0


@pytest.fixture
def site(tmp_path: Path) -> Iterator[Site]:
    import_models()
    tailrace = build(Settings(data=tmp_path / "data", photo_bytes=LIMIT))
    Base.metadata.create_all(tailrace.database.engine)
    assert isinstance(tailrace.storage, LocalStorage)
    yard = make_yard(tailrace.database, tailrace.storage)
    app = create_app(tailrace)
    with serving(app) as url:
        yield Site(app, url, yard)
    tailrace.database.dispose()


@pytest.fixture
def ann(site: Site) -> Iterator[httpx2.Client]:
    with site.client("ann") as client:
        yield client


def files(*contents: bytes) -> list[Field]:
    return [("file", f"{number}.jpg", content) for number, content in enumerate(contents)]


def broken(fields: list[Field]) -> bytes:
    """Return a form that goes wrong after these fields."""
    return encode(fields).removesuffix(b"--\r\n") + b"\r\nrubbish"


def upload(client: httpx2.Client, path: str, *contents: bytes, status: int = 202, **options: Any) -> Any:
    """Send files to a task and return what became of each."""
    parts = [("file", (name, content, "image/jpeg")) for _, name, content in files(*contents)]
    return ok(client.post(path, files=parts, **options), status)["photos"]


# One file or many


def test_a_photo_is_there_when_the_answer_comes(site: Site, ann: httpx2.Client) -> None:
    content = picture()
    (taken,) = upload(ann, site.path, content)
    assert (taken["name"], taken["state"], taken["first"]) == ("0.jpg", "uploaded", True)
    assert ok(ann.get(taken["url"]))["task"] == site.yard.task_id
    assert ann.get(f"{taken['url']}/original").content == content
    assert ok(ann.get(taken["events"].removesuffix("/events")))["kind"] == "photos.process"


def test_many_files_become_as_many_photos_in_order(site: Site, ann: httpx2.Client) -> None:
    contents = [picture() for _ in range(8)]
    taken = upload(ann, site.path, *contents)
    assert [each["name"] for each in taken] == [f"{number}.jpg" for number in range(8)]
    assert [ann.get(f"{each['url']}/original").content for each in taken] == contents


def test_a_bad_file_among_good_ones_fails_alone(site: Site, ann: httpx2.Client) -> None:
    first, bad, last = upload(ann, site.path, picture(), SVG, picture())
    assert (first["first"], last["first"]) == (True, True)
    assert (bad["name"], bad["error"]["status"]) == ("1.jpg", 415)
    assert "SVG" in bad["error"]["detail"]
    assert len(site.stored()) == site.count() == 2


def test_where_no_file_is_taken_it_is_the_problem_of_the_first(site: Site, ann: httpx2.Client) -> None:
    parts = [("file", (name, content)) for _, name, content in files(SCRIPT, SVG)]
    answer = ann.post(site.path, files=parts)
    refused(answer, 415)
    problem = answer.json()
    assert [each["name"] for each in problem["files"]] == ["0.jpg", "1.jpg"]
    assert problem["detail"] == problem["files"][0]["error"]["detail"]
    assert site.stored() == []


@pytest.mark.parametrize(
    ("content", "status"),
    [
        (b"", 422),
        (SCRIPT, 415),
        (SVG, 415),
        (jpeg()[:-100], 422),
        (png_header(30_000, 30_000) + bytes(1000), 422),
        (jpeg(900, 900, quality=95), 413),
    ],
    ids=["empty", "script", "svg", "cut off", "900 megapixels", "too large"],
)
def test_what_is_no_picture_to_take_is_refused_with_a_reason_and_leaves_nothing(
    site: Site, ann: httpx2.Client, content: bytes, status: int
) -> None:
    for path in (site.path, "/photos/async"):
        assert len(refused(ann.post(path, files={"file": ("holiday.jpg", content, "image/jpeg")}), status)) > 10
    assert site.stored() == []
    assert site.count() == 0


def test_a_caption_is_that_of_the_files_after_it(site: Site) -> None:
    fields: list[Field] = [files(picture())[0], ("caption", None, "Vor der Tür".encode()), *files(picture(), picture())]
    taken = site.send(site.path, encode(fields)).json()["photos"]
    with site.client("ann") as ann:
        assert [ok(ann.get(each["url"]))["caption"] for each in taken] == ["", "Vor der Tür", "Vor der Tür"]


def test_a_caption_without_a_file_after_it_is_told(site: Site) -> None:
    fields: list[Field] = [*files(picture()), ("caption", None, b"Too late")]
    taken, rest = site.send(site.path, encode(fields)).json()["photos"]
    assert taken["first"] is True
    assert "before them" in rest["error"]["detail"]


def test_a_busy_database_costs_the_file_at_hand_and_hides_none(site: Site) -> None:
    body = encode(files(picture(), picture()))
    with site.begin(site.path, f"Content-Length: {len(body)}") as sender:
        sender.send(body[: len(body) - 1000])
        wait_for(lambda: site.count() == 1)
        with closing(sqlite3.connect(str(site.yard.database.engine.url.database), isolation_level=None)) as other:
            other.execute("BEGIN IMMEDIATE")
            taken, rest = sender.send(body[len(body) - 1000 :]).reply().json()["photos"]
    assert taken["first"] is True
    assert (rest["name"], rest["error"]["status"]) == ("1.jpg", 503)


def test_at_most_a_hundred_files_are_taken(site: Site) -> None:
    results = site.send(site.path, encode(files(*(picture() for _ in range(102))))).json()["photos"]
    assert len(results) == 101
    assert site.count() == 100
    assert results[-1]["name"] is None
    assert "100 files" in results[-1]["error"]["detail"]


@pytest.mark.parametrize(
    ("fields", "status", "words"),
    [
        ([], 422, "no file"),
        ([("caption", None, b"hello")], 422, "no file"),
        ([("colour", None, b"red")], 422, "no field 'colour'"),
        ([("file", None, b"not a file")], 422, "sent as a file"),
        ([("caption", None, b"x" * 2001)], 422, "caption"),
        ([("caption", None, b"a\0b")], 422, "caption"),
        ([("caption", None, b"\xff")], 400, "UTF-8"),
    ],
)
@pytest.mark.parametrize("short", [True, False])
def test_a_form_without_a_picture_is_told_what_it_lacks(
    site: Site, fields: list[Field], status: int, words: str, short: bool
) -> None:
    reply = site.send("/photos/async" if short else site.path, encode(fields))
    assert reply.status == status
    assert words in reply.json()["detail"]


@pytest.mark.parametrize("path", ["/photos/async", None])
def test_what_is_no_form_is_refused(site: Site, ann: httpx2.Client, path: str | None) -> None:
    refused(ann.post(path or site.path, json={"file": "x"}), 415)
    refused(ann.post(path or site.path), 415)
    assert site.send(path or site.path, b"hello").status == 400


# Before a byte of the body is read


@pytest.mark.parametrize("headers", [(), ("Expect: 100-continue",)], ids=["plain", "expect"])
def test_nobody_sends_a_body_for_nothing(site: Site, headers: tuple[str, ...]) -> None:
    bob = {"name": "bob"}
    with site.yard.database.write() as session:
        projects.change_role(session, site.yard.ann, site.yard.project_id, site.yard.bob.user_id, projects.Role.VIEWER)
    asked: list[tuple[int, str, str, dict[str, str]]] = [
        (403, site.path, "300000", bob),
        (404, site.path, "300000", {"name": "cem"}),
        (404, "/tasks/999999/photos", "300000", {}),
        (413, site.path, str(100 * LIMIT + 100_000), {}),
        (413, "/photos/async", str(LIMIT + 100_000), {}),
    ]
    for status, path, length, who in asked:
        with site.begin(path, f"Content-Length: {length}", *headers, **who) as sender:
            reply = sender.reply()
        assert (reply.status, reply.interim) == (status, b"")
        assert reply.headers["content-type"] == "application/problem+json"
    with Sender(site.url).begin(site.path, FORM, "Content-Length: 300000", *headers, token="Bearer x") as sender:
        reply = sender.reply()
    assert (reply.status, reply.interim) == (401, b"")


# Refused as soon as it is known


def test_the_short_form_refuses_at_the_first_bytes(site: Site) -> None:
    body = encode([("file", "holiday.jpg", SVG + bytes(LIMIT))])
    with site.begin("/photos/async", f"Content-Length: {len(body)}") as sender:
        began = time.monotonic()
        reply = sender.send(body[:20_000]).reply()
    assert (reply.status, reply.headers["connection"]) == (415, "close")
    assert time.monotonic() - began < 20


def test_curl_sees_why_a_large_file_is_refused(site: Site, tmp_path: Path) -> None:
    large = tmp_path / "large.jpg"
    with large.open("wb") as file:
        file.write(SVG)
        file.truncate(30_000_000)
    token = f"Authorization: Bearer {site.yard.tokens['ann']}"
    command = ["curl", "-sS", "-H", token, "-F", f"file=@{large}", "-w", "\n%{size_upload}", site.url + site.path]
    for headers in (["Expect:"], ["Expect: 100-continue"], ["Transfer-Encoding: chunked"]):
        done = subprocess.run([*command, "-H", *headers], capture_output=True, text=True, check=True)
        document, _, uploaded = done.stdout.rpartition("\n")
        problem = json.loads(document)
        assert (problem["status"], problem["files"][1]["name"]) == (415, None)
        assert "larger than 400000 bytes" in problem["files"][1]["error"]["detail"]
        assert int(uploaded) < 20_000_000
    assert site.stored() == []


def test_a_refused_file_is_read_no_further_than_a_photo_may_go(site: Site) -> None:
    good = picture()
    results = site.send(site.path, encode(files(good, SCRIPT + bytes(2 * LIMIT), picture()))).json()["photos"]
    assert [each.get("first") for each in results] == [True, None, None]
    assert [each["error"]["status"] for each in results[1:]] == [415, 413]
    assert site.count() == 1


# Broken off


def test_what_is_whole_when_the_client_leaves_stays_and_nothing_else(site: Site) -> None:
    body = encode(files(picture(), picture()))
    with site.begin(site.path, f"Content-Length: {len(body)}") as sender:
        sender.send(body[: len(body) - 1000])
        wait_for(lambda: site.count() == 1 and len(site.stored()) == 2)
    wait_for(lambda: len(site.stored()) == 1)
    assert site.count() == 1


def test_a_form_that_breaks_after_good_files_says_so_beside_them(site: Site) -> None:
    taken, rest = site.send(site.path, broken(files(picture()))).json()["photos"]
    assert taken["first"] is True
    assert (rest["name"], rest["error"]["status"]) == (None, 400)


def test_a_client_that_sends_more_than_it_announced_is_refused(site: Site) -> None:
    body = encode(files(picture()))
    with site.begin(site.path, f"Content-Length: {len(body) - 2000}") as sender:
        assert sender.send(body).reply().status == 400
    wait_for(lambda: site.stored() == [])
    assert site.count() == 0


def test_a_server_that_stops_says_what_it_has(site: Site) -> None:
    body = encode(files(picture(), picture()))
    with site.begin(site.path, f"Content-Length: {len(body)}") as sender:
        sender.send(body[: len(body) - 1000])
        wait_for(lambda: len(site.stored()) == 2)
        site.app.state.drain.start()
        taken, rest = sender.reply().json()["photos"]
    assert taken["first"] is True
    assert (rest["name"], rest["error"]["status"]) == (None, 503)
    assert len(site.stored()) == 1


def test_a_storage_that_is_gone_is_told_without_its_name(site: Site, ann: httpx2.Client) -> None:
    folder = site.yard.storage.folder
    folder.rename(folder.with_name("elsewhere"))
    for path in (site.path, "/photos/async"):
        answer = ann.post(path, files={"file": picture()})
        assert "storage" in refused(answer, 503)
        assert str(folder) not in answer.text
        assert answer.headers["retry-after"]
    assert site.count() == 0


def test_rights_that_are_lost_while_the_file_comes_count(site: Site) -> None:
    body = encode(files(picture()))
    with site.begin(site.path, f"Content-Length: {len(body)}", name="bob") as sender:
        sender.send(body[:5000])
        wait_for(lambda: len(site.stored()) == 1)
        with site.yard.database.write() as session:
            projects.remove_member(session, site.yard.ann, site.yard.project_id, site.yard.bob.user_id)
        assert sender.send(body[5000:]).reply().status == 404
    assert site.stored() == []


# Sent again


@pytest.mark.parametrize("short", [True, False])
def test_a_photo_whose_answer_was_lost_is_found_by_its_bytes(site: Site, short: bool) -> None:
    fields = [("task", None, b"%d" % site.yard.task_id), *files(picture())] if short else files(picture())
    body, path = encode(fields), "/photos/async" if short else site.path
    with site.begin(path, f"Content-Length: {len(body)}") as sender:
        sender.send(body)
    wait_for(lambda: site.count() == 1)
    (again,) = site.send(site.path, encode(files(fields[-1][2]))).json()["photos"]
    assert again["first"] is False
    assert site.count() == len(site.stored()) == 1


def test_the_same_key_is_answered_the_same_without_the_body(site: Site) -> None:
    key = "Idempotency-Key: one"
    first = site.send(site.path, encode(files(picture(), SVG)), key)
    with site.begin(site.path, key, "Content-Length: 300000") as sender:
        again = sender.reply()
    assert (again.status, again.json()) == (first.status, first.json())
    assert site.count() == 1


@pytest.mark.parametrize("short", [True, False])
def test_curl_sees_the_same_answer_without_sending_all_again(site: Site, tmp_path: Path, short: bool) -> None:
    site.app.state.photos = replace(site.app.state.photos, max_bytes=100_000_000)
    large = tmp_path / "large.jpg"
    large.write_bytes(picture() + bytes(40_000_000))
    headers = ["-H", f"Authorization: Bearer {site.yard.tokens['ann']}", "-H", "Idempotency-Key: one", "-H", "Expect:"]
    url = site.url + ("/photos/async" if short else site.path)
    command = ["curl", "-sS", *headers, "-F", f"file=@{large}", "-w", "\n%{size_upload}", url]
    sent = [subprocess.run(command, capture_output=True, text=True, check=True).stdout for _ in range(2)]
    (first, whole), (again, little) = (each.rsplit("\n", 1) for each in sent)
    assert first == again
    assert int(whole) > 40_000_000
    assert int(little) < 20_000_000


def test_a_key_is_of_one_person_and_one_address(site: Site) -> None:
    key = "Idempotency-Key: one"
    site.send(site.path, encode(files(picture())), key)
    assert site.send(site.path, encode(files(picture())), key, name="bob").json()["photos"][0]["first"] is True
    with site.begin("/photos/async", key, "Content-Length: 300000") as sender:
        reply = sender.reply()
    assert reply.status == 422
    assert site.path in reply.json()["detail"]


def test_a_key_is_free_after_a_refusal_that_would_pass(site: Site) -> None:
    key = "Idempotency-Key: one"
    content = picture()
    assert site.send(site.path, encode(files(SVG)), key).status == 415
    assert len(site.send(site.path, broken(files(content)), key).json()["photos"]) == 2
    (whole,) = site.send(site.path, encode(files(content)), key).json()["photos"]
    assert whole["first"] is False
    assert site.send(site.path, encode(files(picture())), key).json()["photos"] == [whole]


def test_one_key_at_the_same_time_makes_one_photo_of_the_short_form(site: Site) -> None:
    answers = at_the_same_time(site, "/photos/async")
    # One that comes after the first was answered gets its answer without being read.
    assert len({answer.text for answer in answers if answer.status_code == 202}) == 1
    late = [answer for answer in answers if answer.status_code != 202]
    assert all(answer.status_code == 409 and "another picture" in answer.text for answer in late)
    assert site.count() == len(site.stored()) == 1


def test_one_key_at_the_same_time_for_one_picture_makes_one_answer(site: Site) -> None:
    answers = at_the_same_time(site, "/photos/async", [picture()] * 5)
    assert {(answer.status_code, answer.text) for answer in answers} == {(202, answers[0].text)}
    assert site.count() == len(site.stored()) == 1


def test_one_key_at_the_same_time_for_other_pictures_leaves_none_untold(site: Site) -> None:
    answers = [answer.json() for answer in at_the_same_time(site, site.path)]
    told = {photo["id"] for answer in answers for photo in answer["photos"]}
    assert len(told) == site.count() == len(site.stored()) == 5
    with site.client("ann") as client:
        again = client.post(site.path, files={"file": picture()}, headers={"Idempotency-Key": "one"})
    assert again.json() in answers
    assert site.count() == 5


def at_the_same_time(site: Site, path: str, pictures: Sequence[bytes] = ()) -> list[httpx2.Response]:
    """Return what five requests with one key were answered; each has a picture of its own, unless they are given."""
    barrier = threading.Barrier(5)

    def send(content: bytes) -> httpx2.Response:
        with site.client("ann") as client:
            barrier.wait()
            return client.post(path, files={"file": content}, headers={"Idempotency-Key": "one"})

    with ThreadPoolExecutor(5) as pool:
        return list(pool.map(send, pictures or [picture() for _ in range(5)]))


# The short form


def test_the_short_form_tells_a_person_what_happened(site: Site, tmp_path: Path) -> None:
    (tmp_path / "gate.jpg").write_bytes(picture())
    token = f"Authorization: Bearer {site.yard.tokens['ann']}"
    command = ["curl", "-sSN", "-i", "-H", token, "-F", "file=@gate.jpg", f"{site.url}/photos/async"]
    head, _, text = subprocess.run(command, cwd=tmp_path, capture_output=True, check=True).stdout.partition(b"\r\n\r\n")
    size = (tmp_path / "gate.jpg").stat().st_size
    lines = text.decode().splitlines()
    assert lines[:2] == [f"Upload received: gate.jpg, {size} bytes", "Upload complete, thumbnail pending…"]
    headers = dict(line.lower().split(": ", 1) for line in head.decode().split("\r\n")[1:])
    assert head.startswith(b"HTTP/1.1 202 ")
    assert headers["content-type"] == "text/plain; charset=utf-8"
    assert f"Photo: {headers['location']}" in lines
    with site.client("ann") as ann:
        assert ok(ann.get(headers["location"]))["task"] is None


@pytest.mark.parametrize("task_first", [True, False])
def test_its_task_may_stand_before_the_file_or_after(site: Site, task_first: bool) -> None:
    fields: list[Field] = [("task", None, b"%d" % site.yard.task_id), *files(picture())]
    body = encode(fields if task_first else fields[::-1])
    with site.client("ann") as ann:
        answer = ann.post("/photos/async", content=body, headers=dict([FORM.split(": ")]))
        assert answer.status_code == 202
        assert ok(ann.get(answer.headers["location"]))["task"] == site.yard.task_id


Wrong = Callable[[int], list[Field]]
WRONG: dict[str, tuple[int, Wrong]] = {
    "another's task": (404, lambda task: [*files(picture()), ("task", None, b"%d" % task)]),
    "another's task first": (404, lambda task: [("task", None, b"%d" % task), *files(picture())]),
    "no number": (422, lambda _: [*files(picture()), ("task", None, b"seven")]),
    "no such field": (422, lambda _: [*files(picture()), ("colour", None, b"red")]),
    "two files": (422, lambda _: files(picture(), picture())),
}


@pytest.mark.parametrize(("status", "wrong"), WRONG.values(), ids=WRONG.keys())
def test_nothing_is_left_of_a_short_form_with_a_mistake(site: Site, status: int, wrong: Wrong) -> None:
    reply = site.send("/photos/async", encode(wrong(site.yard.task_id)), name="cem")
    assert reply.status == status
    assert site.stored() == []
    assert site.count() == 0


def test_the_short_form_is_all_or_nothing(site: Site) -> None:
    assert site.send("/photos/async", broken(files(picture()))).status == 400
    assert site.stored() == []


def test_the_short_form_knows_its_key_and_its_bytes(site: Site, ann: httpx2.Client) -> None:
    content, key = picture(), {"Idempotency-Key": "one"}
    first = ann.post("/photos/async", files={"file": content}, headers=key)
    by_key = ann.post("/photos/async", files={"file": picture()}, headers=key)
    by_bytes = ann.post("/photos/async", files={"file": content})
    assert {answer.headers["location"] for answer in (first, by_key, by_bytes)} == {first.headers["location"]}
    assert first.text == by_key.text
    assert site.count() == len(site.stored()) == 1
