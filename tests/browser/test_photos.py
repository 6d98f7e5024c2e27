"""Photos as people see them: live, by keyboard and by finger, two thousand as smoothly as two."""

import re
import time
from collections.abc import Iterator
from datetime import datetime, timedelta
from typing import Any

import pytest
from playwright.sync_api import Locator, Page, expect
from sqlalchemy import insert, select

from tailrace.database import Database, new_id, utcnow
from tailrace.photos.models import Photo, PhotoRendition
from tests.browser.pictures import hang, picture
from tests.browser.site import PASSWORD, LiveSite, connected
from tests.browser.test_accessibility import faults
from tests.conftest import import_models

MANY = 2000
#: What one screen and what is near it may hold: about a tenth of them all.
HELD = 360
AT_THE_END = """innerHeight + scrollY >= document.documentElement.scrollHeight - 2
    && !document.querySelector('.older')"""


@pytest.fixture(scope="module")
def album(live: LiveSite) -> dict[str, Any]:
    """Give a task with three photos of three days."""
    project = live.project("Album")
    task = live.task(project, "Look at it")
    ids = hang(live, task, *(picture(number, (640, 480), days_ago=number) for number in range(3)))
    return {"project": project, "task": task, "ids": ids, "grid": f"/web/projects/{project}/photos"}


def large(page: Page) -> Locator:
    return page.locator("#viewer #photo")


def seen(page: Page, photo_id: str) -> None:
    """Wait until this photo is shown large, and until its picture is there."""
    expect(large(page)).to_have_attribute("data-photo-id", photo_id)
    until(page, "document.querySelector('#viewer img.large')?.naturalWidth > 0")


def until(page: Page, condition: str) -> None:
    """Wait until a condition in JavaScript holds; the pages' policy forbids Playwright's own way, which is `eval`."""
    deadline = time.monotonic() + 20
    while not page.evaluate(condition):
        assert time.monotonic() < deadline, condition
        page.wait_for_timeout(30)


def test_the_trays_tasks_stand_one_below_the_other_beside_photos_too(live: LiveSite, album: dict[str, Any]) -> None:
    page = live.page(album["grid"])
    display = page.locator(".tray-place .choices").evaluate("list => getComputedStyle(list).display")
    assert display == "block"
    page.context.close()


def test_a_grid_fills_while_photos_become_ready(live: LiveSite) -> None:
    project = live.project("Fills")
    task = live.task(project, "Photograph it")
    page = live.page(f"/web/projects/{project}/photos")
    expect(page.get_by_role("heading", name="No photo yet")).to_be_visible()
    connected(page)
    whole = picture(7, (640, 480))
    hang(live, task, whole, picture(8, (640, 480), days_ago=1), whole[: len(whole) // 2] + b"\xff\xd9")
    expect(page.locator(".tile img[src$=thumb]")).to_have_count(2)
    expect(page.get_by_role("heading", name="4 May")).to_be_visible()
    broken = page.locator(".tile", has=page.get_by_role("button", name="Try again"))
    expect(broken).to_contain_text("cut off")
    until(page, "[...document.querySelectorAll('.tile img')].every((image) => image.naturalWidth > 0)")
    live.call("DELETE", f"/tasks/{task}")
    expect(page.get_by_role("heading", name="No photo yet")).to_be_visible()
    page.context.close()


def test_one_photo_opens_in_place_and_is_left_by_the_keyboard(live: LiveSite, album: dict[str, Any]) -> None:
    first, second, third = album["ids"]
    page = live.page(album["grid"])
    page.keyboard.press("j")
    expect(page.locator(f"#photo-{first} a")).to_be_focused()
    page.keyboard.press("Enter")
    seen(page, first)
    assert page.url.endswith(f"/web/photos/{first}")
    page.keyboard.press("ArrowRight")
    seen(page, second)
    page.keyboard.press("ArrowRight")
    seen(page, third)
    page.keyboard.press("ArrowLeft")
    seen(page, second)
    page.keyboard.press("?")
    expect(page.locator("#keys")).to_contain_text("Edit the caption")
    expect(page.locator("#keys")).not_to_contain_text("Go to a day")
    page.keyboard.press("Escape")
    expect(page.locator("#keys")).to_be_hidden()
    page.keyboard.press("Escape")
    expect(large(page)).to_have_count(0)
    assert page.url.endswith(album["grid"])
    expect(page.locator(f"#photo-{second} a")).to_be_focused()
    page.context.close()


def test_the_address_of_a_photo_is_a_page_too(live: LiveSite, album: dict[str, Any]) -> None:
    first, second, _ = album["ids"]
    page = live.page(album["grid"])
    page.locator(f"#photo-{second} a").click()
    seen(page, second)
    page.go_back()
    expect(large(page)).to_have_count(0)
    page.go_forward()
    seen(page, second)
    page.reload()
    seen(page, second)
    page.keyboard.press("ArrowLeft")
    seen(page, first)
    page.keyboard.press("Escape")
    expect(page.get_by_role("heading", name="Album")).to_be_visible()
    page.context.close()


def test_a_finger_goes_on_and_back(live: LiveSite, album: dict[str, Any]) -> None:
    first, second, _ = album["ids"]
    page = live.page(album["grid"], width=360, height=740, has_touch=True)
    page.locator(f"#photo-{first} a").tap()
    seen(page, first)
    swipe(page, 300, 80)
    seen(page, second)
    swipe(page, 80, 300)
    seen(page, first)
    page.context.close()


def swipe(page: Page, start: int, end: int) -> None:
    """Draw a finger over the photo."""
    session = page.context.new_cdp_session(page)
    steps = [start + (end - start) * step // 5 for step in range(6)]
    for name, places in (("touchStart", steps[:1]), ("touchMove", steps[1:])):
        for x in places:
            session.send("Input.dispatchTouchEvent", {"type": name, "touchPoints": [{"x": x, "y": 200}]})
    session.send("Input.dispatchTouchEvent", {"type": "touchEnd", "touchPoints": []})
    session.detach()


def test_a_caption_is_seen_in_another_window(live: LiveSite, album: dict[str, Any]) -> None:
    first = album["ids"][0]
    here, there = live.page(album["grid"]), live.page(f"/web/photos/{first}")
    elsewhere = live.page(f"/web/tasks/{album['task']}")
    for page in (there, elsewhere):
        connected(page)
    here.locator(f"#photo-{first} a").click()
    seen(here, first)
    here.keyboard.press("e")
    expect(here.get_by_label("Caption")).to_be_focused()
    here.keyboard.type("thrown away")
    here.keyboard.press("Escape")
    expect(here.get_by_label("Caption")).to_have_value("")
    here.keyboard.press("e")
    here.keyboard.type("The new valve")
    here.keyboard.press("Control+Enter")
    for page in (here, there):
        expect(page).to_have_title("The new valve · Tailrace")
    expect(there.get_by_label("Caption")).to_have_value("The new valve")
    expect(elsewhere.locator(f"#photo-{first}")).to_contain_text("The new valve")
    for page in (here, there, elsewhere):
        page.context.close()


@pytest.mark.parametrize(("density", "name"), [(1, "thumb"), (2, "small")])
def test_a_dense_screen_is_given_sharper_pictures(
    live: LiveSite, album: dict[str, Any], density: int, name: str
) -> None:
    page = live.page(album["grid"], device_scale_factor=density)
    until(page, f"document.querySelector('.tile img:not(.blur)')?.currentSrc.endsWith('/{name}')")
    page.context.close()


@pytest.mark.parametrize(("width", "dark"), [(360, True), (1440, False)])
def test_axe_finds_nothing_while_one_photo_is_over_the_page(live: LiveSite, width: int, dark: bool) -> None:
    task = live.task(live.project(f"Axe {width}"), "Look at it")
    ids = hang(live, task, *(picture(number, (640, 480)) for number in (5, 6)))
    page = live.page(f"/web/tasks/{task}", width=width, dark=dark)
    page.locator(f"#photo-{ids[0]} a").click()
    seen(page, ids[0])
    page.keyboard.press("Delete")
    expect(page.get_by_role("button", name="Undo")).to_be_visible()
    seen(page, ids[1])
    assert faults(page) == []
    page.context.close()


def test_what_was_deleted_is_taken_back_at_once(live: LiveSite) -> None:
    project = live.project("Undo")
    ids = hang(live, live.task(project, "Tidy up"), *(picture(number, (640, 480)) for number in (11, 12)))
    page = live.page(f"/web/projects/{project}/photos")
    connected(page)
    page.locator(f"#photo-{ids[0]} a").click()
    seen(page, ids[0])
    page.keyboard.press("Delete")
    seen(page, ids[1])
    page.keyboard.press("z")
    expect(page.get_by_text("is back")).to_be_visible()
    expect(page.get_by_role("link", name="Newer photo")).to_be_visible()
    page.keyboard.press("ArrowLeft")
    seen(page, ids[0])
    page.keyboard.press("Delete")
    seen(page, ids[1])
    page.keyboard.press("Escape")
    expect(page.locator(".tile")).to_have_count(1)
    page.keyboard.press("z")
    expect(page.locator(".tile")).to_have_count(2)
    page.context.close()


def test_what_has_just_come_answers_at_once(live: LiveSite) -> None:
    """A key that is pressed in the moment in which a part comes goes through the script, not around it."""
    project = live.project("Quick")
    ids = hang(live, live.task(project, "Tidy up"), *(picture(number, (640, 480)) for number in (15, 16)))
    page = live.page(f"/web/projects/{project}/photos")
    connected(page)
    page.evaluate("""() => {
      window.neverReloaded = true
      const deletes = () => document.querySelector('#viewer [data-key=Delete]')
      const watch = new MutationObserver(() => deletes() && (watch.disconnect(), deletes().click()))
      watch.observe(document.getElementById('viewer'), { childList: true, subtree: true })
    }""")
    page.locator(f"#photo-{ids[0]} a").click()
    seen(page, ids[1])
    assert page.evaluate("window.neverReloaded")
    page.context.close()


@pytest.fixture
def far_away(live: LiveSite) -> Iterator[tuple[Page, list[str]]]:
    """Give a photo shown large, on a slow line, and the ids of it and of three older ones."""
    project = live.project("Far away")
    ids = hang(live, live.task(project, "Tidy up"), *(picture(number, (640, 480)) for number in range(20, 24)))
    page = live.page(f"/web/projects/{project}/photos")
    connected(page)
    page.locator(f"#photo-{ids[0]} a").click()
    seen(page, ids[0])
    line = page.context.new_cdp_session(page)
    conditions = {"offline": False, "latency": 200, "downloadThroughput": -1, "uploadThroughput": -1}
    line.send("Network.emulateNetworkConditions", conditions)
    yield page, ids
    page.context.close()


def state(live: LiveSite, photo_id: str) -> int:
    return live.api.get(f"/photos/{photo_id}").status_code


def test_keys_that_are_quicker_than_the_line_mean_what_one_would_see(
    live: LiveSite, far_away: tuple[Page, list[str]]
) -> None:
    page, ids = far_away
    for key in ("ArrowRight", "Delete", "ArrowRight"):
        page.keyboard.press(key)
    seen(page, ids[3])
    expect(page.get_by_role("button", name="Undo")).to_be_visible()
    assert [state(live, photo_id) for photo_id in ids] == [200, 410, 200, 200]


def test_undo_takes_back_what_was_done_last(live: LiveSite, far_away: tuple[Page, list[str]]) -> None:
    page, ids = far_away
    for key in ("Delete", "Delete", "z"):
        page.keyboard.press(key)
    seen(page, ids[2])
    expect(page.get_by_text("is back")).to_be_visible()
    assert [state(live, photo_id) for photo_id in ids] == [410, 200, 200, 200]


def test_who_leaves_at_once_is_told_what_was_deleted_all_the_same(
    live: LiveSite, far_away: tuple[Page, list[str]]
) -> None:
    page, ids = far_away
    page.keyboard.press("Delete")
    page.keyboard.press("Escape")
    expect(page.get_by_role("button", name="Undo")).to_be_visible()
    expect(page.locator("#viewer")).to_be_hidden()
    expect(page.locator(".tile")).to_have_count(3)
    page.keyboard.press("z")
    expect(page.locator(".tile")).to_have_count(4)
    assert [state(live, photo_id) for photo_id in ids] == [200] * 4


def test_a_photo_is_left_while_the_next_one_comes(live: LiveSite, far_away: tuple[Page, list[str]]) -> None:
    page, ids = far_away
    page.keyboard.press("ArrowRight")
    page.keyboard.press("Delete")
    page.keyboard.press("Escape")
    # What comes now comes too late: that is looked for once it must have come.
    page.wait_for_timeout(1000)
    expect(page.locator("#viewer")).to_be_hidden()
    expect(page.locator("#viewer #photo")).to_have_count(0)
    assert [state(live, photo_id) for photo_id in ids] == [200] * 4


def test_what_was_deleted_in_a_task_waits_in_the_trash(live: LiveSite) -> None:
    project = live.project("Thrown away")
    task = live.task(project, "Tidy up")
    ids = hang(live, task, *(picture(number, (640, 480)) for number in (13, 14)))
    page = live.page(f"/web/tasks/{task}")
    connected(page)
    page.locator(f"#photo-{ids[1]}").hover()
    page.locator(f"#photo-{ids[1]}").get_by_role("button", name="Delete").click()
    expect(page.locator(".task-photo")).to_have_count(1)
    page.goto(f"/web/projects/{project}/photos")
    page.get_by_role("link", name="Trash").click()
    page.get_by_role("button", name="Restore").click()
    expect(page.locator("#photo")).to_have_attribute("data-photo-id", ids[1])
    page.context.close()


def test_a_pair_is_made_by_keyboard_and_seen_elsewhere(live: LiveSite, album: dict[str, Any]) -> None:
    here, there = live.page(f"/web/tasks/{album['task']}"), live.page(f"/web/tasks/{album['task']}")
    connected(there)
    here.locator("#pairing summary").focus()
    here.keyboard.press("Enter")
    here.keyboard.press("Tab")
    here.keyboard.press("Space")
    here.keyboard.press("Tab")
    here.keyboard.press("Space")
    here.keyboard.press("ArrowRight")
    here.get_by_role("button", name="Make them a pair").focus()
    here.keyboard.press("Enter")
    expect(there.locator(".photo-pair .task-photo")).to_have_count(2)
    expect(there.locator(f"#pair-{album['ids'][0]}")).to_contain_text("Before")
    there.get_by_role("button", name="Dissolve the pair").click()
    expect(here.locator(".photo-pair")).to_have_count(0)
    here.context.close()
    there.context.close()


def add_rows(live: LiveSite, project: int, task: int, like: str, *, count: int = MANY) -> None:
    """Add photos as rows alone, which all have the files of one that is real."""
    import_models()
    database = Database(f"sqlite:///{live.service.data / 'tailrace.db'}")
    with database.write() as session:
        model = values(session.get_one(Photo, like))
        files = [values(row) for row in session.scalars(select(PhotoRendition).where(PhotoRendition.photo_id == like))]
        ids = [new_id() for _ in range(count)]
        rows = [
            model
            | {
                "id": photo_id,
                "project_id": project,
                "task_id": task,
                "sha256": photo_id * 2,
                "shown_at": moment(number),
            }
            for number, photo_id in enumerate(ids)
        ]
        session.execute(insert(Photo), rows)
        session.execute(insert(PhotoRendition), [each | {"photo_id": photo_id} for photo_id in ids for each in files])
    database.dispose()


def values(row: Any) -> dict[str, Any]:
    return {column.key: getattr(row, column.key) for column in type(row).__mapper__.column_attrs}


def moment(number: int) -> datetime:
    """Return the moment of a photo: a hundred days of some, and one of many."""
    return utcnow() - timedelta(days=min(number // 10, 100), seconds=number)


def test_of_two_thousand_photos_the_page_holds_those_near_the_window(live: LiveSite, album: dict[str, Any]) -> None:
    project = live.project("Many")
    add_rows(live, project, live.task(project, "Many"), album["ids"][0])
    page = live.page(f"/web/projects/{project}/photos")
    newest = page.locator(".tile").first.get_attribute("id")
    held, deadline = 0, time.monotonic() + 120
    while not page.evaluate(AT_THE_END):
        assert time.monotonic() < deadline, "the grid has no end"
        page.evaluate("scrollBy(0, 2000)")
        page.wait_for_timeout(50)
        until(page, "document.querySelectorAll('.htmx-request').length === 0")
        held = max(held, page.locator(".tile").count())
    assert 0 < held <= HELD
    assert page.locator(".tile").count() < HELD
    assert page.evaluate("document.querySelectorAll('*').length") < 12 * HELD
    assert page.evaluate("new Set([...document.querySelectorAll('[id]')].map(({ id }) => id)).size") == (
        page.locator("[id]").count()
    )
    # The last one is there, and its picture too.
    until(page, "[...document.querySelectorAll('.tile img')].at(-1).naturalWidth > 0")
    page.evaluate("scrollTo(0, 0)")
    expect(page.locator(".tile").first).to_have_attribute("id", str(newest))
    assert page.locator(".tile").count() <= HELD
    page.context.close()


def test_without_scripts_one_walks_by_links(live: LiveSite, album: dict[str, Any]) -> None:
    page = live.page(album["grid"], java_script_enabled=False)
    page.locator(f"#photo-{album['ids'][2]} a").click()
    expect(page.locator("#photo")).to_have_attribute("data-photo-id", album["ids"][2])
    page.get_by_role("link", name="Newer photo").click()
    page.get_by_label("Caption").fill("Written plainly")
    page.get_by_role("button", name="Save").click()
    expect(page.get_by_label("Caption")).to_have_value("Written plainly")
    page.get_by_role("button", name="Delete").click()
    expect(page.get_by_text("For 7 days")).to_be_visible()
    page.get_by_role("link", name="Trash").click()
    page.get_by_role("button", name="Restore").click()
    expect(page.get_by_label("Caption")).to_have_value("Written plainly")
    page.context.close()


def test_a_chunk_that_could_not_be_had_is_asked_for_again(live: LiveSite, album: dict[str, Any]) -> None:
    project = live.project("Again")
    add_rows(live, project, live.task(project, "Again"), album["ids"][0], count=100)
    context = live.context()
    context.route(re.compile("after="), lambda route: route.abort(), times=1)
    page = context.new_page()
    page.goto(f"/web/projects/{project}/photos")
    expect(page.get_by_text("The service does not answer")).to_be_visible()
    expect(page.locator(".tile")).to_have_count(100)
    context.close()


def test_what_the_browser_keeps_of_a_photo_is_not_for_who_signs_in_next(live: LiveSite, album: dict[str, Any]) -> None:
    page = live.page(album["grid"])
    status = f"fetch('/photos/{album['ids'][0]}/thumb').then(answer => answer.status)"
    assert page.evaluate(status) == 200
    live.service.create_user("stranger@example.org")
    with live.service.client() as client:
        answer = client.post("/session", json={"email": "stranger@example.org", "password": PASSWORD})
    page.context.add_cookies(
        [{"name": "tailrace_session", "value": answer.cookies["tailrace_session"], "url": live.service.url}]
    )
    assert page.evaluate(status) == 404
    page.context.close()
