"""The upkeep removes what nobody can want, nothing else, and takes up what was left lying."""

import os
import time
from datetime import timedelta
from itertools import pairwise

import pytest
from croniter import croniter
from sqlalchemy import text, update

from tailrace.database import new_id, utcnow
from tailrace.jobs import Job, State, cancel_job, enqueue, get_job, list_jobs
from tailrace.photos import jobs, upkeep
from tailrace.photos.keys import ORPHAN_AGE, original_key, rendition_key, segment_key
from tailrace.photos.models import Photo, PhotoState, Upload, UploadSegment
from tailrace.storage.local import LEFTOVER_AGE_S
from tests.photos.conftest import Album

OLD = ORPHAN_AGE + timedelta(seconds=5)


def put(album: Album, key: str, *, age: timedelta = OLD) -> str:
    with album.storage.write(key) as writer:
        writer.write(b"left over")
    moment = time.time() - age.total_seconds()
    os.utime(album.storage.folder / key, (moment, moment))
    return key


def process_jobs(album: Album) -> list[Job]:
    with album.database.read() as session:
        return list_jobs(session, kinds=["photos.process"])


def make_old(album: Album, photo_id: str, state: PhotoState = PhotoState.UPLOADED) -> None:
    with album.database.write() as session:
        photo = session.get_one(Photo, photo_id)
        photo.state, photo.created_at = state, utcnow() - OLD


def test_files_that_no_row_knows_go_when_they_are_old(album: Album) -> None:
    ready = album.add(album.bob, b"picture").id
    album.finish(ready)
    wanted = album.stored_keys()
    young = put(album, original_key(new_id()), age=timedelta(minutes=1))
    put(album, original_key(new_id()))
    put(album, rendition_key(ready, new_id(), 7, "thumb"))
    put(album, f"photos/{ready}/strange")
    others = put(album, "reports/of/others")
    assert [job.state for job in album.keep_up()] == [State.COMPLETED]
    assert album.stored_keys() == sorted([*wanted, young, others])


def test_an_upload_that_took_hours_and_became_whole_just_now_stays(album: Album) -> None:
    hours_ago = int((time.time() - 20_000) * 1000)
    photo_id = f"{hours_ago:012x}{new_id()[12:]}"
    key = put(album, original_key(photo_id), age=timedelta(0))
    album.keep_up()
    assert album.stored_keys() == [key]


@pytest.mark.parametrize("state", [PhotoState.UPLOADED, PhotoState.PROCESSING])
def test_the_files_of_a_photo_that_is_being_processed_stay(album: Album, state: PhotoState) -> None:
    photo_id = album.add(album.bob, b"picture").id
    rendition = put(album, rendition_key(photo_id, new_id(), 1, "thumb"))
    make_old(album, photo_id, state)
    album.keep_up()
    assert rendition in album.stored_keys()
    album.fail(photo_id)
    album.keep_up()
    assert album.stored_keys() == [original_key(photo_id)]


def test_originals_stay_whatever_their_age_and_also_in_the_trash(album: Album) -> None:
    photo_id = album.add(album.bob, b"picture").id
    album.fail(photo_id)
    with album.database.write() as session:
        session.get_one(Photo, photo_id).deleted_at = utcnow()
    os.utime(album.storage.folder / original_key(photo_id), (0, 0))
    album.keep_up()
    assert album.stored_keys() == [original_key(photo_id)]


def add_upload(album: Album, **changes: object) -> str:
    """Add an upload with one segment, which is as old as can be."""
    known = {"user_id": album.bob.id, "name": "a.jpg", "length": 100, "offset": 9, "expires_at": utcnow()}
    upload = Upload(id=new_id(), **{**known, **changes})
    key = put(album, segment_key(upload.id, 0), age=timedelta(days=2))
    with album.database.write() as session:
        session.add(upload)
        session.flush()
        session.add(UploadSegment(upload_id=upload.id, start=0, bytes=9, storage_key=key))
    return key


def test_uploads_end_with_their_time_and_say_so_for_a_week(album: Album) -> None:
    add_upload(album)
    going_on = add_upload(album, expires_at=utcnow() + timedelta(minutes=1))
    busy = add_upload(album, lock_token="x", locked_until=utcnow() + timedelta(seconds=15))
    forgotten = add_upload(album, expires_at=utcnow() - timedelta(days=8))
    album.keep_up()
    assert album.stored_keys() == sorted([going_on, busy])
    with album.database.read() as session:
        assert session.get(Upload, forgotten.split("/")[1]) is None
        assert session.query(Upload).count() == 3


def test_segments_that_no_upload_knows_go(album: Album) -> None:
    known = add_upload(album, expires_at=utcnow() + timedelta(minutes=1))
    upload_id = known.split("/")[1]
    put(album, segment_key(upload_id, 9))
    put(album, segment_key(new_id(), 0))
    young = put(album, segment_key(upload_id, 9), age=timedelta(minutes=1))
    album.keep_up()
    assert album.stored_keys() == sorted([known, young])


def test_a_photo_whose_job_is_gone_is_processed_again(album: Album) -> None:
    for state in (PhotoState.UPLOADED, PhotoState.PROCESSING):
        make_old(album, album.add(album.bob, state.encode()).id, state)
    young = album.add(album.bob, b"young").id
    with album.database.write() as session:
        session.execute(text("DELETE FROM jobs"))
    album.keep_up()
    found = process_jobs(album)
    assert len(found) == 2
    assert {job.owner for job in found} == {f"user:{album.bob.id}"}
    assert young not in {job.args["photo_id"] for job in found}
    with album.database.read() as session:
        for job in found:
            assert session.get_one(Photo, job.args["photo_id"]).job_id == job.id


def test_a_photo_whose_job_waits_is_left_alone(album: Album) -> None:
    make_old(album, album.add(album.bob, b"picture").id)
    (before,) = process_jobs(album)
    album.keep_up()
    assert process_jobs(album) == [before]


def test_a_failure_that_was_not_noted_on_its_photo_is_answered_again(album: Album) -> None:
    photo_id = album.add(album.bob, b"picture").id
    make_old(album, photo_id)
    (job,) = process_jobs(album)
    with album.database.write() as session:
        cancel_job(session, job.id)
        session.execute(text("DELETE FROM jobs WHERE kind = 'photos.process_failed'"))
    album.keep_up()
    with album.database.read() as session:
        (answer,) = list_jobs(session, kinds=["photos.process_failed"])
    assert (answer.args["job_id"], answer.args["state"], answer.args["args"]) == (
        job.id, State.CANCELLED, {"photo_id": photo_id}
    )  # fmt: skip
    assert len(process_jobs(album)) == 1


def test_a_photo_with_an_end_is_left_alone(album: Album) -> None:
    for state in (PhotoState.READY, PhotoState.FAILED):
        make_old(album, album.add(album.bob, state.encode()).id, state)
    with album.database.write() as session:
        session.execute(text("DELETE FROM jobs"))
    album.keep_up()
    assert process_jobs(album) == []


def test_many_stuck_photos_are_all_taken_up(album: Album) -> None:
    for number in range(upkeep._BATCH + 5):
        album.add(album.bob, b"%d" % number)
    with album.database.write() as session:
        session.execute(update(Photo).values(created_at=utcnow() - OLD))
        session.execute(text("DELETE FROM jobs"))
    album.keep_up()
    with album.database.read() as session:
        assert len(list_jobs(session, kinds=["photos.process"], limit=1000)) == upkeep._BATCH + 5


def test_answers_that_nobody_repeats_are_forgotten(album: Album) -> None:
    with album.database.write() as session:
        session.execute(
            text("INSERT INTO photo_receipts VALUES (:user, 'k', '/', 202, NULL, '{}', '2020-01-01 00:00:00.000000')"),
            {"user": album.bob.id},
        )
    album.keep_up()
    with album.database.read() as session:
        assert session.scalar(text("SELECT count(*) FROM photo_receipts")) == 0


def test_what_an_upload_left_when_it_was_killed_is_swept(album: Album) -> None:
    album.storage.check()
    left = album.storage.folder / ".incoming" / "left"
    left.write_bytes(b"half")
    os.utime(left, (time.time() - LEFTOVER_AGE_S - 5,) * 2)
    album.keep_up()
    assert not left.exists()


def test_no_temporary_file_outlives_its_upload_by_an_hour() -> None:
    assert jobs.keep_photos.schedule is not None
    ticks = croniter(jobs.keep_photos.schedule, utcnow())
    moments = [ticks.get_next() for _ in range(100)]
    between_s = max(later - earlier for earlier, later in pairwise(moments))
    longest_s = max(LEFTOVER_AGE_S, ORPHAN_AGE.total_seconds())
    # Ten minutes remain for the job to wait for a worker and to run.
    assert longest_s + between_s <= 3600 - 600


def test_a_run_that_finds_nothing_changes_nothing(album: Album) -> None:
    photo_id = album.add(album.bob, b"picture").id
    album.finish(photo_id)
    before = album.stored_keys()
    with album.database.write() as session:
        job = enqueue(session, jobs.keep_photos)
    album.run()
    with album.database.read() as session:
        assert get_job(session, job.id).state is State.COMPLETED
    assert album.stored_keys() == before
