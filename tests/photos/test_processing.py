"""A photo is ready when its renditions are in storage, not before; one that fails says why, and can be retried."""

import hashlib
import io
import json
import os
import subprocess
import sys
import time
from collections.abc import Callable
from datetime import UTC, datetime
from typing import Any

import pytest
from PIL import Image
from sqlalchemy import delete, select

from tailrace.accounts.models import User
from tailrace.database import utcnow
from tailrace.jobs import Job, JobContext, LeaseLost, State, cancel_job, enqueue, get_job, list_jobs, retry_job, runs
from tailrace.jobs.models import JOBS
from tailrace.jobs.testing import run_jobs
from tailrace.notifications import inbox
from tailrace.notifications.schemas import EntryView, InboxQuery
from tailrace.photos import jobs, processing
from tailrace.photos.inspection import Inspector, PictureLimits
from tailrace.photos.keys import ORPHAN_AGE, original_key
from tailrace.photos.models import Photo, PhotoLocation, PhotoRendition, PhotoState
from tailrace.photos.schemas import PhotoStarted
from tests.features import Person, ok, refused
from tests.photos.conftest import Album, Resources
from tests.photos.good_pictures import exif, saved
from tests.photos.test_rendering import large
from tests.photos.uploading import jpeg

KINDS = [jobs.process_photo, jobs.processing_failed]
SIDES = {"thumb": (256, 171), "small": (1024, 683), "large": (2048, 1365)}


def upload(album: Album, data: bytes, who: Person | None = None, **known: Any) -> PhotoStarted:
    """Take a photo in, by what its bytes say."""
    inspector = Inspector(PictureLimits())
    inspector.feed(data)
    return album.add(who or album.bob, data, picture=inspector.finish(), **known)


def work(album: Album) -> list[Job]:
    return run_jobs(album.database, KINDS, Resources(album.storage, album.settings))


def look(album: Album, photo_id: str) -> Photo:
    with album.database.read() as session:
        return session.get_one(Photo, photo_id)


def told(album: Album, who: Person) -> list[EntryView]:
    """Return what the person's inbox holds of photos."""
    with album.database.read() as session:
        found = inbox.list_entries(session, who.principal, InboxQuery()).items
    return [entry for entry in found if entry.kind == "photo"]


def renditions(album: Album, photo_id: str) -> dict[str, PhotoRendition]:
    with album.database.read() as session:
        query = select(PhotoRendition).where(PhotoRendition.photo_id == photo_id)
        return {row.name: row for row in session.scalars(query)}


def news(album: Album, photo_id: str) -> list[tuple[str, dict[str, Any]]]:
    told = [(event.name, json.loads(event.data)) for event in album.events()]
    return [(name, data) for name, data in told if data.get("photo") == photo_id]


def files(album: Album, photo_id: str) -> list[str]:
    return [key for key in album.stored_keys() if photo_id in key]


def read(album: Album, key: str) -> bytes:
    return b"".join(album.storage.read(key))


def test_a_photo_gets_its_renditions_its_placeholder_and_its_facts(album: Album) -> None:
    data = large("JPEG")
    photo_id = upload(album, data).id
    (job,) = work(album)
    assert (job.state, job.progress_done, job.progress_total) == (State.COMPLETED, 2, 2)
    photo = look(album, photo_id)
    assert (photo.state, photo.error) == (PhotoState.READY, None)
    assert photo.placeholder
    made = renditions(album, photo_id)
    assert {name: (row.width, row.height) for name, row in made.items()} == SIDES
    for row in made.values():
        stored = read(album, row.storage_key)
        assert (len(stored), hashlib.sha256(stored).hexdigest()) == (row.bytes, row.sha256)
        assert Image.open(io.BytesIO(stored)).size == (row.width, row.height)
    assert read(album, original_key(photo_id)) == data
    assert len(files(album, photo_id)) == 4


def test_everybody_hears_of_each_step_and_of_the_placeholder_before_the_end(album: Album) -> None:
    photo_id = upload(album, jpeg()).id
    work(album)
    told = news(album, photo_id)
    assert [name for name, _ in told] == ["photo.added", "photo.processing", "photo.processing", "photo.ready"]
    placeholder = look(album, photo_id).placeholder
    assert [data.get("placeholder") for _, data in told] == [None, None, placeholder, placeholder]
    assert [data["state"] for _, data in told] == ["uploaded", "processing", "processing", "ready"]


def test_what_the_camera_wrote_is_kept_the_place_apart_from_it_and_not_in_a_rendition(album: Album) -> None:
    with album.database.write() as session:
        session.get_one(User, album.bob.id).time_zone = "Europe/Zurich"
    photo_id = upload(album, saved("JPEG", exif=exif(6, place=True))).id
    work(album)
    photo = look(album, photo_id)
    assert (photo.taken_at, photo.camera) == ("2026-05-04T03:02:01", "Tailrace Model 1")
    assert (photo.width, photo.height) == (64, 96), "as it is seen, not as it lies in the file"
    assert photo.shown_at == min(datetime(2026, 5, 4, 1, 2, 1, tzinfo=UTC), photo.created_at)
    with album.database.read() as session:
        place = session.get_one(PhotoLocation, photo_id)
        assert (place.latitude, place.longitude, place.altitude) == (47.375, 8.54, None)
    for row in renditions(album, photo_id).values():
        assert (row.width, row.height) == (64, 96)
        assert b"Exif" not in read(album, row.storage_key)


@pytest.mark.parametrize(
    ("taken_at", "zone", "shown"),
    [
        ("2026-05-04T03:02:01", "UTC", "2026-05-04T03:02:01+00:00"),
        ("2026-05-04T03:02:01", "America/New_York", "2026-05-04T07:02:01+00:00"),
        ("2026-05-04T03:02:01+09:00", "America/New_York", "2026-05-03T18:02:01+00:00"),
        ("2026-06-02T11:00:00", "UTC", "2026-06-02T11:00:00+00:00"),
        ("2026-06-03T00:00:00", "UTC", "2026-06-01T12:00:00+00:00"),
        ("9999-12-31T23:59:59-14:00", "UTC", "2026-06-01T12:00:00+00:00"),
        ("1826-01-01T00:00:00", "UTC", "1826-01-01T00:00:00+00:00"),
    ],
)
def test_a_photo_stands_where_it_was_taken_unless_the_clock_was_wrong(taken_at: str, zone: str, shown: str) -> None:
    created = datetime(2026, 6, 1, 12, tzinfo=UTC)
    assert processing.shown_moment(taken_at, zone, created) == datetime.fromisoformat(shown)


def test_a_picture_that_cannot_be_decoded_fails_at_once_with_a_sentence_and_is_kept(album: Album) -> None:
    whole = jpeg(800, 600)
    data = whole[: len(whole) // 2] + b"\xff\xd9"
    photo_id = upload(album, data).id
    job, answer = work(album)
    assert (job.state, job.attempt, answer.state) == (State.DISCARDED, 1, State.COMPLETED)
    photo = look(album, photo_id)
    assert photo.state == PhotoState.FAILED
    assert photo.error == "This JPEG is cut off: a part of the picture is missing. Send it again."
    assert files(album, photo_id) == [original_key(photo_id)]
    assert read(album, original_key(photo_id)) == data
    name, told = news(album, photo_id)[-1]
    assert (name, told["state"], told["error"]) == ("photo.failed", "failed", photo.error)


def test_who_uploaded_a_photo_finds_its_failure_in_the_inbox_until_it_is_tried_again(album: Album) -> None:
    whole = jpeg(800, 600)
    photo_id = upload(album, whole[: len(whole) // 2] + b"\xff\xd9").id
    work(album)
    [entry] = told(album, album.bob)
    assert (entry.subject, entry.task, entry.url) == (photo_id, album.task_id, f"/web/photos/{photo_id}")
    ok(album.bob.client.post(f"/photos/{photo_id}/retry"), 202)
    assert told(album, album.bob) == []


def test_a_failed_photo_is_retried_by_a_new_job(album: Album) -> None:
    started = upload(album, jpeg())
    original = album.storage.folder / original_key(started.id)
    elsewhere = original.rename(original.with_name("elsewhere"))
    work(album)
    assert look(album, started.id).error == (
        "The original is gone from the storage: restore it from a backup, then try again."
    )
    elsewhere.rename(original)
    again = ok(album.bob.client.post(f"/photos/{started.id}/retry"), 202)
    assert again["state"] == "uploaded"
    assert again["events"] != started.events
    assert [job.state for job in work(album)] == [State.COMPLETED]
    assert look(album, started.id).state == PhotoState.READY
    assert "ready" in refused(album.bob.client.post(f"/photos/{started.id}/retry"), 409)


@pytest.mark.parametrize("change", [lambda data: data[:-1], lambda data: data + b"x", lambda data: data[:-1] + b"x"])
def test_an_original_that_is_not_what_was_uploaded_is_not_processed(
    album: Album, change: Callable[[bytes], bytes]
) -> None:
    photo_id = upload(album, jpeg()).id
    path = album.storage.folder / original_key(photo_id)
    path.write_bytes(change(path.read_bytes()))
    work(album)
    photo = look(album, photo_id)
    assert photo.error == "The original has changed in the storage: restore it from a backup, then try again."
    assert files(album, photo_id) == [original_key(photo_id)]


def test_a_storage_that_is_away_is_waited_for(album: Album) -> None:
    photo_id = upload(album, jpeg()).id
    away = album.storage.folder.rename(album.storage.folder.with_name("away"))
    (job,) = work(album)
    assert job.state is State.RETRYABLE
    assert look(album, photo_id).state == PhotoState.PROCESSING
    away.rename(album.storage.folder)
    with album.database.write() as session:
        retry_job(session, job.id)
    work(album)
    assert look(album, photo_id).state == PhotoState.READY


def test_a_mistake_of_ours_is_tried_a_few_times_and_not_told_in_detail(
    album: Album, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(processing, "EFFORTS", {})
    photo_id = upload(album, jpeg()).id
    for _ in range(10):
        work(album)
        with album.database.write() as session:
            waiting = list_jobs(session, states=[State.RETRYABLE])
            for job in waiting:
                session.execute(JOBS.update().where(JOBS.c.id == job.id).values(run_at=utcnow()))
        if not waiting:
            break
    with album.database.read() as session:
        job = get_job(session, look(album, photo_id).job_id or "")
    assert (job.state, job.failures) == (State.DISCARDED, 5)
    assert look(album, photo_id).error == (
        f"It could not be processed because of an error in Tailrace; an administrator finds it in job {job.id}."
    )


def test_a_photo_that_is_ready_or_gone_or_anothers_is_left_alone(album: Album) -> None:
    ready = upload(album, jpeg()).id
    work(album)
    before = album.stored_keys(), news(album, ready)
    with album.database.write() as session:
        again = enqueue(session, jobs.process_photo, {"photo_id": ready})
        enqueue(session, jobs.process_photo, {"photo_id": "f" * 32})
        session.get_one(Photo, ready).job_id = again.id
    assert [job.state for job in work(album)] == [State.COMPLETED] * 2
    assert (album.stored_keys(), news(album, ready)) == before
    other = upload(album, jpeg(300, 300)).id
    with album.database.write() as session:
        session.get_one(Photo, other).job_id = "e" * 32
    assert [job.state for job in work(album)] == [State.COMPLETED]
    assert look(album, other).state == PhotoState.UPLOADED


def test_a_cancelled_job_fails_its_photo(album: Album) -> None:
    photo_id = upload(album, jpeg()).id
    with album.database.write() as session:
        cancel_job(session, look(album, photo_id).job_id or "")
    work(album)
    photo = look(album, photo_id)
    assert (photo.state, photo.error) == (PhotoState.FAILED, "Processing was cancelled.")


class Disturbed:
    """Tells of a run's progress to somebody who does something about it at a step."""

    def __init__(self, step: int, act: Callable[[], None]) -> None:
        self.step, self.act = step, act

    def progress(self, done: int, total: int | None, note: str) -> None:
        if done == self.step:
            self.act()


def run_disturbed(album: Album, photo_id: str, step: int, act: Callable[[], None]) -> None:
    """Process a photo as an engine does, and do something to it after a step."""
    job_id = look(album, photo_id).job_id or ""
    with album.database.write() as session:
        (job,) = runs_claim(session)
    assert job.id == job_id
    context: JobContext[Any] = JobContext(
        job_id=job_id,
        attempt=job.attempt,
        resources=Resources(album.storage, album.settings),
        database=album.database,
        reporter=Disturbed(step, act),
        stop_reason=lambda: None,
    )
    processing.process(context, photo_id)


def runs_claim(session: Any) -> list[Job]:
    return runs.claim(session, engine_id="e" * 32, kinds=["photos.process"], limit=1, lease_s=60)


@pytest.mark.parametrize("step", [1, 2])
def test_a_run_that_was_taken_for_dead_changes_nothing_and_what_it_left_is_removed(album: Album, step: int) -> None:
    photo_id = upload(album, jpeg()).id

    def take_over() -> None:
        with album.database.write() as session:
            session.execute(JOBS.update().values(state=State.AVAILABLE))
        with album.database.write() as session:
            runs_claim(session)

    with pytest.raises(LeaseLost):
        run_disturbed(album, photo_id, step, take_over)
    assert look(album, photo_id).state == PhotoState.PROCESSING
    assert renditions(album, photo_id) == {}
    with album.database.write() as session:
        session.execute(JOBS.update().values(state=State.AVAILABLE))
    work(album)
    assert look(album, photo_id).state == PhotoState.READY
    wanted = {row.storage_key for row in renditions(album, photo_id).values()} | {original_key(photo_id)}
    long_ago = time.time() - ORPHAN_AGE.total_seconds() - 5
    for key in files(album, photo_id):
        os.utime(album.storage.folder / key, (long_ago, long_ago))
    album.keep_up()
    assert set(files(album, photo_id)) == wanted


@pytest.mark.parametrize("step", [1, 2])
def test_a_photo_that_is_removed_for_good_while_it_is_processed_leaves_nothing(album: Album, step: int) -> None:
    photo_id = upload(album, jpeg()).id

    def remove() -> None:
        with album.database.write() as session:
            session.execute(delete(Photo).where(Photo.id == photo_id))

    run_disturbed(album, photo_id, step, remove)
    assert files(album, photo_id) == [original_key(photo_id)]  # Which its remover removes.


def test_a_photo_in_the_trash_is_made_ready_all_the_same(album: Album) -> None:
    photo_id = upload(album, jpeg()).id
    with album.database.write() as session:
        session.get_one(Photo, photo_id).deleted_at = utcnow()
    work(album)
    assert look(album, photo_id).state == PhotoState.READY


def test_a_failure_that_is_no_longer_true_is_not_noted(album: Album) -> None:
    photo_id = upload(album, jpeg()).id
    old = look(album, photo_id).job_id or ""
    with album.database.write() as session:
        cancel_job(session, old)
        session.get_one(Photo, photo_id).job_id = enqueue(session, jobs.process_photo, {"photo_id": photo_id}).id
    work(album)
    assert look(album, photo_id).state == PhotoState.READY
    assert "photo.failed" not in [name for name, _ in news(album, photo_id)]


def test_the_application_does_not_load_what_decodes() -> None:
    loaded = "import sys, tailrace.app, tailrace.bootstrap; print('pyvips' in sys.modules, 'PIL' in sys.modules)"
    told = subprocess.run([sys.executable, "-c", loaded], capture_output=True, text=True, check=True, timeout=60)
    assert told.stdout.split() == ["False", "False"]
