"""A report of photos: every original that the asker may see, as it came, with a manifest, or no report at all."""

import csv
import hashlib
import io
import zipfile
from collections.abc import Callable
from dataclasses import dataclass, field
from typing import Any

import pytest

from tailrace.jobs import State, retry_job
from tailrace.jobs.testing import run_jobs
from tailrace.photos.archive import LOOSE
from tailrace.photos.inspection import Picture
from tailrace.photos.keys import original_key
from tailrace.photos.settings import PhotoSettings
from tailrace.reports import jobs as report_jobs
from tailrace.reports.routes import router as reports_router
from tailrace.storage import LocalStorage
from tests.features import Person, ok, refused
from tests.photos.conftest import Album

KINDS = [report_jobs.build_report, report_jobs.report_failed]


@dataclass
class Resources:
    """What the jobs of reports are given; nobody is mailed here."""

    storage: LocalStorage
    photos: PhotoSettings = field(default_factory=PhotoSettings)
    secret: bytes = b"a secret of more than thirty-two bytes"
    report_days: int = 30


@pytest.fixture(autouse=True)
def _reports(album: Album) -> None:
    album.site.app.state.secret = b"a secret of more than thirty-two bytes"
    album.site.app.include_router(reports_router)


def ask(album: Album, who: Person, **order: Any) -> dict[str, Any]:
    """Have a report made and return how it stands."""
    started = ok(who.client.post("/reports", json={"kind": "photos"} | order), 202)
    run_jobs(album.database, KINDS, Resources(album.storage))
    report: dict[str, Any] = ok(who.client.get(f"/reports/{started['id']}"))
    return report


def fetch(album: Album, who: Person, **order: Any) -> zipfile.ZipFile:
    report = ask(album, who, **order)
    assert report["state"] == "ready", report
    answer = who.client.get(report["url"])
    assert (answer.status_code, answer.headers["content-type"]) == (200, "application/zip")
    assert hashlib.sha256(answer.content).hexdigest() == report["sha256"]
    archive = zipfile.ZipFile(io.BytesIO(answer.content))
    assert archive.testzip() is None
    return archive


def manifest(archive: zipfile.ZipFile) -> list[dict[str, str]]:
    return list(csv.DictReader(io.StringIO(archive.read("manifest.csv").decode(), newline="")))


def test_every_original_is_in_it_byte_by_byte_and_in_the_manifest(album: Album) -> None:
    photo = album.add(album.bob, b"one", caption="Hinges, rusty", name="a.jpg")
    album.finish(photo.id, taken_at="2024-05-01T14:03:22", camera="Cam 1")
    other = album.add(album.ann, b"two", name="b.png", picture=Picture("png", "image/png", 1, 1, 1))
    loose = album.add(album.bob, b"three", task_id=None, name="c.jpg")
    archive = fetch(album, album.bob)
    folder = f"{album.project_id} Mill Quarter/{album.task_id} Paint the gate"
    contents = {f"{folder}/a.jpg": b"one", f"{folder}/b.png": b"two", f"{LOOSE}/c.jpg": b"three"}
    assert {name: archive.read(name) for name in archive.namelist() if name != "manifest.csv"} == contents
    rows = {row["id"]: row for row in manifest(archive)}
    assert set(rows) == {photo.id, other.id, loose.id}
    assert rows[photo.id] | {"uploaded": ""} == {
        "project": "Mill Quarter",
        "task": "Paint the gate",
        "file": f"{folder}/a.jpg",
        "name": "a.jpg",
        "caption": "Hinges, rusty",
        "taken": "2024-05-01T14:03:22",
        "camera": "Cam 1",
        "bytes": "3",
        "sha256": hashlib.sha256(b"one").hexdigest(),
        "uploader": album.bob.email,
        "uploaded": "",
        "id": photo.id,
        "state": "ready",
        "error": "",
    }
    assert (rows[loose.id]["project"], rows[loose.id]["task"], rows[loose.id]["taken"]) == ("", "", "")


def test_the_manifest_says_which_photo_could_not_be_shown_and_why(album: Album) -> None:
    photo = album.add(album.bob, b"half", name="a.jpg")
    album.fail(photo.id, "The picture is cut off.")
    [row] = manifest(fetch(album, album.bob))
    assert (row["state"], row["error"]) == ("failed", "The picture is cut off.")


def test_a_report_without_photos_is_a_manifest_without_rows(album: Album) -> None:
    archive = fetch(album, album.eve)
    assert (archive.namelist(), manifest(archive)) == (["manifest.csv"], [])


def test_it_is_counted_in_photos(album: Album) -> None:
    for number in range(3):
        album.add(album.bob, b"%d" % number)
    report = ask(album, album.ann)
    assert (report["unit"], report["rows_done"], report["rows_total"], report["format"]) == ("photos", 3, 3, "zip")


def test_only_what_the_asker_may_see_is_in_it(album: Album) -> None:
    album.add(album.bob, b"of the project")
    album.add(album.bob, b"bob's own", task_id=None)
    gone = album.add(album.bob, b"in the trash")
    ok(album.bob.client.delete(f"/photos/{gone.id}"), 204)
    for who, expected in (
        (album.vic, {b"of the project"}),
        (album.bob, {b"of the project", b"bob's own"}),
        (album.eve, set()),
    ):
        archive = fetch(album, who)
        found = {archive.read(name) for name in archive.namelist() if name != "manifest.csv"}
        assert found == expected


def test_filters_choose_the_photos(album: Album) -> None:
    other_task = album.add_task()
    album.add(album.bob, b"1")
    album.add(album.bob, b"2", task_id=other_task)
    album.add(album.bob, b"3", task_id=None)
    for filters, count in (
        ({"task": other_task}, 1),
        ({"project": album.project_id}, 2),
        ({"project": album.project_id + 1}, 0),
        ({"taken_before": "2020-01-01"}, 0),
        ({"taken_after": "2020-01-01"}, 3),
    ):
        assert ask(album, album.bob, filters=filters)["rows_total"] == count, filters
    refused(album.bob.client.post("/reports", json={"kind": "photos", "filters": {"status": "todo"}}), 422)


def test_a_format_that_a_kind_has_not_is_refused_with_those_it_has(album: Album) -> None:
    wrong = album.bob.client.post("/reports", json={"kind": "photos", "format": "csv"})
    assert "they come as zip" in refused(wrong, 422)
    wrong = album.bob.client.post("/reports", json={"kind": "tasks", "format": "zip"})
    assert "they come as csv, jsonl, xlsx" in refused(wrong, 422)


def test_no_cell_of_the_manifest_is_run_by_a_spreadsheet(album: Album) -> None:
    album.add(album.bob, b"1", name="=cmd.jpg", caption="+1+1")
    album.add(album.bob, b"2", name="@sum.jpg", caption="\tx")
    album.add(album.bob, b"3", name="-2.jpg", caption='"quoted", and\nbroken')
    rows = manifest(fetch(album, album.bob))
    cells = [cell for row in rows for cell in row.values()]
    assert [cell for cell in cells if cell.startswith(("=", "+", "-", "@", "\t", "\r"))] == []
    assert {row["name"] for row in rows} == {"'=cmd.jpg", "'@sum.jpg", "'-2.jpg"}
    assert '"quoted", and\nbroken' in cells


def test_names_that_mean_something_elsewhere_are_made_harmless(album: Album) -> None:
    names = ["a.jpg", "A.JPG", "a.jpg", "CON.jpg", "..", "x:y?.jpg", "run.exe", "é.jpg", "e\u0301.jpg", "-rf.jpg"]
    for number, name in enumerate(names):
        album.add(album.bob, b"%d" % number, name=name)
    ok(album.ann.client.patch(f"/tasks/{album.task_id}", json={"title": "../../etc: passwd "}))
    archive = fetch(album, album.bob)
    folder = f"{album.project_id} Mill Quarter/{album.task_id} .._.._etc_ passwd/"
    found = [name.removeprefix(folder) for name in archive.namelist() if name != "manifest.csv"]
    assert found == [
        "a.jpg", "A (2).JPG", "a (3).jpg", "_CON.jpg", "jpg", "x_y_.jpg", "run.exe.jpg", "é.jpg", "é (2).jpg",
        "_-rf.jpg",
    ]  # fmt: skip
    assert [row["file"] for row in manifest(archive)] == [folder + name for name in found]


@pytest.mark.parametrize("change", ["gone", "shorter", "longer", "other"])
def test_a_file_that_is_not_what_was_stored_fails_the_report_with_its_name(album: Album, change: str) -> None:
    album.add(album.bob, b"whole", name="a.jpg")
    broken = album.add(album.bob, b"broken", name="b.jpg")
    path = album.storage.folder / original_key(broken.id)
    if change == "gone":
        path.unlink()
    else:
        path.write_bytes({"shorter": b"bro", "longer": b"broken!", "other": b"BROKEN"}[change])
    report = ask(album, album.bob)
    assert report["state"] == "failed"
    assert report["error"].startswith(f"The original of the photo b.jpg ({broken.id}) is no longer in storage as it")
    assert not list(album.storage.keys("reports"))
    refused(album.bob.client.get(report["url"]), 409)


class Interrupted(LocalStorage):
    """A storage in which something happens just before a file is read for the first time."""

    def __init__(self, album: Album, key: str, happen: Callable[[], object]) -> None:
        super().__init__(album.storage.folder)
        self._happenings = {key: happen}

    def size(self, key: str) -> int:
        self._happenings.pop(key, lambda: None)()
        return super().size(key)


def test_a_task_that_is_deleted_while_its_photos_are_written_is_left_out_in_another_attempt(album: Album) -> None:
    kept, task = album.add(album.bob, b"kept", name="a.jpg"), album.add_task()
    gone = album.add(album.bob, b"gone", task_id=task)

    def delete_task() -> None:
        ok(album.ann.client.delete(f"/tasks/{task}"), 204)
        assert [job.state for job in album.run()] == [State.COMPLETED]

    resources = Resources(Interrupted(album, original_key(gone.id), delete_task))
    report = ok(album.bob.client.post("/reports", json={"kind": "photos"}), 202)
    (job,) = run_jobs(album.database, KINDS, resources)
    assert (job.state, job.failures) == (State.SCHEDULED, 0)
    assert ok(album.bob.client.get(f"/reports/{report['id']}"))["state"] == "waiting"
    with album.database.write() as session:
        retry_job(session, job.id)
    assert [job.state for job in run_jobs(album.database, KINDS, resources)] == [State.COMPLETED]
    archive = zipfile.ZipFile(io.BytesIO(album.bob.client.get(f"/reports/{report['id']}/file").content))
    assert [row["id"] for row in manifest(archive)] == [kept.id]
