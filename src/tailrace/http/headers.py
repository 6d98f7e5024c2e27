"""Response headers that tell browsers what a page of ours may do: load and send only here."""

import re

from starlette.datastructures import MutableHeaders
from starlette.types import ASGIApp, Message, Receive, Scope, Send

CONTENT_SECURITY_POLICY = (
    "default-src 'none'; script-src 'self'; style-src 'self'; img-src 'self' data: blob:; connect-src 'self'; "
    "form-action 'self'; manifest-src 'self'; base-uri 'none'; frame-ancestors 'none'"
)
# What the API answers is for who asked.
_JSON = re.compile(r"application/(problem\+)?json\b.*")
_ALWAYS = {"X-Content-Type-Options": "nosniff", "Referrer-Policy": "same-origin"}


class SecurityHeaders:
    """Middleware that adds them, without overriding what a route set itself."""

    def __init__(self, app: ASGIApp, *, images_from: str | None = None) -> None:
        """Let pages also show images from the origin `images_from`, to which downloads are redirected."""
        self._app = app
        self._images_from = images_from

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        async def add(message: Message) -> None:
            if message["type"] == "http.response.start":
                headers = MutableHeaders(scope=message)
                for name, value in _ALWAYS.items():
                    headers.setdefault(name, value)
                if headers.get("content-type", "").startswith("text/html"):
                    self._add_policy(headers)
                elif _JSON.fullmatch(headers.get("content-type", "")):
                    headers.setdefault("Cache-Control", "private, no-cache")
            await send(message)

        await self._app(scope, receive, add if scope["type"] == "http" else send)

    def _add_policy(self, headers: MutableHeaders) -> None:
        policy = headers.setdefault("Content-Security-Policy", CONTENT_SECURITY_POLICY)
        if self._images_from is not None:
            headers["Content-Security-Policy"] = policy.replace("img-src", f"img-src {self._images_from}")
