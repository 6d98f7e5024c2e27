"""The page that photos are sent from, by a browser without scripts, and what the tray asks for."""

import re
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import pytest

from tailrace.photos.routes import router as photos_router
from tailrace.photos.settings import PhotoSettings
from tailrace.photos.tus_routes import router as tus_router
from tailrace.storage import LocalStorage
from tests.features import Person, Site, ok
from tests.photos.tus_client import OFFSET_STREAM, encode
from tests.photos.uploading import jpeg
from tests.web.browsing import Browser, visible

PAGE = "/web/photos/upload"
PHOTO = ("wheel.jpg", jpeg(40, 30), "image/jpeg")
TEXT = ("notes.jpg", b"only text\n" * 9, "image/jpeg")


@dataclass
class Works:
    """Ada's project with a task of hers, and a task of a project in the archive."""

    site: Site
    ben: Person
    project: int
    task: int
    archived: int


@pytest.fixture
def works(ada: Browser, site: Site, tmp_path: Path) -> Works:
    site.app.state.photos = PhotoSettings()
    site.app.state.storage = LocalStorage(tmp_path / "files")
    for router in (tus_router, photos_router):
        site.app.include_router(router)
    ben = site.person("Ben")
    project = int(ok(ada.client.post("/projects", json={"name": "Mill"}), 201)["id"])
    task = _task(ada.client, project, "Replace the wheel", assignee="me")
    old = site.project(ben, name="Brewery")
    archived = _task(ben.client, old, "Replace the kettle")
    ok(ben.client.patch(f"/projects/{old}", json={"archived": True}))
    return Works(site, ben, project, task, archived)


def _task(client: Any, project: int, title: str, **fields: str) -> int:
    return int(ok(client.post(f"/projects/{project}/tasks", json={"title": title, **fields}), 201)["id"])


def _send(browser: Browser, task: object, *files: tuple[str, bytes, str], token: str | None = None) -> Any:
    query = {"task": str(task), "forgery_token": browser.token if token is None else token}
    return browser.client.post(PAGE, params=query, files=[("file", file) for file in files])


def test_a_task_is_chosen_by_its_words_and_stays_chosen(ada: Browser, works: Works) -> None:
    _task(ada.client, works.project, "Paint the door")
    assert re.findall(r"task=(\w+)", ada.text(PAGE))[0] == str(works.task), "one's own task comes first"
    found = ada.text(PAGE, params={"q": "wheel"})
    assert "Replace the wheel" in found
    assert "Paint the door" not in found
    assert "No task that you work on has these words" in ada.text(PAGE, params={"q": "nowhere"})
    assert f'data-task="{works.task}"' in ada.text(f"{PAGE}?task={works.task}")
    assert "For Replace the wheel Mill" in visible(ada.text(PAGE))
    assert "Without a task" in visible(ada.text(f"{PAGE}?task=own"))
    assert "Without a task" in visible(ada.text(PAGE))


def test_only_tasks_that_one_works_on_can_be_chosen(ada: Browser, works: Works) -> None:
    assert "Replace the kettle" not in ada.text(PAGE, params={"q": "Replace"})
    for task, status in ((works.archived, 409), (9999, 404), (2**40, 404), ("x", 404)):
        assert ada.get(PAGE, params={"task": str(task)}).status_code == status
    ada.text(f"{PAGE}?task={works.task}")
    ok(ada.client.request("DELETE", f"/tasks/{works.task}"), 204)
    assert "Choose the task that they show" in ada.text(PAGE), "one that has gone is forgotten"


def test_the_tray_lists_tasks_as_buttons(ada: Browser, works: Works) -> None:
    part = ada.text(f"{PAGE}/tasks?tray=1&q=wheel", headers={"HX-Request": "true"})
    assert f'<button class="button bare" data-task="{works.task}">Replace the wheel · Mill</button>' in part
    assert '<button class="button bare" data-task="">No task' in part
    assert "<html" not in part


def test_a_form_without_scripts_takes_many_files(ada: Browser, works: Works) -> None:
    page = ada.text(f"{PAGE}?task={works.task}")
    action = re.search(r'action="([^"]+)"[^>]*>\s*<div class="field"><label for="file">', page)
    assert action is not None
    answer = ada.client.post(action[1].replace("&amp;", "&"), files=[("file", PHOTO), ("file", ("b.jpg", *PHOTO[1:]))])
    assert (answer.status_code, answer.headers["location"]) == (303, f"{PAGE}?task={works.task}")
    assert "2 photos sent, and being prepared." in ada.text(answer.headers["location"])


def test_a_file_that_is_refused_keeps_no_other_out_and_is_named_with_its_reason(ada: Browser, works: Works) -> None:
    answer = _send(ada, works.task, TEXT, PHOTO)
    assert answer.status_code == 200
    assert "1 photo sent, and being prepared. Not taken: notes.jpg : This is text" in visible(answer.text)
    answer = _send(ada, "own", TEXT)
    assert answer.status_code == 415
    assert "This is text" in answer.text
    assert "sent, and being" not in answer.text


def test_a_form_of_files_needs_the_token_and_the_right_to_the_task(ada: Browser, works: Works) -> None:
    for token in ("", "x", ada.token[:-1]):
        assert _send(ada, works.task, PHOTO, token=token).status_code == 403
    assert _send(ada, works.archived, PHOTO).status_code == 409
    assert _send(ada, "", PHOTO).status_code == 404
    refused = ada.client.post(PAGE, params={"task": "own", "forgery_token": ada.token}, content=b"no form")
    assert refused.status_code == 415
    assert "<html" in refused.text
    assert ada.text("/web/uploads").count("<li>") == 0


def test_a_stranger_is_led_to_sign_in(works: Works) -> None:
    stranger = works.site.client()
    assert stranger.get(PAGE).headers["location"] == f"/sign-in?next={PAGE}"
    assert stranger.post(PAGE, params={"task": "own"}, files=[("file", PHOTO)]).headers["location"] == "/sign-in"


def _upload(browser: Browser, task: int, **headers: str) -> Any:
    about = {"Tus-Resumable": "1.0.0", "Upload-Length": str(len(PHOTO[1])), **OFFSET_STREAM}
    metadata = encode({"filename": PHOTO[0], "task": str(task)})
    return browser.client.post("/uploads", headers={**about, "Upload-Metadata": metadata, **headers}, content=PHOTO[1])


def test_what_was_sent_is_shown_with_its_photo_also_when_that_was_here_already(ada: Browser, works: Works) -> None:
    photo = _upload(ada, works.task).headers["tailrace-photo"]
    part = ada.text("/web/uploads")
    assert f'href="/web{photo}">wheel.jpg</a>' in part
    assert "uploaded, being prepared" in part
    assert f"project:{works.project}" in part
    assert _upload(ada, works.task).headers["tailrace-photo"] == photo
    assert "already here" in ada.text("/web/uploads")
    ok(ada.client.request("DELETE", photo), 204)
    assert "<li>" not in ada.text("/web/uploads")


def test_an_upload_of_one_person_is_not_taken_with_the_cookie_of_another(ada: Browser, works: Works) -> None:
    """A browser keeps photos longer than a sign-in lasts."""
    assert _upload(ada, works.task, **{"Tailrace-User": str(works.ben.id)}).status_code == 401
    me = ok(ada.get("/users/me"))["id"]
    assert _upload(ada, works.task, **{"Tailrace-User": str(me)}).status_code == 201
