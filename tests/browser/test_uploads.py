"""Photos on their way: each goes on where it was, whatever is cut, killed, closed or refused meanwhile."""

import base64
import functools
import hashlib
import re
from collections.abc import Iterator
from dataclasses import dataclass, field
from datetime import timedelta
from pathlib import Path
from typing import Any

import pytest
from playwright.sync_api import BrowserContext, CDPSession, FilePayload, Page, Request, Route, expect
from sqlalchemy import URL, make_url

from tailrace.database import Database, utcnow
from tailrace.jobs import enqueue
from tailrace.photos.jobs import keep_photos
from tailrace.photos.models import Photo
from tailrace.streams import record
from tests.browser.site import ADDRESS, PASSWORD, LiveSite, connected
from tests.browser.test_accessibility import VIEWS, faults
from tests.conftest import import_models
from tests.cuttable import Cable
from tests.photos.uploading import jpeg
from tests.service import Service
from tests.streams.serving import wait_for

UPLOAD_PAGE = "/web/photos/upload"
SLOW = 1_000_000
PHOTO = jpeg(2600, 2000)


def photo(name: str, data: bytes = PHOTO) -> FilePayload:
    return {"name": name, "mimeType": "image/jpeg", "buffer": data}


def small(number: int) -> FilePayload:
    return photo(f"small {number}.jpg", jpeg(300 + number, 200))


NOTES = photo("notes.jpg", b"only text\n" * 99)


@dataclass
class Wire:
    """The requests of uploads that the pages of a browser profile have sent."""

    created: int = 0
    offsets: list[int] = field(default_factory=list)

    def note(self, request: Request) -> None:
        if "/uploads" in request.url and request.method == "POST":
            self.created += 1
        if request.method == "PATCH":
            self.offsets.append(int(request.headers["upload-offset"]))


@dataclass
class Work:
    """A task, and a page in a profile of its own that sends photos to it."""

    site: LiveSite
    task: int
    page: Page
    wire: Wire

    @property
    def context(self) -> BrowserContext:
        return self.page.context

    def send(self, *files: FilePayload) -> None:
        """Choose files, as a person does on the page for phones."""
        self.page.get_by_label("Choose photos").set_input_files(files)

    def sha256s(self) -> set[str]:
        """Return what the originals of the task's photos are."""
        items = self.site.call("GET", f"/tasks/{self.task}/photos")["items"]
        return {self.site.call("GET", f"/photos/{item['id']}")["sha256"] for item in items}


def begin(site: LiveSite, url: str = "", **options: Any) -> Work:
    """Open the page for a new task, and the tray by its key."""
    task = site.task(site.project(), "Replace the valve")
    context = site.context(**options)
    wire = Wire()
    context.on("request", wire.note)
    page = context.new_page()
    page.goto(f"{url}{UPLOAD_PAGE}?task={task}")
    connected(page)
    page.keyboard.press("g")
    page.keyboard.press("u")
    expect(page.locator(".tray-none")).to_be_visible()
    return Work(site, task, page, wire)


@functools.cache
def _network(page: Page) -> CDPSession:
    # Of two sessions that each have conditions, the first one's count.
    return page.context.new_cdp_session(page)


def throttle(page: Page, upload: int = SLOW, *, offline: bool = False) -> None:
    """Let the page send so many bytes a second; -1 for all it can."""
    conditions = {"offline": offline, "latency": 0, "downloadThroughput": -1, "uploadThroughput": upload}
    _network(page).send("Network.emulateNetworkConditions", conditions)


def said(page: Page, text: str) -> None:
    """Wait until the tray as a whole says this."""
    expect(page.locator("#tray [role=status]")).to_contain_text(text, timeout=40_000)


def halfway(page: Page) -> None:
    """Wait until a bar has moved."""
    page.locator(".tray-list progress:not([value='0'])").first.wait_for(state="attached")


def ready(page: Page, *names: str) -> None:
    """Wait until these are said to be ready, and nothing else is left to be said."""
    for name in names:
        line = page.locator(".tray-sent > li", has_text=name)
        expect(line).to_contain_text("ready", ignore_case=True, timeout=60_000)
    expect(page.locator(".tray-list > li")).to_have_count(0)


def sha256(data: bytes) -> str:
    return hashlib.sha256(data).hexdigest()


def went_on(wire: Wire) -> bool:
    """Return whether the one upload began once, and never again at an earlier place."""
    return wire.created == 1 and wire.offsets == sorted(wire.offsets) and wire.offsets.count(0) == 1


@pytest.fixture
def own(live: LiveSite, tmp_path: Path) -> Iterator[LiveSite]:
    """Give a service that a test may kill."""
    with Service(tmp_path / "data") as service:
        site = LiveSite(service, live.browser, service.create_user(ADDRESS, admin=True))
        yield site
        site.api.close()


def test_several_are_sent_each_with_its_bar_while_one_is_refused_with_its_reason(live: LiveSite) -> None:
    work = begin(live)
    files = [small(1), NOTES, small(2), photo("large.jpg")]
    throttle(work.page, offline=True)
    work.send(*files)
    expect(work.page.locator(".tray-list > li progress")).to_have_count(4)
    throttle(work.page, -1)
    expect(work.page.locator(".refused")).to_contain_text("not sent: This is text")
    said(work.page, "1 not sent")
    expect(work.page.locator(".tray-list > li")).to_have_count(1, timeout=60_000)
    assert work.sha256s() == {sha256(file["buffer"]) for file in files if file is not NOTES}
    work.page.get_by_role("button", name="Remove").click()
    ready(work.page, "small 1.jpg", "small 2.jpg", "large.jpg")
    work.page.get_by_role("link", name="large.jpg").click()
    expect(work.page).to_have_url(re.compile(r"/web/photos/[0-9a-f]{32}$"))
    work.context.close()


def test_the_same_photo_again_is_said_to_be_here(live: LiveSite) -> None:
    work = begin(live)
    work.send(small(3))
    ready(work.page, "small 3.jpg")
    work.send(small(3))
    expect(work.page.locator(".tray-sent > li", has_text="already here")).to_contain_text("small 3.jpg")
    assert len(work.sha256s()) == 1
    work.context.close()


def test_without_a_network_they_wait_and_then_go_on_where_they_were(live: LiveSite) -> None:
    work = begin(live)
    throttle(work.page)
    work.send(photo("offline.jpg"))
    halfway(work.page)
    throttle(work.page, offline=True)
    said(work.page, "1 waiting for a connection")
    throttle(work.page)
    ready(work.page, "offline.jpg")
    assert went_on(work.wire)
    assert work.sha256s() == {sha256(PHOTO)}
    work.context.close()


def test_a_connection_that_says_nothing_any_more_is_given_up(live: LiveSite) -> None:
    port = int(live.service.url.rpartition(":")[2])
    with Cable(URL.create("http", host="127.0.0.1", port=port)) as cable:
        url = f"http://127.0.0.1:{make_url(cable.url).port}"
        work = begin(live, url)
        throttle(work.page)
        work.send(photo("cable.jpg"))
        halfway(work.page)
        cable.cut()
        said(work.page, "1 waiting for a connection")
        cable.heal()
        throttle(work.page, -1)
        ready(work.page, "cable.jpg")
        assert went_on(work.wire)
        work.context.close()


def test_a_service_that_is_killed_and_comes_back_gets_the_rest(own: LiveSite) -> None:
    work = begin(own)
    throttle(work.page)
    work.send(photo("valve.jpg"), small(4))
    halfway(work.page)
    own.service.kill()
    said(work.page, "2 waiting for a connection")
    own.service.arguments = ("--port", own.service.url.rpartition(":")[2])
    own.service.start()
    throttle(work.page, -1)
    expect(work.page.locator(".tray-list > li")).to_have_count(0, timeout=60_000)
    assert work.sha256s() == {sha256(PHOTO), sha256(small(4)["buffer"])}
    assert work.wire.created == 2
    assert work.wire.offsets.count(0) == 2
    work.context.close()


def test_a_reload_midway_loses_nothing_even_when_the_files_are_gone_by_then(live: LiveSite, tmp_path: Path) -> None:
    work = begin(live)
    throttle(work.page)
    paths = [tmp_path / "valve.jpg", tmp_path / "small.jpg"]
    for path, data in zip(paths, (PHOTO, small(5)["buffer"]), strict=True):
        path.write_bytes(data)
    work.page.get_by_label("Choose photos").set_input_files(paths)
    halfway(work.page)
    work.page.goto("/")
    said(work.page, "2 waiting")
    for path in paths:
        path.unlink()
    expect(work.page.locator(".tray-list > li")).to_have_count(0, timeout=60_000)
    assert work.sha256s() == {sha256(PHOTO), sha256(small(5)["buffer"])}
    assert (work.wire.created, work.wire.offsets.count(0)) == (2, 2)
    work.context.close()


def test_one_is_paused_by_keyboard_while_another_goes_on(live: LiveSite) -> None:
    work = begin(live)
    throttle(work.page)
    work.send(photo("valve.jpg"), small(6))
    halfway(work.page)
    work.page.get_by_role("button", name="Pause").first.focus()
    work.page.keyboard.press("Enter")
    said(work.page, "1 paused")
    expect(work.page.locator(".tray-sent")).to_contain_text("small 6.jpg", timeout=60_000)
    assert work.sha256s() == {sha256(small(6)["buffer"])}
    work.page.reload()
    said(work.page, "1 paused")
    work.page.locator(".tray-box summary").click()
    work.page.get_by_role("button", name="Resume").click()
    expect(work.page.locator(".tray-list > li")).to_have_count(0, timeout=60_000)
    assert sha256(PHOTO) in work.sha256s()
    work.context.close()


def test_two_tabs_show_the_same_and_send_it_once(live: LiveSite) -> None:
    work = begin(live)
    other = work.context.new_page()
    other.goto("/")
    connected(other)
    throttle(work.page)
    throttle(other)
    work.send(photo("valve.jpg"), small(7))
    halfway(other)
    said(other, "2 waiting")
    work.page.close()
    expect(other.locator(".tray-list > li")).to_have_count(0, timeout=60_000)
    assert (work.wire.created, work.wire.offsets.count(0)) == (2, 2)
    assert work.sha256s() == {sha256(PHOTO), sha256(small(7)["buffer"])}
    work.context.close()


def test_what_one_person_left_is_not_sent_by_the_next(live: LiveSite) -> None:
    live.service.create_user("ben@example.org")
    context = live.browser.new_context(base_url=live.service.url)
    wire = Wire()
    task = live.task(live.project(), "Replace the valve")
    page = _signed_in(context, ADDRESS)
    page.goto(f"{UPLOAD_PAGE}?task={task}")
    context.set_offline(True)
    page.get_by_label("Choose photos").set_input_files([small(8)])
    said(page, "1 waiting for a connection")
    page.close()
    context.set_offline(False)
    context.on("request", wire.note)
    page = _signed_in(context, "ben@example.org")
    expect(page.locator("#tray [role=status]")).to_have_text("")
    assert wire.created == 0
    page.close()
    page = _signed_in(context, ADDRESS)
    expect(page.locator("#tray [role=status]")).to_have_text("", timeout=60_000)
    assert len(live.call("GET", f"/tasks/{task}/photos")["items"]) == 1
    context.close()


def test_a_page_of_who_has_signed_out_sends_nothing_as_the_next_person(live: LiveSite) -> None:
    live.service.create_user("cem@example.org")
    work = begin(live)
    # Without the events, the page does not notice who is signed in.
    work.page.route("**/events?*", lambda route: route.abort())
    work.context.set_offline(True)
    work.send(small(9))
    said(work.page, "1 waiting for a connection")
    work.context.clear_cookies()
    cem = live.service.client()
    answer = cem.post("/session", json={"email": "cem@example.org", "password": PASSWORD})
    secret = re.search(r"tailrace_session=([^;]+)", answer.headers["set-cookie"])
    assert secret is not None
    work.context.add_cookies([{"name": "tailrace_session", "value": secret[1], "url": live.service.url}])
    work.context.set_offline(False)
    said(work.page, "1 waiting until you sign in again")
    assert cem.get("/uploads").json()["items"] == []
    assert work.sha256s() == set()
    cem.close()
    work.context.close()


def test_photos_without_a_task_wait_until_one_is_chosen_in_the_tray(live: LiveSite, tmp_path: Path) -> None:
    task = live.task(live.project(), "Dropped here first")
    page = live.page("/")
    _drop(page, tmp_path, small(10))
    said(page, "1 without a task")
    page.get_by_role("searchbox", name="Search the task").fill("dropped")
    page.get_by_role("button", name="Dropped here first").click()
    expect(page.locator(".tray-list > li")).to_have_count(0)
    assert len(live.call("GET", f"/tasks/{task}/photos")["items"]) == 1
    page.goto(f"/web/tasks/{task}")
    _drop(page, tmp_path, small(11))
    expect(page.locator("#photos [data-photo]")).to_have_count(2)
    page.context.close()


def test_a_photo_is_pasted_but_text_is_not_taken_for_one(live: LiveSite) -> None:
    task = live.task(live.project(), "Pasted")
    page = live.page(f"/web/tasks/{task}")
    connected(page)
    paste = """([bytes, text]) => {
      const data = new DataTransfer()
      data.items.add(new File([new Uint8Array(bytes)], 'pasted.jpg'))
      if (text) data.setData('text/plain', text)
      document.body.dispatchEvent(new ClipboardEvent('paste', { clipboardData: data, bubbles: true }))
    }"""
    page.evaluate(paste, [list(small(12)["buffer"]), "a cell of a spreadsheet"])
    page.evaluate(paste, [list(small(13)["buffer"]), ""])
    expect(page.locator("#photos [data-photo]")).to_have_count(1)
    page.context.close()


def test_a_browser_that_keeps_nothing_says_so_and_sends_all_the_same(live: LiveSite) -> None:
    work = begin(live)
    other = work.context.new_page()
    other.goto("/healthz")
    work.page.goto("about:blank")
    # A database without the place that photos are kept in refuses each of them.
    other.evaluate("""new Promise((done, fail) => {
      indexedDB.deleteDatabase('keyval-store').onsuccess = () =>
        Object.assign(indexedDB.open('keyval-store'), { onsuccess: done, onerror: fail })
    }).then(() => true)""")
    work.page.goto(f"{UPLOAD_PAGE}?task={work.task}")
    work.context.set_offline(True)
    work.send(small(14))
    work.page.locator(".tray-box summary").click()
    expect(work.page.get_by_text("This browser cannot keep these photos")).to_be_visible()
    work.context.set_offline(False)
    ready(work.page, "small 14.jpg")
    work.context.close()


def test_a_browser_without_room_says_so_and_sends_all_the_same(live: LiveSite) -> None:
    work = begin(live)
    room = {"origin": live.service.url, "quotaSize": 500_000}
    session = work.context.new_cdp_session(work.page)
    session.send("Storage.overrideQuotaForOrigin", room)
    throttle(work.page)
    work.send(photo("room.jpg"))
    expect(work.page.get_by_text("This browser cannot keep these photos")).to_be_visible()
    ready(work.page, "room.jpg")
    session.send("Storage.overrideQuotaForOrigin", {"origin": live.service.url})
    work.context.close()


def test_an_upload_that_has_gone_is_begun_anew(live: LiveSite) -> None:
    work = begin(live)
    throttle(work.page)
    work.send(photo("gone.jpg"))
    halfway(work.page)
    upload = next(each for each in live.call("GET", "/uploads")["items"] if each["task"] == work.task)
    answer = live.api.delete(upload["url"], headers={"Tus-Resumable": "1.0.0"})
    assert answer.status_code == 204
    throttle(work.page, -1)
    ready(work.page, "gone.jpg")
    assert work.wire.created == 2
    assert work.sha256s() == {sha256(PHOTO)}
    work.context.close()


def test_a_refused_one_is_tried_again(live: LiveSite) -> None:
    work = begin(live)
    project = live.call("GET", f"/tasks/{work.task}")["project"]["id"]
    live.call("PATCH", f"/projects/{project}", archived=True)
    work.send(small(15))
    expect(work.page.locator(".refused")).to_contain_text("not sent: ")
    live.call("PATCH", f"/projects/{project}", archived=False)
    work.page.get_by_role("button", name="Try again").click()
    ready(work.page, "small 15.jpg")
    work.context.close()


def test_a_project_that_goes_into_the_archive_midway_does_not_hold_up_another(live: LiveSite) -> None:
    work = begin(live)
    other = live.task(live.project("Mill Quarter"), "Paint the gate")
    project = live.call("GET", f"/tasks/{work.task}")["project"]["id"]
    throttle(work.page)
    work.send(photo("midway.jpg"), small(21))
    halfway(work.page)
    live.call("PATCH", f"/projects/{project}", archived=True)
    work.page.goto(f"{UPLOAD_PAGE}?task={other}")
    work.send(small(22))
    throttle(work.page, -1)
    expect(work.page.locator(".tray-sent > li", has_text="small 22.jpg")).to_contain_text("ready", timeout=60_000)
    for name in ("midway.jpg", "small 21.jpg"):
        expect(work.page.locator(".refused", has_text=name)).to_contain_text("not sent: This project is archived")
    assert work.sha256s() == set()
    assert len(live.call("GET", f"/tasks/{other}/photos")["items"]) == 1
    work.context.close()


def test_one_that_the_server_fails_at_makes_way_for_the_next(live: LiveSite) -> None:
    work = begin(live)
    cursed = base64.b64encode(b"cursed.jpg").decode()

    def fail(route: Route) -> None:
        wanted = cursed in route.request.headers.get("upload-metadata", "")
        route.fulfill(status=500, body="Internal Server Error") if wanted else route.continue_()

    work.page.route(re.compile("/uploads$"), fail)
    work.send(photo("cursed.jpg"), small(24), small(25))
    for name in ("small 24.jpg", "small 25.jpg"):
        expect(work.page.locator(".tray-sent > li", has_text=name)).to_contain_text("ready", timeout=60_000)
    expect(work.page.locator(".tray-list > li")).to_contain_text("waiting for the server")
    work.page.unroute_all()
    ready(work.page, "cursed.jpg")
    work.context.close()


def test_a_photo_that_was_deleted_for_good_midway_is_sent_again(live: LiveSite) -> None:
    work = begin(live)
    work.send(photo("purged.jpg"))
    ready(work.page, "purged.jpg")
    (first,) = live.call("GET", f"/tasks/{work.task}/photos")["items"]
    live.call("DELETE", f"/photos/{first['id']}")
    work.page.reload()  # which begins with small pieces again
    throttle(work.page)
    work.send(photo("again.jpg"), small(23))
    halfway(work.page)
    _empty_trash(live, first["id"])
    throttle(work.page, -1)
    ready(work.page, "again.jpg", "small 23.jpg")
    assert work.sha256s() == {sha256(PHOTO), sha256(small(23)["buffer"])}
    assert first["id"] not in {item["id"] for item in live.call("GET", f"/tasks/{work.task}/photos")["items"]}
    work.context.close()


def test_without_scripts_a_form_does_it(live: LiveSite) -> None:
    task = live.task(live.project(), "Plain photos")
    page = live.page(UPLOAD_PAGE, java_script_enabled=False)
    page.get_by_role("searchbox", name="Search the task").fill("plain photos")
    page.get_by_role("button", name="Search").click()
    page.get_by_role("link", name="Plain photos").click()
    page.get_by_label("Photos", exact=True).set_input_files([small(16), NOTES])
    page.get_by_role("button", name="Send").click()
    expect(page.get_by_role("alert")).to_contain_text("1 photo sent, and being prepared. Not taken:")
    assert len(live.call("GET", f"/tasks/{task}/photos")["items"]) == 1
    page.context.close()


@pytest.mark.parametrize(("width", "dark"), VIEWS)
def test_axe_finds_nothing_in_the_open_tray(live: LiveSite, width: int, dark: bool) -> None:
    work = begin(live, width=width, height=800, dark=dark)
    work.send(NOTES, small(20 + width + dark))
    expect(work.page.locator(".tray-sent > li", has_text=f"small {20 + width + dark}.jpg")).to_be_visible()
    expect(work.page.locator(".refused")).to_be_visible()
    work.context.set_offline(True)
    work.page.evaluate("document.querySelector('#tray input[type=file]').removeAttribute('data-task')")
    work.send(small(19))
    work.page.locator("#tray input[type=file]").set_input_files([small(18)])
    said(work.page, "1 without a task")
    assert faults(work.page) == []
    work.context.close()


def _empty_trash(site: LiveSite, photo_id: str) -> None:
    """Have a photo that was deleted go for good, as a week later."""
    import_models()
    database = Database(f"sqlite:///{site.service.data / 'tailrace.db'}", record=record)
    with database.write() as session:
        session.get_one(Photo, photo_id).deleted_at = utcnow() - timedelta(days=8)
        enqueue(session, keep_photos, {})
    wait_for(lambda: site.api.get(f"/photos/{photo_id}").status_code == 404)
    database.dispose()


def _signed_in(context: BrowserContext, address: str) -> Page:
    """Return a page of somebody who has just signed in, instead of whoever was."""
    context.clear_cookies()
    page = context.new_page()
    page.goto("/sign-in")
    page.get_by_label("E-mail address").fill(address)
    page.get_by_label("Password").fill(PASSWORD)
    page.get_by_role("button", name="Sign in").click()
    connected(page)
    return page


def _drop(page: Page, folder: Path, file: FilePayload) -> None:
    """Drop a file on a page, as a person does: the browser itself gives it to what lies there."""
    path = folder / file["name"]
    path.write_bytes(file["buffer"])
    session = page.context.new_cdp_session(page)
    data = {"items": [], "files": [str(path)], "dragOperationsMask": 1}
    for kind in ("dragEnter", "dragOver", "drop"):
        session.send("Input.dispatchDragEvent", {"type": kind, "x": 500, "y": 300, "data": data})
        if kind == "dragEnter":
            expect(page.locator(".tray-drop")).to_be_visible()
    expect(page.locator(".tray-drop")).to_be_hidden()
    expect(page.locator("#tray")).to_contain_text(file["name"])
