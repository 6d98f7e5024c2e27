"""Writes a picture of every page into docs/screenshots: `python -m tests.browser.screenshots [NAME …]`."""

import sys
import tempfile
from pathlib import Path

from tests.browser.chromium import chromium
from tests.browser.places import OPEN_PLACES, furnish
from tests.browser.site import ADDRESS, LiveSite
from tests.service import Service

FOLDER = Path(__file__).parents[2] / "docs" / "screenshots"
#: The wide ones are light and the narrow ones dark, so that each page is seen both ways.
VIEWS = (("wide", 1440, 900, False), ("narrow", 360, 740, True))
_PICTURES_ARE_SEEN = """
    [...document.images].every((image) => image.complete || !image.checkVisibility()
        || image.getBoundingClientRect().top > innerHeight)
"""


def write(names: list[str], folder: Path = FOLDER) -> None:
    """Write the pictures of the pages `names`, or of all, as small WebP files."""
    folder.mkdir(parents=True, exist_ok=True)
    with tempfile.TemporaryDirectory() as data, chromium() as browser, Service(Path(data) / "data") as service:
        site = LiveSite(service, browser, service.create_user(ADDRESS, admin=True))
        places = {**furnish(site), **OPEN_PLACES}
        for view, width, height, dark in VIEWS:
            context = site.context(width=width, height=height, dark=dark)
            for name in names or places:
                if name in OPEN_PLACES:
                    context.clear_cookies()
                page = context.new_page()
                page.goto(places[name])
                page.wait_for_load_state("networkidle" if name in OPEN_PLACES else "load")
                # Not by `wait_for_function`: the page's policy forbids what that does.
                while not page.evaluate(_PICTURES_ARE_SEEN):
                    page.wait_for_timeout(100)
                _save(page.screenshot(), folder / f"{name}-{view}.webp")
                page.close()
            context.close()
        site.api.close()


def _save(png: bytes, path: Path) -> None:
    import io

    from PIL import Image

    Image.open(io.BytesIO(png)).convert("RGB").save(path, "WEBP", quality=80, method=6)


if __name__ == "__main__":
    write(sys.argv[1:])
