"""Real photos for the pages: pictures made by code, uploaded, and waited for until they are ready."""

import functools
import io
import time
from datetime import UTC, datetime, timedelta
from typing import Any

from PIL import Image, ImageDraw

from tests.browser.site import LiveSite

_NEWEST = datetime(2026, 5, 4, 15, 2, tzinfo=UTC)
_SKIES = ((150, 190, 225), (235, 190, 140), (120, 130, 145), (180, 205, 190))
_WALLS = ((168, 92, 70), (200, 190, 170), (96, 110, 120), (150, 130, 100), (210, 170, 60))


@functools.cache
def picture(number: int, size: tuple[int, int] = (1200, 900), *, days_ago: int = 0) -> bytes:
    """Return a JPEG of a building site, as a camera writes it; another one for another number."""
    width, height = size
    image = Image.new("RGB", size, _SKIES[number % len(_SKIES)])
    draw = ImageDraw.Draw(image)
    for line in range(height):
        shade = 60 * line // height
        draw.line((0, line, width, line), fill=tuple(value - shade for value in _SKIES[number % len(_SKIES)]))
    for block in range(3 + number % 3):
        left = (number * 157 + block * 331) % width - width // 8
        top = height // 3 + (number * 71 + block * 113) % (height // 3)
        draw.rectangle((left, top, left + width // 3, height), fill=_WALLS[(number + block) % len(_WALLS)])
        for window in range(6):
            x, y = left + 40 + window % 2 * 150, top + 40 + window // 2 * 130
            draw.rectangle((x, y, x + 70, y + 80), fill=(60, 75 + 10 * (number % 8), 90))
    draw.rectangle((0, height - height // 7, width, height), fill=(120 - number % 30, 105, 85))
    file = io.BytesIO()
    image.save(file, "JPEG", quality=85, exif=_exif(number, days_ago))
    return file.getvalue()


def hang(site: LiveSite, task: int, *pictures: bytes) -> list[str]:
    """Upload pictures to a task, wait for what becomes of them, and return the ids of the photos."""
    files = [("file", (f"IMG_{2031 + number}.jpg", data, "image/jpeg")) for number, data in enumerate(pictures)]
    answer = site.api.post(f"/tasks/{task}/photos", files=files)
    assert answer.status_code == 202, answer.text
    ids = [entry["id"] for entry in answer.json()["photos"]]
    for photo_id in ids:
        settled(site, photo_id)
    return ids


def settled(site: LiveSite, photo_id: str) -> Any:
    """Wait until a photo is ready or has failed, and return it."""
    deadline = time.monotonic() + 60
    while (photo := site.call("GET", f"/photos/{photo_id}"))["state"] not in {"ready", "failed"}:
        assert time.monotonic() < deadline, photo
        time.sleep(0.1)
    return photo


def _exif(number: int, days_ago: int) -> bytes:
    block = Image.Exif()
    block[0x010F], block[0x0110], block[0x0112] = "Tailrace", "Model 1", 1
    block.get_ifd(0x8769)[0x9003] = f"{_NEWEST - timedelta(days=days_ago, minutes=7 * number):%Y:%m:%d %H:%M:%S}"
    return block.tobytes()
