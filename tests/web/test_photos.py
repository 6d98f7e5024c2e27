import json
import re
from datetime import UTC, datetime, timedelta
from pathlib import Path
from typing import Any

import pytest

from tailrace.photos.models import Photo
from tailrace.photos.routes import router
from tailrace.photos.settings import PhotoSettings
from tailrace.storage import LocalStorage
from tailrace.web.photo_chunks import SIZE
from tests.features import Person, Site, ok
from tests.photos.conftest import Album
from tests.web.browsing import Browser, visible

BLUR = "1QcSHQRnh493V4dIh4eXh1h4kJUI"
NOON = datetime(2026, 5, 4, 12, tzinfo=UTC)


class Wall(Album):
    """An album whose people look at it with a browser, too."""

    @property
    def grid(self) -> str:
        return f"/web/projects/{self.project_id}/photos"

    @property
    def task(self) -> str:
        return f"/web/tasks/{self.task_id}"

    def hang(self, number: int, moment: datetime = NOON, *, who: Person | None = None, **known: Any) -> str:
        """Add a photo that is ready, taken at a moment, and return its id."""
        photo_id = self.add(who or self.bob, str(number).encode(), name=f"IMG_{number}.jpg", **known).id
        self.finish(photo_id, shown_at=moment, placeholder=BLUR)
        return photo_id

    def place(self, count: int, moments: Any) -> None:
        """Add many photos as rows alone."""
        with self.database.write() as session:
            session.add_all(
                Photo(
                    id=f"{number:032x}", project_id=self.project_id, task_id=self.task_id, user_id=self.bob.id,
                    name="a.jpg", format="jpeg", media_type="image/jpeg", width=4, height=3, frames=1, bytes=1,
                    sha256=f"{number:064x}", state="ready", shown_at=moments(number),
                )
                for number in range(count)
            )  # fmt: skip


@pytest.fixture
def wall(ada: Browser, site: Site, tmp_path: Path) -> Wall:
    storage, settings = LocalStorage(tmp_path / "files"), PhotoSettings()
    site.app.state.storage, site.app.state.photos = storage, settings
    # Before the pages, of which the last takes every address that is left below /web/.
    site.app.include_router(router)
    ada.sent("/web/account", name="Ada", time_zone="Europe/Zurich")
    people = {name: site.person(name.title()) for name in ("bob", "vic")}
    project = int(ada.sent("/web/projects", name="Mill Quarter").rpartition("/")[2])
    for name, role in (("bob", "member"), ("vic", "viewer")):
        ada.sent(f"/web/projects/{project}/members", email=people[name].email, role=role)
    made = ada.client.post(f"/projects/{project}/tasks", json={"title": "Paint the gate"})
    return Wall(site, storage, settings, people, project, int(ok(made, 201)["id"]))


@pytest.fixture
def vic(wall: Wall) -> Browser:
    """Give the browser of somebody who may only look, by a token: its forms carry none, for there is no cookie."""
    return Browser(wall.vic.client)


def tiles(text: str) -> list[str]:
    return re.findall(r'<li class="tile" id="photo-(\w+)"', text)


def test_without_photos_the_page_says_where_they_come_from(ada: Browser, wall: Wall) -> None:
    text = ada.text(wall.grid)
    assert "Photos belong to a task" in text
    assert 'aria-current="page"' in text.partition("Photos</a>")[0]
    assert "None yet." in ada.text(wall.task)


def test_photos_stand_under_the_day_of_the_reader(ada: Browser, wall: Wall) -> None:
    late, early = wall.hang(1, NOON.replace(hour=22, minute=30)), wall.hang(2, NOON.replace(hour=21))
    text = ada.text(wall.grid)
    assert tiles(text) == [late, early]
    assert re.findall(r'title="(\w+, \d+ May 2026)"', text) == ["Tuesday, 5 May 2026", "Monday, 4 May 2026"]
    assert text.count('src="data:image/png;base64,') == 2
    assert f'src="/photos/{late}/thumb"' in text
    assert 'loading="lazy"' in text
    assert f'srcset="/photos/{late}/thumb 256w, /photos/{late}/small 1024w" sizes="auto, 11rem"' in text


def test_what_is_not_ready_says_so_and_what_failed_says_why(ada: Browser, wall: Wall) -> None:
    waiting, failed = wall.add(wall.bob, b"1").id, wall.add(wall.bob, b"2").id
    wall.fail(failed, "This JPEG is <cut> off.")
    for address in (wall.grid, wall.task):
        text = visible(ada.text(address))
        assert "Waiting" in text
        assert "This JPEG is <cut> off. Try again" in text
    assert "Waiting for its turn" in ada.text(f"/web/photos/{waiting}")
    assert ada.sent(f"/web/photos/{failed}/retry") == f"/web/photos/{failed}"
    assert ok(ada.get(f"/photos/{failed}"))["state"] == "uploaded"
    assert ada.send(f"/web/photos/{failed}/retry").status_code == 409


def walk(ada: Browser, address: str) -> list[list[str]]:
    """Return the photos of each page, following the link to older ones."""
    pages = []
    while address:
        text = ada.text(address)
        pages.append(tiles(text))
        found = re.search(r'<a class="button quiet" href="([^"]+)">Older photos', text)
        address = found[1].replace("&amp;", "&") if found else ""
    return pages


def test_a_grid_is_walked_to_its_end_in_whole_days_or_full_chunks(ada: Browser, wall: Wall) -> None:
    # Forty a day, then two hundred on one day: whole days where they are short, and sixty at a time where one is long.
    wall.place(320, lambda number: NOON - timedelta(days=min(number // 40, 3), seconds=number))
    pages = walk(ada, wall.grid)
    assert [photo for page in pages for photo in page] == [f"{number:032x}" for number in range(320)]
    assert [len(page) for page in pages] == [40, 40, 40, 60, 60, 60, 20]
    assert walk(ada, f"{wall.grid}?task={wall.task_id}") == pages


def test_a_chunk_keeps_its_bounds_and_is_divided_when_much_has_come_into_it(ada: Browser, wall: Wall) -> None:
    part = {"HX-Request": "true"}
    wall.place(130, lambda number: NOON - timedelta(seconds=number))
    found = re.search(r'hx-get="([^"]+until[^"]+)"', ada.text(wall.grid))
    assert found is not None
    address = found[1].replace("&amp;", "&")
    text = ada.text(address, headers=part)
    assert "<html" not in text
    assert len(tiles(text)) == SIZE
    assert text.count('class="chunk"') == 1, "what follows is there already"
    for number in range(1000, 1059):
        wall.hang(number, NOON + timedelta(seconds=number))
    text = ada.text(address, headers=part)
    assert (len(tiles(text)), text.count('class="chunk"')) == (SIZE + 59, 1)
    wall.hang(1060, NOON + timedelta(seconds=1060))
    text = ada.text(address, headers=part)
    assert (len(tiles(text)), text.count('class="chunk"')) == (SIZE, 2)
    rest = re.findall(r'hx-get="([^"]+)"', text)[-1].replace("&amp;", "&")
    assert len(tiles(ada.text(rest, headers=part))) == SIZE
    assert "Older photos" not in ada.text(rest, headers=part)


def test_a_grid_begins_with_the_day_that_is_asked_for(ada: Browser, wall: Wall) -> None:
    ids = [wall.hang(number, NOON - timedelta(days=number)) for number in range(4)]
    assert tiles(ada.text(f"{wall.grid}?at=2026-05-03")) == ids[1:]
    assert "Newest" in ada.text(f"{wall.grid}?at=2026-05-03")
    assert tiles(ada.text(f"{wall.grid}?at=nonsense")) == ids
    assert "No photo is that old" in ada.text(f"{wall.grid}?at=0001-01-01")
    assert tiles(ada.text(f"{wall.grid}?at=9999-12-31")) == ids
    assert ada.get(f"{wall.grid}?after=nonsense").status_code == 422
    assert ada.get(f"{wall.grid}?after={'x' * 201}").status_code == 404


def test_one_photo_shows_what_is_known_and_leads_on(ada: Browser, wall: Wall) -> None:
    newer, here, older = (
        wall.hang(number, NOON - timedelta(hours=number), caption=f"No {number} <b>") for number in range(3)
    )
    text = ada.text(f"/web/photos/{here}")
    assert f'<a class="stage-button newer" rel="prev" href="/web/photos/{newer}"' in text
    assert f'<a class="stage-button older" rel="next" href="/web/photos/{older}"' in text
    assert 'alt="No 1 &lt;b&gt;"' in text
    assert f'srcset="/photos/{here}/small 1024w, /photos/{here}/large 2048w"' in text
    words = visible(text)
    for known in ("4,000 × 3,000, JPEG", "by Bob", "Paint the gate", "Mill Quarter", "Taken Unknown"):
        assert known in words
    within = ada.text(f"/web/photos/{here}?in=task")
    assert f'href="{wall.task}" data-closes' in within
    assert f'href="/web/photos/{older}?in=task"' in within


@pytest.mark.parametrize(
    ("taken", "shown"),
    [("2026-05-04T03:02:01", "4 May 2026, 03:02"), ("2026-05-04T03:02:01+05:30", "4 May 2026, 03:02 (UTC+05:30)")],
)
def test_the_clock_of_the_camera_is_told_as_it_was(ada: Browser, wall: Wall, taken: str, shown: str) -> None:
    photo_id = wall.hang(1)
    with wall.database.write() as session:
        session.get_one(Photo, photo_id).taken_at = taken
    assert f"<dd>{shown}</dd>" in ada.text(f"/web/photos/{photo_id}")


def test_a_caption_is_written_in_its_place(ada: Browser, wall: Wall) -> None:
    photo_id = wall.hang(1)
    address = f"/web/photos/{photo_id}"
    assert ada.sent(f"{address}/caption", caption="The gate") == address
    assert "The gate" in ada.text(wall.task)
    answer = ada.send(f"{address}/caption?in=task", by_htmx=True, caption="The gate, painted")
    assert answer.text.startswith("<title>The gate, painted · Tailrace</title><article")
    assert ok(ada.get(f"/photos/{photo_id}"))["caption"] == "The gate, painted"
    refused = ada.send(f"{address}/caption", caption="x" * 2001)
    assert refused.status_code == 422
    assert 'id="caption-fault"' in refused.text
    assert "x" * 2001 in refused.text


def test_a_caption_that_somebody_else_wrote_meanwhile_is_not_lost(ada: Browser, wall: Wall) -> None:
    photo_id = wall.hang(1)
    address = f"/web/photos/{photo_id}/caption"
    ada.sent(address, seen="", caption="The gate, by Ben")
    refused = ada.send(address, seen="", caption="The gate, by Ada")
    assert refused.status_code == 409
    assert "Somebody else wrote “The gate, by Ben” meanwhile." in visible(refused.text)
    assert "The gate, by Ada</textarea>" in refused.text
    assert 'name="seen" value="The gate, by Ben"' in refused.text
    ada.sent(address, seen="", caption="")
    assert ok(ada.get(f"/photos/{photo_id}"))["caption"] == "The gate, by Ben", "who typed nothing takes nothing back"
    ada.sent(address, seen="The gate, by Ben", caption="Both gates")
    assert ok(ada.get(f"/photos/{photo_id}"))["caption"] == "Both gates"


def test_a_deleted_photo_can_be_taken_back_from_the_message_and_from_the_trash(ada: Browser, wall: Wall) -> None:
    first, second = wall.hang(1), wall.hang(2)
    answer = ada.send(f"/web/photos/{first}/delete", by_htmx=True)
    said = json.loads(answer.headers["hx-trigger"])
    assert (answer.status_code, said["photo-gone"]) == (204, first)
    assert said["say"] == {"text": "“IMG_1.jpg” is deleted.", "undo": f"/web/photos/{first}/restore"}
    gone = ada.get(f"/web/photos/{first}")
    assert gone.status_code == 410
    assert "in the project&#39;s trash" in gone.text
    assert ada.sent(f"/web/photos/{second}/delete?in=task") == wall.task
    assert "For 7 days" in ada.text(wall.task)
    trash = ada.text(f"{wall.grid}?trash=1")
    assert "IMG_1.jpg" in trash
    assert "7 days left" in trash
    assert ada.send(f"/web/photos/{first}/restore", by_htmx=True).status_code == 204
    assert ada.sent(f"/web/photos/{second}/restore") == f"/web/photos/{second}"
    assert sorted(tiles(ada.text(wall.grid))) == sorted([first, second])
    assert "Nothing is in the trash" in ada.text(f"{wall.grid}?trash=1")


def test_a_pair_is_made_and_dissolved(ada: Browser, wall: Wall) -> None:
    before, after, third = (wall.hang(number) for number in range(3))
    pairs = f"{wall.task}/pairs"
    assert 'type="radio" name="before"' in ada.text(wall.task)
    assert ada.send(pairs, before=before).status_code == 422
    assert ada.send(pairs, before="x", after=after).status_code == 422
    assert ada.send(pairs, before=before, after=before).status_code == 422
    assert ada.sent(pairs, before=before, after=after) == f"{wall.task}#photos"
    text = ada.text(wall.task)
    assert f'id="pair-{before}"' in text
    assert 'type="radio"' not in text, "one photo alone makes no pair"
    assert f'id="photo-{third}"' in text
    assert "After the work" in ada.text(f"/web/photos/{before}")
    assert f'href="/web/photos/{before}?in=task"' in ada.text(f"/web/photos/{after}?in=task")
    assert ada.sent(f"/web/photos/{before}/unpair?in=task") == f"/web/photos/{before}?in=task"
    answer = ada.send(pairs, by_htmx=True, before=after, after=before)
    assert f'id="pair-{after}"' in answer.text


def test_who_may_only_look_is_offered_nothing_else(vic: Browser, wall: Wall) -> None:
    photo_id = wall.hang(1, caption="The gate")
    wall.fail(wall.add(wall.bob, b"broken").id)
    for address in (wall.grid, wall.task, f"/web/photos/{photo_id}"):
        text = vic.text(address).partition("<main")[2]
        assert "The gate" in text
        shown = text.partition("</main>")[0]
        assert 'method="post"' not in shown
        assert "data-uploads" not in shown
    answer = vic.client.post(f"/web/photos/{photo_id}/delete", data={})
    assert answer.status_code == 403
    assert vic.get("/web/photos/nothing").status_code == 404


def test_a_task_shows_its_newest_photos_and_leads_to_all(ada: Browser, wall: Wall) -> None:
    wall.place(61, lambda number: NOON - timedelta(seconds=number))
    text = ada.text(wall.task)
    assert text.count('class="task-photo"') == 60
    assert f'href="{wall.grid}?task={wall.task_id}"' in text
    part = ada.text(f"{wall.task}/photos", headers={"HX-Request": "true"})
    assert part.startswith('<section id="photos"')


def test_a_photo_in_no_task_is_shown_to_whose_it_is(wall: Wall, vic: Browser) -> None:
    photo_id = wall.add(wall.vic, b"mine", task_id=None).id
    text = vic.text(f"/web/photos/{photo_id}")
    assert f'data-channel="user:{wall.vic.id}"' in text
    assert 'href="/web/photos" data-closes' in text
    assert tiles(vic.text("/web/photos")) == [photo_id]
    assert f'data-channel="user:{wall.vic.id}"' in vic.text("/web/photos")
    ok(wall.vic.client.delete(f"/photos/{photo_id}"), 204)
    assert f"/web/photos/{photo_id}/restore" in vic.text("/web/photos?trash=1")


def test_without_photos_of_one_s_own_the_page_leads_to_adding_some(ada: Browser, wall: Wall) -> None:
    wall.hang(1)
    text = ada.text("/web/photos")
    assert tiles(text) == []
    assert 'href="/web/photos/upload"' in text
