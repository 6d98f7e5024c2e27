"""A running service with people and work in it, for all browser tests of a run."""

import re
from dataclasses import dataclass
from functools import cached_property
from typing import Any

import httpx2
from playwright.sync_api import Browser, BrowserContext, Page

from tests.service import Service

PASSWORD = "correct horse battery"
ADDRESS = "ada@example.org"


@dataclass
class LiveSite:
    """The service, its administrator Ada, and a project of hers."""

    service: Service
    browser: Browser
    token: str

    @cached_property
    def api(self) -> httpx2.Client:
        """A client that acts for Ada."""
        return self.service.client(self.token)

    def call(self, method: str, path: str, **json: Any) -> Any:
        """Return the JSON of an answer that succeeded."""
        answer = self.api.request(method, path, json=json or None)
        assert answer.is_success, answer.text
        return answer.json() if answer.content else None

    def project(self, name: str = "Harbour Street 12") -> int:
        """Create a project and return its id."""
        return int(self.call("POST", "/projects", name=name, description="Renovation of the **east wing**.")["id"])

    def task(self, project: int, title: str, **fields: Any) -> int:
        """Create a task and return its id."""
        return int(self.call("POST", f"/projects/{project}/tasks", title=title, **fields)["id"])

    def context(self, *, width: int = 1440, height: int = 900, dark: bool = False, **options: Any) -> BrowserContext:
        """Return a new browser profile in which Ada is signed in."""
        context = self.browser.new_context(
            base_url=self.service.url,
            viewport={"width": width, "height": height},
            color_scheme="dark" if dark else "light",
            reduced_motion="reduce",
            **options,
        )
        context.set_default_timeout(15_000)
        context.add_cookies([{"name": "tailrace_session", "value": self.session, "url": self.service.url}])
        return context

    def page(self, path: str, **options: Any) -> Page:
        """Return a page that Ada has opened, in a profile of its own."""
        page = self.context(**options).new_page()
        page.goto(path)
        return page

    @cached_property
    def session(self) -> str:
        """The secret of a session of Ada's."""
        answer = httpx2.post(f"{self.service.url}/session", json={"email": ADDRESS, "password": PASSWORD})
        found = re.search(r"tailrace_session=([^;]+)", answer.headers["set-cookie"])
        assert found is not None
        return found[1]


def connected(page: Page) -> None:
    """Wait until the page follows the events."""
    page.wait_for_selector("body[data-connected=true]")
