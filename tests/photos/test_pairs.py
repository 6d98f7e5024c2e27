"""Two photos of one task can be a pair: before and after the work."""

from concurrent.futures import ThreadPoolExecutor
from threading import Barrier
from typing import Any

from tests.features import ok, refused
from tests.photos.conftest import Album


def pair(album: Album, photo_id: str, **other: str) -> Any:
    return album.bob.client.put(f"/photos/{photo_id}/pair", json=other)


def pair_of(album: Album, photo_id: str) -> Any:
    return ok(album.vic.client.get(f"/photos/{photo_id}"))["pair"]


def three(album: Album) -> tuple[str, str, str]:
    first, second, third = (album.add(album.bob, data).id for data in (b"1", b"2", b"3"))
    return first, second, third


def test_a_pair_is_seen_from_both_sides_and_in_lists(album: Album) -> None:
    before, after, alone = three(album)
    expected = {"before": before, "after": after}
    assert ok(pair(album, before, after=after))["pair"] == expected
    assert [pair_of(album, photo_id) for photo_id in (before, after, alone)] == [expected, expected, None]
    items = ok(album.vic.client.get(f"/tasks/{album.task_id}/photos"))["items"]
    assert {item["id"]: item["pair"] for item in items} == {before: expected, after: expected, alone: None}
    assert album.events()[-1].name == "photo.changed"


def test_either_side_can_be_named(album: Album) -> None:
    before, after, _ = three(album)
    assert ok(pair(album, after, before=before))["pair"] == {"before": before, "after": after}


def test_another_pair_takes_the_place_of_the_first(album: Album) -> None:
    first, second, third = three(album)
    ok(pair(album, first, after=second))
    assert ok(pair(album, first, after=third))["pair"] == {"before": first, "after": third}
    assert pair_of(album, second) is None
    assert ok(pair(album, third, after=first))["pair"] == {"before": third, "after": first}


def test_nobody_is_taken_out_of_a_pair_behind_their_back(album: Album) -> None:
    first, second, third = three(album)
    ok(pair(album, first, after=second))
    assert "in a pair already" in refused(pair(album, third, before=first), 409)
    assert pair_of(album, first) == {"before": first, "after": second}


def test_a_pair_is_dissolved_from_either_side(album: Album) -> None:
    first, second, third = three(album)
    ok(pair(album, first, after=second))
    for _ in range(2):
        ok(album.bob.client.delete(f"/photos/{second}/pair"), 204)
    assert pair_of(album, first) is None
    ok(pair(album, third, before=first))


def test_what_cannot_be_a_pair_is_told_why(album: Album) -> None:
    first, second, _ = three(album)
    elsewhere = album.add(album.bob, b"1", task_id=album.add_task()).id
    loose = album.add(album.bob, b"1", task_id=None).id
    hidden = album.add(album.eve, b"1", task_id=None).id
    assert "before or after itself" in refused(pair(album, first, after=first), 422)
    for other in (elsewhere, loose):
        assert "same task" in refused(pair(album, first, after=other), 422)
    for other in (hidden, "0" * 32):
        assert "no such other photo" in refused(pair(album, first, after=other), 422)
    assert "either before or after" in refused(pair(album, first, after=second, before=second), 422)
    assert "either before or after" in refused(pair(album, first), 422)
    refused(album.vic.client.put(f"/photos/{first}/pair", json={"after": second}), 403)


def test_a_photo_in_the_trash_leaves_its_pair_until_it_is_back(album: Album) -> None:
    first, second, _ = three(album)
    ok(pair(album, first, after=second))
    ok(album.bob.client.delete(f"/photos/{second}"), 204)
    assert pair_of(album, first) is None
    refused(pair(album, first, after=second), 410)
    ok(album.bob.client.post(f"/photos/{second}/restore"))
    assert pair_of(album, first) == {"before": first, "after": second}


def test_two_who_pair_the_same_photos_at_once_do_not_lock_each_other_out(album: Album) -> None:
    first, second, _ = three(album)
    together = Barrier(8)

    def run(number: int) -> int:
        one, other = (first, second) if number % 2 else (second, first)
        together.wait(20)
        return int(pair(album, one, after=other).status_code)

    with ThreadPoolExecutor(8) as pool:
        assert set(pool.map(run, range(8))) == {200}
    assert pair_of(album, first) == pair_of(album, second)
