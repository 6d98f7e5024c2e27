"""A deleted photo can be taken back for some days, then it is gone with its files; so it is with its task."""

import json
import time
from concurrent.futures import ThreadPoolExecutor
from datetime import timedelta

from sqlalchemy import func, select

from tailrace.database import utcnow
from tailrace.jobs import State, enqueue
from tailrace.jobs.testing import run_jobs
from tailrace.photos import jobs
from tailrace.photos.models import Photo, PhotoLocation, PhotoPair, PhotoRendition
from tailrace.storage import StorageUnavailable
from tests.features import ok, refused
from tests.photos.conftest import Album, Resources


def lists(album: Album) -> list[str]:
    items = ok(album.vic.client.get(f"/tasks/{album.task_id}/photos"))["items"]
    assert items == ok(album.vic.client.get(f"/projects/{album.project_id}/photos"))["items"]
    return [item["id"] for item in items]


def delete_long_ago(album: Album, photo_id: str, **ago: float) -> None:
    ok(album.ann.client.delete(f"/photos/{photo_id}"), 204)
    with album.database.write() as session:
        session.get_one(Photo, photo_id).deleted_at = utcnow() - timedelta(**ago)


def test_what_is_deleted_is_in_no_list_and_says_how_to_take_it_back(album: Album) -> None:
    kept, gone = album.add(album.bob, b"kept").id, album.add(album.bob, b"gone").id
    album.finish(gone)
    for _ in range(2):
        ok(album.bob.client.delete(f"/photos/{gone}"), 204)
    assert lists(album) == [kept]
    for path in ("", "/original", "/thumb"):
        assert f"/photos/{gone}/restore" in refused(album.vic.client.get(f"/photos/{gone}{path}"), 410)
    refused(album.bob.client.patch(f"/photos/{gone}", json={"caption": "late"}), 410)
    names = [event.name for event in album.events()]
    assert names.count("photo.deleted") == 1


def test_what_is_taken_back_is_as_it_was(album: Album) -> None:
    photo_id = album.add(album.bob, b"picture", caption="The gate").id
    album.finish(photo_id)
    before = ok(album.bob.client.get(f"/photos/{photo_id}"))
    ok(album.bob.client.delete(f"/photos/{photo_id}"), 204)
    for _ in range(2):
        assert ok(album.bob.client.post(f"/photos/{photo_id}/restore")) == before
    assert lists(album) == [photo_id]
    assert album.bob.client.get(f"/photos/{photo_id}/original").content == b"picture"
    assert [event.name for event in album.events()].count("photo.restored") == 1


def test_the_task_remembers_both(album: Album) -> None:
    photo_id = album.add(album.bob, b"picture").id
    ok(album.ann.client.delete(f"/photos/{photo_id}"), 204)
    ok(album.bob.client.post(f"/photos/{photo_id}/restore"))
    items = ok(album.vic.client.get(f"/tasks/{album.task_id}/activity"))["items"]
    noted = [(item["user"]["id"], item["old"], item["new"]) for item in items if item["field"] == "photo"]
    assert noted[1:] == [(album.ann.id, "DSC_0001.jpg", None), (album.bob.id, None, "DSC_0001.jpg")]


def test_after_the_days_that_are_set_it_is_gone_with_its_files(album: Album) -> None:
    old, young, kept = (album.add(album.bob, data).id for data in (b"old", b"young", b"kept"))
    for photo_id in (old, young, kept):
        album.finish(photo_id)
    delete_long_ago(album, old, days=7, seconds=1)
    delete_long_ago(album, young, days=6)
    assert [job.state for job in album.keep_up()] == [State.COMPLETED]
    refused(album.bob.client.post(f"/photos/{old}/restore"), 404)
    ok(album.bob.client.post(f"/photos/{young}/restore"))
    assert sorted(lists(album)) == sorted([young, kept])
    assert {key.split("/")[1] for key in album.stored_keys()} == {young, kept}


def test_what_is_taken_back_at_the_last_moment_stays(album: Album) -> None:
    photo_id = album.add(album.bob, b"picture").id
    album.fail(photo_id)
    delete_long_ago(album, photo_id, days=8)
    with ThreadPoolExecutor(1) as pool:
        with album.database.write() as session:
            session.get_one(Photo, photo_id).deleted_at = None
            session.flush()
            upkeep = pool.submit(album.keep_up)
            # The upkeep finds the photo in the trash, as long as this is not committed, and waits for its row.
            time.sleep(1)
        assert [job.state for job in upkeep.result()] == [State.COMPLETED]
    assert album.bob.client.get(f"/photos/{photo_id}/original").content == b"picture"


def test_a_deleted_task_takes_its_photos_with_it(album: Album) -> None:
    other_task = album.add_task()
    gone = [album.add(album.bob, data).id for data in (b"1", b"2", b"3")]
    stays = album.add(album.bob, b"1", task_id=other_task).id
    for photo_id in (*gone, stays):
        album.finish(photo_id)
    ok(album.bob.client.delete(f"/photos/{gone[2]}"), 204)
    with album.database.write() as session:
        session.add(PhotoPair(before_id=gone[0], after_id=gone[1]))
        session.add(PhotoLocation(photo_id=gone[0], latitude=1.0, longitude=1.0, altitude=None))
    ok(album.ann.client.delete(f"/tasks/{album.task_id}"), 204)
    for photo_id in gone:
        refused(album.ada.client.get(f"/photos/{photo_id}"), 404)
    assert [job.state for job in album.run()] == [State.COMPLETED]
    assert {key.split("/")[1] for key in album.stored_keys()} == {stays}
    with album.database.read() as session:
        for table, left in ((Photo, 1), (PhotoRendition, 3), (PhotoPair, 0), (PhotoLocation, 0)):
            assert session.scalar(select(func.count()).select_from(table)) == left


def test_a_task_that_is_not_deleted_after_all_keeps_its_photos(album: Album) -> None:
    photo_id = album.add(album.bob, b"picture").id
    refused(album.bob.client.delete(f"/tasks/{album.task_id}"), 403)
    assert album.run() == []
    assert album.bob.client.get(f"/photos/{photo_id}/original").content == b"picture"


def test_files_are_removed_when_storage_is_back(album: Album) -> None:
    photo_id = album.add(album.bob, b"picture").id
    ok(album.ann.client.delete(f"/tasks/{album.task_id}"), 204)
    away = album.storage.folder.rename(album.storage.folder.with_name("away"))
    (failed,) = album.run()
    assert (failed.state, StorageUnavailable.__name__ in (failed.error or "")) == (State.RETRYABLE, True)
    away.rename(album.storage.folder)
    assert album.stored_keys() == [f"photos/{photo_id}/original"]
    with album.database.write() as session:
        enqueue(session, jobs.remove_files, {"photo_ids": [photo_id]})
    run_jobs(album.database, [jobs.remove_files], Resources(album.storage, album.settings))
    assert album.stored_keys() == []


def test_news_of_the_trash_says_who_it_was(album: Album) -> None:
    photo_id = album.add(album.bob, b"picture").id
    ok(album.ann.client.delete(f"/photos/{photo_id}"), 204)
    told = json.loads(album.events()[-1].data)
    assert told == {"photo": photo_id, "task": album.task_id, "state": "uploaded", "by": album.ann.id}


def test_the_trash_lists_what_one_may_restore_the_last_deleted_first(album: Album) -> None:
    path = f"/projects/{album.project_id}/photos/trash"
    first, second, kept = (
        album.add(who, data).id for who, data in ((album.bob, b"1"), (album.ann, b"2"), (album.bob, b"3"))
    )
    for photo_id in (first, second):
        ok(album.ann.client.delete(f"/photos/{photo_id}"), 204)
    listed = {who.id: [item["id"] for item in ok(who.client.get(path))] for who in (album.ann, album.bob, album.vic)}
    assert listed == {album.ann.id: [second, first], album.bob.id: [first], album.vic.id: []}
    assert kept not in listed[album.ann.id]
    assert ok(album.bob.client.get(path))[0]["deleted_at"] is not None
    loose = album.add(album.bob, b"4", task_id=None).id
    ok(album.bob.client.delete(f"/photos/{loose}"), 204)
    assert [item["id"] for item in ok(album.bob.client.get("/photos/trash"))] == [loose]
    assert ok(album.ann.client.get("/photos/trash")) == []
    refused(album.eve.client.get(path), 404)
