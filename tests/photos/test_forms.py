"""Forms of many files, of which some come late, and a database that does not take them."""

import asyncio
from dataclasses import replace
from typing import Any

import pytest
from sqlalchemy import func, select
from sqlalchemy.exc import IntegrityError
from starlette.requests import Request

from tailrace.accounts.principal import Principal
from tailrace.photos.forms import Outcome, receive_many
from tailrace.photos.models import Photo
from tailrace.photos.workshop import Workshop
from tailrace.streams import Incoming, Intake
from tests.photos.conftest import Album
from tests.photos.uploading import jpeg
from tests.streams.forms import encode

pytestmark = pytest.mark.anyio


async def send_slowly(album: Album, principal: Principal, files: int, pause_s: float) -> Outcome:
    """Send a form whose files come one after the other."""
    form = encode([("file", f"{number}.jpg", jpeg() + b"%d" % number) for number in range(files)])
    first, *rest = form.split(b"--B\r\n")[1:]
    pieces = [b"--B\r\n" + each for each in (first, *rest)]

    async def receive() -> dict[str, Any]:
        await asyncio.sleep(pause_s)
        return {"type": "http.request", "body": pieces.pop(0), "more_body": bool(pieces)}

    workshop = Workshop(album.database, album.storage, album.settings)
    request = Request({"type": "http", "headers": []}, receive)
    incoming = Incoming(request, Intake(10_000_000))
    return await receive_many(workshop, principal, album.task_id, incoming, "multipart/form-data; boundary=B")


def count(album: Album) -> int:
    with album.database.read() as session:
        return session.scalar(select(func.count()).select_from(Photo)) or 0


async def test_a_file_is_a_photo_soon_after_it_came_and_not_with_the_last(album: Album) -> None:
    sending = asyncio.create_task(send_slowly(album, album.bob.principal, 3, pause_s=1.0))
    for _ in range(100):
        if count(album):
            break
        await asyncio.sleep(0.05)
    assert count(album) == 1
    assert not sending.done()
    outcome = await sending
    assert [result.name for result in outcome.results] == ["0.jpg", "1.jpg", "2.jpg"]


async def test_files_that_the_database_refuses_are_not_left_out_of_the_answer(album: Album) -> None:
    nobody = replace(album.ada.principal, user_id=404)
    with pytest.raises(IntegrityError):
        await send_slowly(album, nobody, 4, pause_s=0.4)
    assert count(album) == 0
