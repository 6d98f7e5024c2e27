"""Photos as they are seen: by themselves, in time lines of any length, and as files that browsers keep."""

import base64
import hashlib
import json
from contextlib import ExitStack
from datetime import UTC, datetime, timedelta
from typing import Any

import pytest
from sqlalchemy import text

from tailrace.database import Database, new_id, utcnow
from tailrace.photos import service, timeline
from tailrace.photos.inspection import Picture
from tailrace.photos.models import Photo, PhotoLocation
from tailrace.streams import DOWNLOAD_SLOTS
from tests.features import Person, ok, refused
from tests.photos.conftest import Album

JPEG = b"as it came, byte by byte"


def test_a_photo_shows_everything_that_is_known(album: Album) -> None:
    started = album.add(album.bob, JPEG, caption="The gate")
    taken = datetime(2024, 5, 1, 12, 3, 22, tzinfo=UTC)
    album.finish(
        started.id, placeholder="1QcSHQRnh493V4dIh4eXh1h4kJUI", taken_at="2024-05-01T14:03:22+02:00", shown_at=taken,
        camera="Cam 1",
    )  # fmt: skip
    photo = ok(album.vic.client.get(f"/photos/{started.id}"))
    assert photo | {"created_at": None} == {
        "id": started.id,
        "project": album.project_id,
        "task": album.task_id,
        "user": {"id": album.bob.id, "email": album.bob.email, "name": "Bob"},
        "name": "DSC_0001.jpg",
        "caption": "The gate",
        "state": "ready",
        "error": None,
        "placeholder": "1QcSHQRnh493V4dIh4eXh1h4kJUI",
        "format": "jpeg",
        "media_type": "image/jpeg",
        "width": 4000,
        "height": 3000,
        "frames": 1,
        "bytes": len(JPEG),
        "sha256": hashlib.sha256(JPEG).hexdigest(),
        "camera": "Cam 1",
        "taken_at": "2024-05-01T14:03:22+02:00",
        "shown_at": "2024-05-01T12:03:22Z",
        "created_at": None,
        "url": f"/photos/{started.id}",
        "original": f"/photos/{started.id}/original",
        "renditions": {
            name: {
                "url": f"/photos/{started.id}/{name}",
                "width": size,
                "height": size * 3 // 4,
                "bytes": len(f"{name} of {started.id}"),
            }
            for name, size in zip(("thumb", "small", "large"), album.settings.sizes, strict=True)
        },
        "pair": None,
        "location": None,
        "events": f"/events?channel=project:{album.project_id}",
    }  # fmt: skip


def test_events_are_where_the_one_who_asks_may_follow_them(album: Album) -> None:
    started = album.add(album.bob, JPEG)
    for who, events in ((album.bob, started.events), (album.ada, started.events)):
        assert ok(who.client.get(f"/photos/{started.id}"))["events"] == events
    assert ok(album.ann.client.get(f"/photos/{started.id}"))["events"] == f"/events?channel=project:{album.project_id}"


def test_where_it_was_taken_stands_with_the_photo_and_in_no_list(album: Album) -> None:
    started = album.add(album.bob, JPEG)
    with album.database.write() as session:
        session.add(PhotoLocation(photo_id=started.id, latitude=47.1, longitude=8.5, altitude=None))
    photo = ok(album.vic.client.get(f"/photos/{started.id}"))
    assert photo["location"] == {"latitude": 47.1, "longitude": 8.5, "altitude": None}
    for path in (f"/tasks/{album.task_id}/photos", f"/projects/{album.project_id}/photos"):
        answer = album.vic.client.get(path)
        assert [item["id"] for item in ok(answer)["items"]] == [started.id]
        assert "47.1" not in answer.text
        assert "location" not in answer.text


def test_while_it_is_pending_the_list_has_the_placeholder(album: Album) -> None:
    started = album.add(album.bob, JPEG)
    with album.database.write() as session:
        photo = session.get_one(Photo, started.id)
        photo.state, photo.placeholder = "processing", "1QcSHQRnh493V4dIh4eXh1h4kJUI"
    (item,) = ok(album.vic.client.get(f"/tasks/{album.task_id}/photos"))["items"]
    assert (item["state"], item["placeholder"], item["renditions"]) == (
        "processing", "1QcSHQRnh493V4dIh4eXh1h4kJUI", {}
    )  # fmt: skip


def test_a_file_that_is_not_there_yet_is_told_and_asked_for_again(album: Album) -> None:
    started = album.add(album.bob, JPEG)
    answer = album.vic.client.get(f"/photos/{started.id}/thumb")
    assert "still being processed" in refused(answer, 409)
    assert (answer.headers["retry-after"], answer.json()["state"]) == ("2", "uploaded")
    album.fail(started.id, "The picture is cut off.")
    answer = album.vic.client.get(f"/photos/{started.id}/thumb")
    assert refused(answer, 409).startswith("The picture is cut off.")
    assert ("retry-after" in answer.headers, answer.json()["state"]) == (False, "failed")
    assert album.vic.client.get(f"/photos/{started.id}/original").content == JPEG
    assert ok(album.vic.client.get(f"/photos/{started.id}"))["error"] == "The picture is cut off."


@pytest.mark.parametrize("version", ["original", "thumb", "small", "large"])
def test_a_file_is_kept_by_browsers_and_can_run_nothing(album: Album, version: str) -> None:
    started = album.add(album.bob, JPEG)
    album.finish(started.id)
    data = JPEG if version == "original" else f"{version} of {started.id}".encode()
    answer = album.vic.client.get(f"/photos/{started.id}/{version}")
    digest = hashlib.sha256(data)
    assert (answer.status_code, answer.content) == (200, data)
    expected = {
        "content-type": "image/jpeg" if version == "original" else "image/webp",
        "etag": f'"{digest.hexdigest()}"',
        "repr-digest": f"sha-256=:{base64.b64encode(digest.digest()).decode()}:",
        "cache-control": "private, max-age=31536000, immutable",
        "x-content-type-options": "nosniff",
        "content-security-policy": "sandbox; default-src 'none'",
        "accept-ranges": "bytes",
    }
    assert {name: answer.headers[name] for name in expected} == expected
    name = "DSC_0001.jpg" if version == "original" else f"DSC_0001-{version}.webp"
    assert answer.headers["content-disposition"] == f'inline; filename="{name}"'


def test_a_file_comes_in_parts_and_not_twice(album: Album) -> None:
    started = album.add(album.bob, JPEG)
    client, path = album.vic.client, f"/photos/{started.id}/original"
    part = client.get(path, headers={"Range": "bytes=3-6"})
    assert (part.status_code, part.content) == (206, JPEG[3:7])
    assert part.headers["content-range"] == f"bytes 3-6/{len(JPEG)}"
    same = client.get(path, headers={"If-None-Match": part.headers["etag"]})
    assert (same.status_code, same.content) == (304, b"")
    assert same.headers["cache-control"] == "private, max-age=31536000, immutable"
    head = client.head(path)
    assert (head.status_code, head.headers["content-length"]) == (200, str(len(JPEG)))


@pytest.mark.parametrize(
    ("form", "media_type", "name", "disposition"),
    [
        ("png", "image/png", "a.png", 'inline; filename="a.png"'),
        ("tiff", "image/tiff", "scan.tiff", 'attachment; filename="scan.tiff"'),
        ("heic", "image/heic", "a.HEIC", 'attachment; filename="a.HEIC"'),
        ("jpeg", "image/jpeg", "page.html", 'inline; filename="page.html.jpg"'),
        ("gif", "image/gif", 'a"b\\c;.gif', 'inline; filename="c;.gif"'),
        ("webp", "image/webp", "tor–1.webp", "inline; filename=\"tor1.webp\"; filename*=UTF-8''tor%E2%80%931.webp"),
    ],
)
def test_only_what_browsers_show_is_shown_and_every_name_says_what_it_is(
    album: Album, form: str, media_type: str, name: str, disposition: str
) -> None:
    started = album.add(album.bob, JPEG, picture=Picture(form, media_type, 10, 10, 1), name=name)
    answer = album.bob.client.get(f"/photos/{started.id}/original")
    assert (answer.headers["content-type"], answer.headers["content-disposition"]) == (media_type, disposition)


def test_a_file_that_storage_lost_or_cut_is_a_refusal_and_no_broken_body(album: Album) -> None:
    lost, cut = album.add(album.bob, b"lost"), album.add(album.bob, b"cut off")
    album.storage.delete(f"photos/{lost.id}/original")
    (album.storage.folder / "photos" / cut.id / "original").write_bytes(b"cut")
    for photo in (lost, cut):
        refused(album.bob.client.get(f"/photos/{photo.id}/original"), 503)


def test_who_downloads_a_lot_keeps_nobody_else_from_it(album: Album) -> None:
    started = album.add(album.bob, bytes(2 * 1024 * 1024))
    path = f"/photos/{started.id}/original"
    with ExitStack() as slots:
        for _ in range(8):
            DOWNLOAD_SLOTS.take(album.bob.id)
            slots.callback(DOWNLOAD_SLOTS.give_back, album.bob.id)
        assert "You have 8 streams open" in refused(album.bob.client.get(path), 503)
        assert album.ann.client.get(path).status_code == 200
    assert album.bob.client.get(path).status_code == 200


def test_a_version_that_there_is_not_is_refused(album: Album) -> None:
    started = album.add(album.bob, JPEG)
    refused(album.bob.client.get(f"/photos/{started.id}/huge"), 422)


def test_a_photo_that_failed_is_processed_again_by_a_new_job(album: Album) -> None:
    started = album.add(album.bob, JPEG)
    assert "only one that failed" in refused(album.bob.client.post(f"/photos/{started.id}/retry"), 409)
    album.fail(started.id)
    again = ok(album.bob.client.post(f"/photos/{started.id}/retry"), 202)
    assert (again["state"], again["error"]) == ("uploaded", None)
    assert again["events"] != started.events
    refused(album.vic.client.post(f"/photos/{started.id}/retry"), 403)
    assert album.events()[-1].name == "photo.retried"


def test_a_caption_is_told_when_it_changes(album: Album) -> None:
    started = album.add(album.bob, JPEG)
    for _ in range(2):
        ok(album.bob.client.patch(f"/photos/{started.id}", json={"caption": "Hinges, rusty"}))
    changes = [json.loads(event.data) for event in album.events() if event.name == "photo.changed"]
    assert [change["fields"] for change in changes] == [["caption"]]
    refused(album.bob.client.patch(f"/photos/{started.id}", json={"caption": "x" * 2001}), 422)
    refused(album.bob.client.patch(f"/photos/{started.id}", json={"caption": "nul \0"}), 422)


def pages(who: Person, path: str, limit: int) -> list[list[dict[str, Any]]]:
    found: list[list[dict[str, Any]]] = []
    after: dict[str, str] = {}
    while True:
        page = ok(who.client.get(path, params={"limit": str(limit)} | after))
        found.append(page["items"])
        if page["next"] is None:
            return found
        after = {"after": page["next"]}


def test_a_time_line_goes_by_the_moment_taken_else_created_newest_first(album: Album) -> None:
    ids = [album.add(album.bob, b"%d" % number).id for number in range(7)]
    old = datetime(2020, 1, 1, tzinfo=UTC)
    for number in (1, 4, 5):
        # Two of the same second: the later id is the newer.
        album.finish(ids[number], shown_at=old + timedelta(hours=min(number, 4)))
    expected = [ids[6], ids[3], ids[2], ids[0], ids[5], ids[4], ids[1]]
    for path in (f"/projects/{album.project_id}/photos", f"/tasks/{album.task_id}/photos"):
        for limit in (1, 2, 7, 50):
            found = pages(album.vic, path, limit)
            assert [item["id"] for page in found for item in page] == expected
            assert all(len(page) == limit for page in found[:-1])


def test_a_time_line_loses_and_repeats_nothing_when_photos_come_and_go(album: Album) -> None:
    ids = [album.add(album.bob, b"%d" % number).id for number in range(5)]
    path = f"/projects/{album.project_id}/photos"
    first = ok(album.vic.client.get(path, params={"limit": 2}))
    album.add(album.bob, b"newer")
    ok(album.bob.client.delete(f"/photos/{ids[3]}"), 204)
    rest = ok(album.vic.client.get(path, params={"after": first["next"]}))
    assert [item["id"] for item in rest["items"]] == [ids[2], ids[1], ids[0]]


def test_what_no_page_gave_is_no_cursor(album: Album) -> None:
    path = f"/projects/{album.project_id}/photos"
    good = timeline.Place(utcnow(), new_id()).encode()
    ok(album.vic.client.get(path, params={"after": good}))
    numbers = base64.urlsafe_b64encode(b"[1, 2]").decode()
    edge = base64.urlsafe_b64encode(b'["0001-01-01T00:00:00+14:00", "a"]').decode()
    naive = base64.urlsafe_b64encode(b'["2024-01-01T00:00:00", "a"]').decode()
    for after in ("", "x", "ä", good[:-3], numbers, edge, naive, "W" * 150):
        refused(album.vic.client.get(path, params={"after": after}), 422)


def test_each_photo_knows_those_beside_it_in_its_project_and_in_its_task(album: Album) -> None:
    other = album.add_task()
    ids = [album.add(album.bob, bytes([number]), task_id=task).id for number, task in enumerate((0, other, 0))]
    album.finish(ids[0])
    loose = album.add(album.bob, JPEG, task_id=None).id
    for photo_id, in_task, beside in (
        (ids[1], False, [(ids[2], False), (ids[0], True)]),
        (ids[2], True, [None, (ids[0], True)]),
        (ids[1], True, [None, None]),
        (loose, False, [None, None]),
    ):
        with album.database.read() as session:
            found = service.neighbours(session, album.bob.principal, photo_id, in_task=in_task)
        assert [each and (each.id, each.is_ready) for each in found] == beside


MANY = 100_000


def fill(database: Database, album: Album, count: int) -> None:
    """Add photos with made-up moments, spread over two tasks and a loose heap, by the database itself."""
    number, moment = {
        True: ("printf('%032x', i)", "strftime('%Y-%m-%d %H:%M:%f000', 1577836800 + i * 7919 % :count, 'unixepoch')"),
        False: ("lpad(to_hex(i), 32, '0')", "timestamp '2020-01-01' + i * 7919 % :count * interval '1 second'"),
    }[database.is_sqlite]
    statement = f"""
        WITH RECURSIVE numbers(i) AS (SELECT 0 UNION ALL SELECT i + 1 FROM numbers WHERE i < :count - 1)
        INSERT INTO photos (id, project_id, task_id, user_id, name, caption, format, media_type, width, height, frames,
                            bytes, sha256, state, shown_at, created_at, deleted_at)
        SELECT {number}, CASE WHEN i % 3 < 2 THEN :project END,
               CASE i % 3 WHEN 0 THEN :task WHEN 1 THEN :other END, :person, 'a.jpg', '', 'jpeg', 'image/jpeg', 1, 1, 1,
               1, {number}, 'ready', {moment}, {moment}, CASE WHEN i % 50 = 0 THEN {moment} END
        FROM numbers"""
    known = {"project": album.project_id, "task": album.task_id, "other": album.add_task(), "person": album.bob.id}
    with database.write() as session:
        session.execute(text(statement), known | {"count": count})
    with database.write() as session:
        session.execute(text("ANALYZE"))


def plan_of(database: Database, query: Any) -> str:
    with database.read() as session:
        compiled = query.compile(session.get_bind(), compile_kwargs={"literal_binds": True})
        prefix = "EXPLAIN QUERY PLAN" if database.is_sqlite else "EXPLAIN"
        return "\n".join(str(row) for row in session.connection().exec_driver_sql(f"{prefix} {compiled}"))


def test_a_page_of_a_hundred_thousand_photos_is_a_short_walk_along_an_index(album: Album) -> None:
    fill(album.database, album, MANY)
    middle = timeline.Place(datetime(2020, 1, 1, 12, tzinfo=UTC), f"{5:032x}")
    for whose, index in (
        (timeline.of_project(album.project_id), "photos_of_project"),
        (timeline.of_task(album.task_id), "photos_of_task"),
        (timeline.of_person(album.bob.id), "photos_of_nobody_else"),
    ):
        for after in (None, middle):
            for query in (timeline.page(whose, after=after, limit=51), timeline.newer(whose, after or middle)):
                plan = plan_of(album.database, query)
                assert index in plan, plan
                assert "B-TREE" not in plan, plan
                assert "Sort" not in plan, plan
                assert "Seq Scan" not in plan, plan
    page = ok(album.vic.client.get(f"/projects/{album.project_id}/photos", params={"after": middle.encode()}))
    assert len(page["items"]) == 50
    moments = [item["shown_at"] for item in page["items"]]
    assert moments == sorted(moments, reverse=True)
