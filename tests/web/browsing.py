"""A browser without scripts: it follows links and sends the forms of the pages that it was shown."""

import html
import re
from typing import Any

from fastapi.testclient import TestClient

PASSWORD = "a long password"


class Browser:
    """Somebody signed in, by cookie."""

    def __init__(self, client: TestClient) -> None:
        self.client = client

    def get(self, address: str, **options: Any) -> Any:
        """Return the answer for a page or a part of one."""
        return self.client.get(address, **options)

    def text(self, address: str, **options: Any) -> str:
        """Return the text of a page that is there."""
        answer = self.get(address, **options)
        assert answer.status_code == 200, answer.text
        return str(answer.text)

    @property
    def token(self) -> str:
        """The token of this session's forms, as the pages carry it."""
        found = re.search(r"X-Forgery-Token&#34;: &#34;(\w+)|X-Forgery-Token\": \"(\w+)", self.text("/web/account"))
        assert found is not None
        return found[1] or found[2]

    def send(self, address: str, *, by_htmx: bool = False, **fields: Any) -> Any:
        """Return the answer to a form with these fields."""
        headers = {"HX-Request": "true", "X-Forgery-Token": self.token} if by_htmx else {}
        return self.client.post(address, data={"forgery_token": self.token, **fields}, headers=headers)

    def sent(self, address: str, **fields: Any) -> str:
        """Send a form that must succeed, and return where it leads."""
        answer = self.send(address, **fields)
        assert answer.status_code == 303, answer.text
        return str(answer.headers["location"])


def visible(text: str) -> str:
    """Return the words of a page."""
    body = re.sub(r"<(script|style).*?</\1>", " ", text.partition("<main")[2], flags=re.DOTALL)
    return " ".join(html.unescape(re.sub(r"<[^>]+>", " ", body)).split())
