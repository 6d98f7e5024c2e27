from collections.abc import Iterator

import pytest

from tests.browser.chromium import chromium
from tests.browser.places import furnish
from tests.browser.site import ADDRESS, LiveSite
from tests.service import Service


@pytest.fixture(scope="module")
def live(tmp_path_factory: pytest.TempPathFactory) -> Iterator[LiveSite]:
    """Give one service for the browser tests of a module, with work in it.

    Not for all of them: as long as Playwright runs, no other test of this process can run an event loop.
    """
    data = tmp_path_factory.mktemp("browser") / "data"
    with chromium() as browser, Service(data) as service:
        site = LiveSite(service, browser, service.create_user(ADDRESS, admin=True))
        yield site
        site.api.close()


@pytest.fixture(scope="module")
def places(live: LiveSite) -> dict[str, str]:
    """Give the address of every page, by name."""
    return furnish(live)
