"""What the database promises of uploads that go on after an interruption, on both databases."""

import os
import subprocess
import sys
from datetime import timedelta
from pathlib import Path

import pytest
from sqlalchemy import update

from tailrace.accounts.principal import Principal
from tailrace.database import new_id, present, utcnow
from tailrace.errors import Forbidden, Gone, NotFound
from tailrace.photos import resumable
from tailrace.photos.errors import BrokenPicture
from tailrace.photos.inspection import PictureLimits
from tailrace.photos.keys import original_key
from tailrace.photos.models import Upload
from tailrace.photos.resumable import Claim, NewUpload
from tailrace.photos.segments import Draft, Segment, join, remove_segments
from tailrace.photos.upload_locks import is_abandoned, new_token
from tailrace.photos.upload_schemas import UploadState, UploadView
from tailrace.projects import service as projects
from tailrace.storage import ObjectMissing
from tailrace.streams import tus
from tests.photos.uploading import Yard, jpeg, yard

__all__ = ["yard"]

DAY = timedelta(hours=24)
CLOCK = Path(__file__).parents[1] / "jobs" / "clock"
_CLAIM = """
import sys
from tailrace.accounts.principal import Principal
from tailrace.database import Database
from tailrace.photos import resumable
from tailrace.streams import tus
from tests.conftest import import_models

_, url, user_id, upload_id = sys.argv
import_models()
ann = Principal(int(user_id), "ann@example.org", "Ann", False, "token")
try:
    with Database(url).write() as session:
        resumable.claim_upload(session, ann, upload_id, 0)
    print("claimed")
except tus.UploadLocked:
    print("UploadLocked")
"""


def begin(yard: Yard, length: int = 10, *, task_id: int | None = None, who: Principal | None = None) -> str:
    with yard.database.write() as session:
        new = NewUpload(length, "wheel.jpg", task_id, caption="Seen from the west", metadata="filename d2hlZWw=")
        return resumable.create_upload(session, who or yard.ann, new, lifetime=DAY).id


def look(yard: Yard, upload_id: str, who: Principal | None = None) -> UploadView:
    with yard.database.read() as session:
        return resumable.get_upload(session, who or yard.ann, upload_id)


def claim(yard: Yard, upload_id: str, offset: int = 0, who: Principal | None = None) -> Claim:
    with yard.database.write() as session:
        return resumable.claim_upload(session, who or yard.ann, upload_id, offset)


def store(yard: Yard, held: Claim, data: bytes) -> Segment:
    draft = Draft(yard.storage, held.upload_id, held.offset)
    with draft.writing() as writer:
        writer.write(data)
    assert draft.segment is not None
    return draft.segment


def advance(yard: Yard, held: Claim, data: bytes, *, releasing: bool = False) -> Claim:
    segment = store(yard, held, data)
    with yard.database.write() as session:
        return resumable.advance(session, held, segment, lifetime=DAY, releasing=releasing)


def change(yard: Yard, upload_id: str, **values: object) -> None:
    with yard.database.write() as session:
        session.execute(update(Upload).where(Upload.id == upload_id).values(**values))


def test_an_upload_begins_empty_and_waits(yard: Yard) -> None:
    upload = look(yard, begin(yard, task_id=yard.task_id))
    assert (upload.offset, upload.length, upload.state) == (0, 10, UploadState.WAITING)
    assert (upload.name, upload.task, upload.caption) == ("wheel.jpg", yard.task_id, "Seen from the west")
    assert (upload.photo, upload.error) == (None, None)


def test_an_upload_is_its_owners_alone(yard: Yard) -> None:
    upload_id = begin(yard, task_id=yard.task_id)
    with pytest.raises(NotFound):
        look(yard, upload_id, yard.bob)
    with pytest.raises(NotFound):
        claim(yard, upload_id, who=yard.bob)
    with pytest.raises(NotFound), yard.database.write() as session:
        resumable.terminate(session, yard.bob, upload_id)
    with pytest.raises(NotFound):
        look(yard, new_id())


def test_nobody_begins_an_upload_for_a_task_they_may_not_change(yard: Yard) -> None:
    with pytest.raises(NotFound):
        begin(yard, task_id=yard.task_id, who=yard.cem)


def test_the_offset_moves_past_segments_in_their_order(yard: Yard) -> None:
    upload_id = begin(yard)
    held = advance(yard, claim(yard, upload_id), b"abcd")
    assert look(yard, upload_id).state is UploadState.RECEIVING
    held = advance(yard, held, b"efg", releasing=True)
    upload = look(yard, upload_id)
    assert (upload.offset, upload.state) == (7, UploadState.WAITING)
    with yard.database.read() as session:
        segments = resumable.list_segments(session, held)
    assert [(each.start, each.stop) for each in segments] == [(0, 4), (4, 7)]
    assert b"".join(b"".join(yard.storage.read(each.key)) for each in segments) == b"abcdefg"


def test_progress_gives_more_time(yard: Yard) -> None:
    upload_id = begin(yard)
    change(yard, upload_id, expires_at=utcnow() + timedelta(minutes=1))
    advance(yard, claim(yard, upload_id), b"abcd")
    assert look(yard, upload_id).expires_at > utcnow() + timedelta(hours=23)


def test_a_second_claim_is_refused_until_the_first_is_given_back(yard: Yard) -> None:
    upload_id = begin(yard)
    held = claim(yard, upload_id)
    with pytest.raises(tus.UploadLocked):
        claim(yard, upload_id)
    with yard.database.write() as session:
        resumable.release(session, held)
    claim(yard, upload_id)


def test_a_claim_elsewhere_than_where_the_upload_stands_is_refused(yard: Yard) -> None:
    upload_id = begin(yard)
    advance(yard, claim(yard, upload_id), b"abcd", releasing=True)
    for wrong in (0, 3, 5, 10, 11):
        with pytest.raises(tus.OffsetMismatch, match="byte 4"):
            claim(yard, upload_id, wrong)
    claim(yard, upload_id, 4)


def test_a_claim_that_was_kept_does_not_run_out(yard: Yard) -> None:
    upload_id = begin(yard)
    held = claim(yard, upload_id)
    change(yard, upload_id, locked_until=utcnow() + timedelta(seconds=1))
    with yard.database.write() as session:
        resumable.keep_claim(session, held)
        until = session.get_one(Upload, upload_id).locked_until
    assert until is not None
    assert until > utcnow() + timedelta(seconds=10)


@pytest.mark.parametrize("offset_s", [3600, -3600])
def test_a_machine_whose_clock_is_wrong_takes_no_claim_and_gives_none_that_lasts(yard: Yard, offset_s: int) -> None:
    if yard.database.is_sqlite:
        pytest.skip("There is only one machine, and one clock.")
    held, free = begin(yard), begin(yard)
    claim(yard, held)
    assert claim_elsewhere(yard, held, offset_s) == "UploadLocked"
    assert claim_elsewhere(yard, free, offset_s) == "claimed"
    with yard.database.read() as session:
        until = session.get_one(Upload, free).locked_until
        assert until is not None
        assert timedelta(0) < until - present(session) <= resumable.LEASE


def claim_elsewhere(yard: Yard, upload_id: str, offset_s: int) -> str:
    """Claim an upload in a process whose clock is wrong, and return what came of it."""
    url = yard.database.url.render_as_string(hide_password=False)
    command = [sys.executable, "-c", _CLAIM, url, str(yard.ann.user_id), upload_id]
    path = os.pathsep.join([str(CLOCK), *sys.path])
    wrong = {**os.environ, "PYTHONPATH": path, "TESTS_CLOCK_OFFSET_S": str(offset_s)}
    return subprocess.run(command, capture_output=True, text=True, check=True, env=wrong).stdout.strip()


def test_who_slept_through_the_lease_can_change_nothing(yard: Yard) -> None:
    upload_id = begin(yard)
    sleeper = claim(yard, upload_id)
    change(yard, upload_id, locked_until=utcnow())
    held = claim(yard, upload_id)
    with pytest.raises(tus.UploadLocked), yard.database.write() as session:
        resumable.keep_claim(session, sleeper)
    with pytest.raises(tus.UploadLocked), yard.database.write() as session:
        resumable.complete(session, sleeper, new_id())
    with pytest.raises(tus.UploadLocked), yard.database.write() as session:
        resumable.refuse(session, sleeper, "No picture.")
    with pytest.raises(tus.UploadLocked):
        advance(yard, sleeper, b"abcd")
    with yard.database.write() as session:
        resumable.release(session, sleeper)
    assert advance(yard, held, b"efgh").offset == 4
    assert look(yard, upload_id).state is UploadState.RECEIVING


def test_the_claim_of_a_process_that_died_is_free_at_once(yard: Yard) -> None:
    upload_id = begin(yard)
    claim(yard, upload_id)
    command = [sys.executable, "-c", "from tailrace.photos.upload_locks import new_token; print(new_token())"]
    dead = subprocess.run(command, capture_output=True, text=True, check=True).stdout.strip()
    change(yard, upload_id, lock_token=dead)
    assert look(yard, upload_id).state is UploadState.WAITING
    claim(yard, upload_id)


def test_only_a_process_of_this_machine_is_known_to_be_dead() -> None:
    token = new_token()
    assert not is_abandoned(token)
    host, process, life, rest = token[:8], token[8:16], token[16:24], token[24:]
    assert is_abandoned(host + process + "00000000" + rest), "an earlier process had our number"
    assert not is_abandoned("00000000" + "7fffffff" + life + rest), "it may live elsewhere"
    assert not is_abandoned(host + f"{1:08x}" + life + rest), "the first process lives"
    assert new_token() != token


def test_a_photo_and_the_last_byte_come_together(yard: Yard) -> None:
    data = jpeg()
    upload_id = begin(yard, len(data))
    held = advance(yard, claim(yard, upload_id), data[:1000])
    segments = [store(yard, held, data[1000:])]
    with yard.database.read() as session:
        segments = resumable.list_segments(session, held) + segments
    photo_id = new_id()
    joined = join(yard.storage, segments, photo_id, PictureLimits())
    assert (joined.bytes, joined.picture.width, joined.picture.height) == (len(data), 400, 300)
    assert b"".join(yard.storage.read(original_key(photo_id))) == data
    assert look(yard, upload_id).offset == 1000, "a photo that nobody booked is no photo"


def test_what_is_no_picture_leaves_no_original(yard: Yard) -> None:
    held = claim(yard, begin(yard, 500))
    photo_id = new_id()
    with pytest.raises(BrokenPicture):
        join(yard.storage, [store(yard, held, jpeg()[:500])], photo_id, PictureLimits())
    assert not yard.storage.exists(original_key(photo_id))
    remove_segments(yard.storage, held.upload_id)
    with pytest.raises(ObjectMissing):
        join(yard.storage, [Segment("quarantine/gone", 0, 4)], photo_id, PictureLimits())
    assert yard.quarantine() == []


def test_a_refused_upload_tells_why_and_takes_nothing_more(yard: Yard) -> None:
    upload_id = begin(yard)
    held = advance(yard, claim(yard, upload_id), b"<svg")
    with yard.database.write() as session:
        resumable.refuse(session, held, "This is an SVG.")
        assert resumable.list_segments(session, held) == []
    upload = look(yard, upload_id)
    assert (upload.state, upload.error) == (UploadState.REFUSED, "This is an SVG.")
    with pytest.raises(Gone, match="This is an SVG"):
        claim(yard, upload_id, 4)
    with pytest.raises(Gone, match="This is an SVG"), yard.database.read() as session:
        resumable.inspect_upload(session, yard.ann, upload_id)


def test_an_expired_upload_is_gone_unless_somebody_writes_to_it(yard: Yard) -> None:
    upload_id = begin(yard)
    held = claim(yard, upload_id)
    change(yard, upload_id, expires_at=utcnow())
    assert look(yard, upload_id).state is UploadState.RECEIVING
    with yard.database.write() as session:
        resumable.release(session, held)
    assert look(yard, upload_id).state is UploadState.EXPIRED
    with pytest.raises(Gone, match="no progress"):
        claim(yard, upload_id)


def test_a_terminated_upload_is_unknown_to_the_request_that_still_brings_bytes(yard: Yard) -> None:
    upload_id = begin(yard)
    held = advance(yard, claim(yard, upload_id), b"abcd")
    with yard.database.write() as session:
        resumable.terminate(session, yard.ann, upload_id)
    with pytest.raises(NotFound):
        advance(yard, held, b"efgh")
    with yard.database.write() as session:
        resumable.release(session, held)


def test_who_lost_the_right_to_the_task_cannot_go_on(yard: Yard) -> None:
    upload_id = begin(yard, task_id=yard.task_id, who=yard.bob)
    with yard.database.write() as session:
        projects.change_role(session, yard.ann, yard.project_id, yard.bob.user_id, role=projects.Role.VIEWER)
    with pytest.raises(Forbidden):
        claim(yard, upload_id, who=yard.bob)
    with yard.database.write() as session:
        projects.remove_member(session, yard.ann, yard.project_id, yard.bob.user_id)
    with pytest.raises(NotFound):
        claim(yard, upload_id, who=yard.bob)


def test_only_uploads_that_can_go_on_are_listed_the_newest_first(yard: Yard) -> None:
    first, expired, refused, second = (begin(yard) for _ in range(4))
    begin(yard, who=yard.bob)
    change(yard, expired, expires_at=utcnow())
    change(yard, refused, error="No.")
    with yard.database.read() as session:
        listed = resumable.list_unfinished(session, yard.ann)
    assert [upload.id for upload in listed] == [second, first]
