"""Refuses a change that another site's page made a browser send, with the person's cookie or without.

Browsers say where a request comes from (`Sec-Fetch-Site`, and `Origin` in older ones), and no page can forge that. So
no form needs a token. The cookie does not matter: a cross-site sign-in or sign-out comes without it, and its answer
sets one. A request with a bearer token proves who it is by itself, and passes: no page can make a browser send one
here. So does a request that says nothing of where it comes from, for no browser sent it.
"""

from urllib.parse import urlsplit

from starlette.datastructures import Headers
from starlette.types import ASGIApp, Receive, Scope, Send

from tailrace.http.problems import Problem

_SAFE_METHODS = frozenset({"GET", "HEAD", "OPTIONS"})
_SENTENCE = "A page of another site asked for this change, so it was refused; open Tailrace itself and try again."
_DEFAULT_PORTS = {"http": 80, "https": 443}


class SameSiteOnly:
    """Middleware that answers 403 to an unsafe request that another site caused."""

    def __init__(self, app: ASGIApp, *, base_url: str) -> None:
        self._app = app
        self._home = _authority(base_url)

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        if scope["type"] == "http" and scope["method"] not in _SAFE_METHODS and self._is_foreign(Headers(scope=scope)):
            await Problem(403, _SENTENCE, title="Cross-site request")(scope, receive, send)
            return
        await self._app(scope, receive, send)

    def _is_foreign(self, headers: Headers) -> bool:
        # Only this scheme: for another, such as the Basic of an address with a password in it, the cookie would count.
        if headers.get("authorization", "").lower().startswith("bearer "):
            return False
        site = headers.get("sec-fetch-site")
        if site is not None:
            return site not in {"same-origin", "none"}
        origin = headers.get("origin")
        return origin is not None and not self._is_home(origin, headers.get("host", ""))

    def _is_home(self, origin: str, host: str) -> bool:
        # The scheme of the Host header is unknown behind a proxy, so its bare name may stand for either.
        authority = _authority(origin)
        return authority is not None and authority in {self._home, _authority(f"{urlsplit(origin).scheme}://{host}")}


def _authority(address: str) -> tuple[str, int] | None:
    try:
        parts = urlsplit(address)
        port = parts.port or _DEFAULT_PORTS.get(parts.scheme)
    except ValueError:
        return None
    return (parts.hostname, port) if parts.hostname and port else None
