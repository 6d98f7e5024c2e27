"""Who may see and change photos: those of a task are the project's, all others their uploader's alone."""

import pytest

from tests.features import Person, ok, refused
from tests.photos.conftest import Album

READING = ("", "/original", "/thumb")


def statuses(album: Album, photo_id: str, who: Person) -> list[int]:
    return [who.client.get(f"/photos/{photo_id}{path}").status_code for path in READING]


def test_a_photo_of_a_task_is_seen_by_whoever_sees_the_project(album: Album) -> None:
    photo = album.add(album.bob, b"picture")
    album.finish(photo.id)
    for who in (album.ann, album.bob, album.vic, album.ada):
        assert statuses(album, photo.id, who) == [200, 200, 200]


def test_for_a_stranger_there_is_no_photo(album: Album) -> None:
    photo = album.add(album.bob, b"picture")
    album.finish(photo.id)
    assert statuses(album, photo.id, album.eve) == [404, 404, 404]
    unknown = refused(album.eve.client.get(f"/photos/{'0' * 32}"), 404)
    assert refused(album.eve.client.get(f"/photos/{photo.id}"), 404) == unknown
    for method, path, body in (
        ("PATCH", "", {"caption": "mine"}),
        ("DELETE", "", None),
        ("POST", "/restore", None),
        ("POST", "/retry", None),
        ("PUT", "/pair", {"after": "0" * 32}),
        ("DELETE", "/pair", None),
    ):
        answer = album.eve.client.request(method, f"/photos/{photo.id}{path}", json=body)
        assert refused(answer, 404) == unknown
    for path in (f"/tasks/{album.task_id}/photos", f"/projects/{album.project_id}/photos"):
        refused(album.eve.client.get(path), 404)


def test_without_signing_in_there_is_nothing(album: Album) -> None:
    photo = album.add(album.bob, b"picture")
    for path in READING:
        refused(album.site.client().get(f"/photos/{photo.id}{path}"), 401)


def test_a_photo_without_a_task_is_its_uploaders_alone(album: Album) -> None:
    photo = album.add(album.bob, b"picture", task_id=None)
    album.finish(photo.id)
    for who in (album.bob, album.ada):
        assert statuses(album, photo.id, who) == [200, 200, 200]
    assert statuses(album, photo.id, album.ann) == [404, 404, 404]
    assert [item["id"] for item in ok(album.bob.client.get("/photos"))["items"]] == [photo.id]
    assert ok(album.ann.client.get("/photos"))["items"] == []
    ok(album.bob.client.patch(f"/photos/{photo.id}", json={"caption": "mine"}))
    refused(album.ann.client.delete(f"/photos/{photo.id}"), 404)
    ok(album.bob.client.delete(f"/photos/{photo.id}"), 204)


def test_members_write_captions_and_viewers_do_not(album: Album) -> None:
    photo = album.add(album.bob, b"picture")
    for who in (album.ann, album.bob):
        caption = f"The gate, says {who.email}"
        ok(who.client.patch(f"/photos/{photo.id}", json={"caption": caption}))
        assert ok(album.vic.client.get(f"/photos/{photo.id}"))["caption"] == caption
    refused(album.vic.client.patch(f"/photos/{photo.id}", json={"caption": "no"}), 403)


def test_uploader_and_managers_delete_and_restore(album: Album) -> None:
    mine, anns = album.add(album.bob, b"mine"), album.add(album.ann, b"of ann")
    refused(album.bob.client.delete(f"/photos/{anns.id}"), 403)
    refused(album.vic.client.delete(f"/photos/{mine.id}"), 403)
    ok(album.bob.client.delete(f"/photos/{mine.id}"), 204)
    refused(album.vic.client.post(f"/photos/{mine.id}/restore"), 403)
    ok(album.ann.client.post(f"/photos/{mine.id}/restore"))
    ok(album.ann.client.delete(f"/photos/{mine.id}"), 204)
    ok(album.bob.client.post(f"/photos/{mine.id}/restore"))


@pytest.mark.parametrize(
    ("method", "path", "body"),
    [("PATCH", "", {"caption": "late"}), ("DELETE", "", None), ("POST", "/retry", None), ("DELETE", "/pair", None)],
)
def test_in_an_archived_project_photos_are_only_seen(
    album: Album, method: str, path: str, body: dict[str, str] | None
) -> None:
    photo = album.add(album.bob, b"picture")
    ok(album.ann.client.patch(f"/projects/{album.project_id}", json={"archived": True}))
    refused(album.bob.client.request(method, f"/photos/{photo.id}{path}", json=body), 409)
    ok(album.bob.client.get(f"/photos/{photo.id}"))


def test_who_left_the_project_sees_their_own_photos_of_it_no_more(album: Album) -> None:
    photo = album.add(album.bob, b"picture")
    ok(album.ann.client.delete(f"/projects/{album.project_id}/members/{album.bob.id}"), 204)
    assert statuses(album, photo.id, album.bob) == [404, 404, 404]
