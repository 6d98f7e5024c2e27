"""Stored bytes become a photo once, with its job, its news and its note on the task, or nothing of them stays."""

import json
import os
import sqlite3
import time
from concurrent.futures import ThreadPoolExecutor
from contextlib import closing
from dataclasses import replace
from datetime import datetime
from pathlib import Path
from threading import Barrier
from typing import Any

import pytest
from sqlalchemy import func, select, text
from sqlalchemy.exc import IntegrityError
from sqlalchemy.orm import Session

from tailrace.database import Database
from tailrace.errors import Conflict, Forbidden, Invalid, NotFound, Unavailable
from tailrace.jobs import get_job, list_jobs
from tailrace.photos import access, receiving
from tailrace.photos.keys import ORPHAN_AGE, original_key
from tailrace.photos.models import Photo, PhotoReceipt, PhotoState
from tailrace.photos.names import clean_name, saved_name, stem_of
from tailrace.photos.receipts import AnsweredMeanwhile, Receipt, find_receipt, forget_receipts, keep_receipt
from tailrace.photos.schemas import PhotoStarted
from tailrace.storage import LocalStorage
from tests.features import ok
from tests.photos.conftest import Album


def count(database: Database) -> int:
    with database.read() as session:
        return session.scalar(select(func.count()).select_from(Photo)) or 0


def test_a_photo_comes_with_its_job_and_its_news(album: Album) -> None:
    started = album.add(album.bob, b"picture", caption="The gate")
    with album.database.read() as session:
        photo = session.get_one(Photo, started.id)
        job = get_job(session, photo.job_id or "")
    assert (photo.project_id, photo.task_id, photo.user_id) == (album.project_id, album.task_id, album.bob.id)
    assert (photo.caption, photo.state, photo.shown_at) == ("The gate", "uploaded", photo.created_at)
    assert (job.kind, job.args, job.queue, job.owner) == (
        "photos.process",
        {"photo_id": photo.id},
        "photos",
        f"user:{album.bob.id}",
    )
    assert started == PhotoStarted(
        id=photo.id,
        name="DSC_0001.jpg",
        state=PhotoState.UPLOADED,
        url=f"/photos/{photo.id}",
        events=f"/jobs/{job.id}/events",
        first=True,
    )
    told = album.events()[-1]
    assert (told.name, json.loads(told.data)["photo"]) == ("photo.added", photo.id)


def test_the_task_remembers_who_added_which_photo(album: Album) -> None:
    album.add(album.bob, b"picture")
    entry = ok(album.ann.client.get(f"/tasks/{album.task_id}/activity"))["items"][-1]
    assert (entry["user"]["email"], entry["field"], entry["old"], entry["new"]) == (
        album.bob.email,
        "photo",
        None,
        "DSC_0001.jpg",
    )


def test_a_photo_without_a_task_is_told_to_its_uploader_alone(album: Album) -> None:
    before = len(album.events())
    album.add(album.eve, b"picture", task_id=None)
    assert [event.name for event in album.events(f"user:{album.eve.id}")] == ["photo.added"]
    assert len(album.events()) == before


def test_the_same_bytes_to_the_same_task_are_the_first_photo_again(album: Album) -> None:
    first = album.add(album.bob, b"picture")
    again = album.add(album.ann, b"picture", name="other.jpg")
    assert (again.id, again.name, again.first) == (first.id, "DSC_0001.jpg", False)
    assert album.stored_keys() == [original_key(first.id)]
    assert count(album.database) == 1
    with album.database.read() as session:
        assert len(list_jobs(session, kinds=["photos.process"])) == 1


def test_the_same_bytes_elsewhere_are_another_photo(album: Album) -> None:
    album.add(album.bob, b"picture")
    album.add(album.bob, b"picture", task_id=album.add_task())
    album.add(album.bob, b"picture", task_id=None)
    album.add(album.ann, b"picture", task_id=None)
    assert count(album.database) == len(album.stored_keys()) == 4


def test_the_same_bytes_take_a_photo_out_of_the_trash(album: Album) -> None:
    first = album.add(album.bob, b"picture")
    ok(album.bob.client.delete(f"/photos/{first.id}"), 204)
    assert album.add(album.bob, b"picture").id == first.id
    assert ok(album.bob.client.get(f"/photos/{first.id}"))["id"] == first.id
    assert [event.name for event in album.events()][-3:] == ["photo.added", "photo.deleted", "photo.restored"]


@pytest.mark.parametrize("to_task", [True, False])
def test_of_many_at_once_with_the_same_bytes_one_becomes_the_photo(album: Album, to_task: bool) -> None:
    together = Barrier(6)

    def upload(_: int) -> PhotoStarted:
        new = album.new(b"picture", album.task_id if to_task else None)
        together.wait(20)
        return receiving.finish(album.database, album.storage, album.bob.principal, new)

    with ThreadPoolExecutor(6) as pool:
        answers = list(pool.map(upload, range(6)))
    assert len({answer.id for answer in answers}) == 1
    assert [answer.first for answer in answers].count(True) == 1
    assert album.stored_keys() == [original_key(answers[0].id)]


def test_what_is_refused_at_the_end_leaves_no_bytes(album: Album) -> None:
    with pytest.raises(Forbidden):
        album.add(album.vic, b"picture")
    with pytest.raises(NotFound):
        album.add(album.eve, b"picture")
    with pytest.raises(NotFound):
        album.add(album.bob, b"picture", task_id=999_999)
    assert (count(album.database), album.stored_keys()) == (0, [])


def test_what_may_have_been_committed_keeps_its_bytes(album: Album) -> None:
    def lose_the_connection(_session: Session, _started: PhotoStarted) -> None:
        raise OSError("the connection is gone")

    new = album.new(b"picture", album.task_id)
    with pytest.raises(OSError, match="connection"):
        receiving.finish(album.database, album.storage, album.bob.principal, new, keep=lose_the_connection)
    assert album.stored_keys() == [original_key(new.id)]


def test_who_may_upload_is_known_before_a_byte_is_read(album: Album) -> None:
    with album.database.read() as session:
        for person in (album.ann, album.bob, album.ada):
            access.check_upload(session, person.principal, album.task_id)
        access.check_upload(session, album.eve.principal, None)
        with pytest.raises(Forbidden):
            access.check_upload(session, album.vic.principal, album.task_id)
        with pytest.raises(NotFound):
            access.check_upload(session, album.eve.principal, album.task_id)
    ok(album.ann.client.patch(f"/projects/{album.project_id}", json={"archived": True}))
    with album.database.read() as session, pytest.raises(Conflict):
        access.check_upload(session, album.ann.principal, album.task_id)


ANSWER = Receipt("/photos/async", 202, {"photo": "1"}, "/photos/1")


def keep(album: Album, who: str, key: str, receipt: Receipt) -> None:
    with album.database.write() as session:
        keep_receipt(session, album.people[who].principal, key, receipt)


def find(album: Album, who: str, key: str, target: str) -> Receipt | None:
    with album.database.read() as session:
        return find_receipt(session, album.people[who].principal, key, target)


def test_an_answer_is_found_again_by_the_one_who_had_it(album: Album) -> None:
    keep(album, "bob", "k", ANSWER)
    assert find(album, "bob", "k", ANSWER.target) == ANSWER
    assert find(album, "ann", "k", ANSWER.target) is None
    assert find(album, "bob", "other", ANSWER.target) is None


def test_a_key_that_was_used_elsewhere_is_refused(album: Album) -> None:
    keep(album, "bob", "k", ANSWER)
    with pytest.raises(Invalid, match="/photos/async"):
        find(album, "bob", "k", "/tasks/1/photos")
    with pytest.raises(Invalid, match="/photos/async"):
        keep(album, "bob", "k", Receipt("/tasks/1/photos", 202, {}))


def test_of_many_at_once_with_one_key_one_wins_and_all_have_its_answer(album: Album) -> None:
    together = Barrier(6)

    def upload(number: int) -> Any:
        new = album.new(b"picture %d" % number, album.task_id)

        def keep(session: Session, started: PhotoStarted) -> None:
            body = {"photo": started.id}
            keep_receipt(session, album.bob.principal, "k", Receipt("/photos/async", 202, body, started.url))

        together.wait(20)
        try:
            return receiving.finish(album.database, album.storage, album.bob.principal, new, keep=keep).id
        except AnsweredMeanwhile as error:
            return error.receipt.body["photo"]

    with ThreadPoolExecutor(6) as pool:
        answers = set(pool.map(upload, range(6)))
    assert len(answers) == count(album.database) == 1
    assert album.stored_keys() == [original_key(*answers)]


def test_answers_are_forgotten_after_a_week(album: Album) -> None:
    keep(album, "bob", "old", ANSWER)
    with album.database.write() as session:
        session.execute(text("UPDATE photo_receipts SET created_at = '2020-01-01 00:00:00.000000'"))
    keep(album, "bob", "new", ANSWER)
    with album.database.write() as session:
        assert forget_receipts(session) == 1
        assert session.scalars(select(PhotoReceipt.key)).all() == ["new"]


@pytest.mark.parametrize(
    ("sent", "kept"),
    [
        ("a.jpg", "a.jpg"),
        (None, "photo"),
        ("", "photo"),
        ("C:\\fakepath\\a.jpg", "a.jpg"),
        ("../../etc/passwd", "passwd"),
        ("a\r\nb\x00\x85.jpg", "ab.jpg"),
        ("half \ud800 a pair.png", "half  a pair.png"),
        ("фото.heic", "фото.heic"),
        ("x" * 300 + ".jpeg", "x" * 250 + ".jpeg"),
        ("x" * 300, "x" * 255),
        (".jpg", ".jpg"),
    ],
)
def test_a_clients_name_becomes_one_that_can_be_kept(sent: str | None, kept: str) -> None:
    assert clean_name(sent) == kept


@pytest.mark.parametrize(
    ("name", "form", "saved"),
    [
        ("a.jpg", "jpeg", "a.jpg"),
        ("A.JPEG", "jpeg", "A.JPEG"),
        ("run.exe", "jpeg", "run.exe.jpg"),
        ("page.html", "png", "page.html.png"),
        ("a", "tiff", "a.tif"),
        ("a.jpg", "heic", "a.jpg.heic"),
    ],
)
def test_a_saved_name_says_what_the_file_is(name: str, form: str, saved: str) -> None:
    assert saved_name(name, form) == saved


def test_a_stem_is_never_empty() -> None:
    assert [stem_of(name) for name in ("a.b.jpg", ".jpg", "a", "a.")] == ["a.b", ".jpg", "a", "a"]


def test_an_original_that_was_lost_comes_back_with_the_same_bytes(album: Album) -> None:
    first = album.add(album.bob, b"picture")
    album.storage.delete(original_key(first.id))
    again = album.add(album.ann, b"picture")
    assert (again.id, again.first) == (first.id, False)
    assert b"".join(album.storage.read(original_key(first.id))) == b"picture"
    assert album.stored_keys() == [original_key(first.id)]


def test_what_is_committed_is_not_refused_for_a_storage_that_is_away_by_then(
    album: Album, caplog: pytest.LogCaptureFixture
) -> None:
    first = album.add(album.bob, b"picture")
    new = album.new(b"picture", album.task_id)
    aside = album.storage.folder.with_name("aside")

    def unmount(_session: Session, _started: PhotoStarted) -> None:
        album.storage.folder.rename(aside)

    started = receiving.finish(album.database, album.storage, album.ann.principal, new, keep=unmount)
    assert (started.id, started.first) == (first.id, False)
    assert "is gone or no folder" in caplog.text
    aside.rename(album.storage.folder)
    assert original_key(first.id) in album.stored_keys()


def test_a_photo_that_the_database_refuses_is_no_photo_that_is_there_already(album: Album) -> None:
    nobody = replace(album.ann.principal, user_id=987_654)
    with pytest.raises(IntegrityError), album.database.write() as session:
        receiving.add_photos(session, nobody, None, [album.new(b"picture", None)])
    assert count(album.database) == 0


def test_bytes_that_the_upkeep_may_be_about_to_remove_become_no_photo(album: Album) -> None:
    new = album.new(b"picture", album.task_id)
    long_ago = time.time() - ORPHAN_AGE.total_seconds() / 2 - 5
    os.utime(album.storage.folder / original_key(new.id), (long_ago, long_ago))
    with pytest.raises(Conflict, match="too late"):
        receiving.finish(album.database, album.storage, album.bob.principal, new)
    assert count(album.database) == 0


def test_who_sends_what_another_sent_is_told_where_they_may_follow_it(album: Album) -> None:
    album.add(album.ann, b"picture")
    again = album.add(album.bob, b"picture")
    assert again.events == f"/events?channel=project:{album.project_id}"


def test_the_pictures_of_a_form_become_photos_together(album: Album) -> None:
    news = [album.new(b"picture %d" % number, album.task_id) for number in range(5)]
    results = receiving.finish_many(album.database, album.storage, album.bob.principal, album.task_id, news)
    assert [each.id for each in results if isinstance(each, PhotoStarted)] == [new.id for new in news]
    with album.database.read() as session:
        assert len(list_jobs(session, kinds=["photos.process"])) == 5
    assert [event.name for event in album.events()][-5:] == ["photo.added"] * 5


def test_of_equal_pictures_in_a_form_the_first_is_the_photo(album: Album) -> None:
    news = [album.new(data, album.task_id) for data in (b"one", b"two", b"one")]
    results = receiving.finish_many(album.database, album.storage, album.bob.principal, album.task_id, news)
    assert [each.id for each in results if isinstance(each, PhotoStarted)] == [news[0].id, news[1].id, news[0].id]
    assert album.stored_keys() == sorted(original_key(new.id) for new in news[:2])


def test_a_picture_that_is_refused_keeps_no_other_out(album: Album) -> None:
    good, late, other = (album.new(data, album.task_id) for data in (b"good", b"late", b"other"))
    long_ago = time.time() - ORPHAN_AGE.total_seconds() / 2 - 5
    os.utime(album.storage.folder / original_key(late.id), (long_ago, long_ago))
    results = receiving.finish_many(
        album.database, album.storage, album.bob.principal, album.task_id, [good, late, other]
    )
    assert [type(each) for each in results] == [PhotoStarted, Conflict, PhotoStarted]
    assert count(album.database) == 2


def test_nobody_who_may_not_add_photos_adds_many(album: Album) -> None:
    news = [album.new(data, album.task_id) for data in (b"one", b"two")]
    results = receiving.finish_many(album.database, album.storage, album.vic.principal, album.task_id, news)
    assert [type(each) for each in results] == [Forbidden, Forbidden]
    assert album.stored_keys() == []


def test_a_database_that_goes_busy_in_between_hides_no_photo(album: Album) -> None:
    if not album.database.is_sqlite:
        pytest.skip("PostgreSQL has no lock that all writers wait for")
    database = album.database.engine.url.database
    with closing(sqlite3.connect(str(database), isolation_level=None, check_same_thread=False)) as other:
        storage = LockingStorage(album.storage.folder, other, at=2)
        news = [album.new(b"picture %d" % number, None) for number in range(3)]
        results = receiving.finish_many(album.database, storage, album.bob.principal, None, news)
    assert [type(each) for each in results] == [PhotoStarted, Unavailable, Unavailable]
    assert count(album.database) == 1


class LockingStorage(LocalStorage):
    """A storage in whose use, the `at`-th time that an age is asked for, somebody else begins to write."""

    def __init__(self, folder: Path, other: sqlite3.Connection, *, at: int) -> None:
        super().__init__(folder)
        self._other = other
        self._left = at

    def modified(self, key: str) -> datetime:
        self._left -= 1
        if self._left == 0:
            self._other.execute("BEGIN IMMEDIATE")
        return super().modified(key)
