"""All middleware, in the order a request meets it.

Only plain ASGI classes: Starlette's BaseHTTPMiddleware turns a stream that failed midway into one that ended well.
"""

from collections.abc import Callable

from fastapi import FastAPI

from tailrace.http.access import Answer, RequestLog
from tailrace.http.forgery import SameSiteOnly
from tailrace.http.headers import SecurityHeaders
from tailrace.http.limits import BodyLimit, TextOnly
from tailrace.streams import Drain, EarlyAnswer, StreamGuard


def install(
    app: FastAPI,
    *,
    observe: Callable[[Answer], None],
    drain: Drain,
    max_body_bytes: int,
    base_url: str,
    images_from: str | None = None,
) -> None:
    """Add every middleware to `app`; `observe` is told of each answer, pages show images from `images_from` too.

    An early answer lingers no longer than a stopping server may, which `drain` tells.
    """
    # Each one added stands before those added earlier.
    app.add_middleware(BodyLimit, max_bytes=max_body_bytes)
    app.add_middleware(SameSiteOnly, base_url=base_url)
    app.add_middleware(TextOnly)
    app.add_middleware(SecurityHeaders, images_from=images_from)
    app.add_middleware(RequestLog, observe=observe)
    app.add_middleware(EarlyAnswer, drain=drain)
    app.add_middleware(StreamGuard)
