"""What could not be done, as a page: why, what to do now, and the way back, within the usual surroundings."""

import json
from contextlib import suppress
from dataclasses import replace
from typing import Any
from urllib.parse import urlsplit

from fastapi import Request
from sqlalchemy.exc import SQLAlchemyError
from starlette.concurrency import run_in_threadpool
from starlette.responses import Response

from tailrace.accounts import service as accounts
from tailrace.accounts.dependencies import COOKIE
from tailrace.accounts.principal import Principal
from tailrace.database import DatabaseBusy
from tailrace.errors import (
    Conflict,
    Forbidden,
    Gone,
    Invalid,
    NotFound,
    TailraceError,
    TooLarge,
    TooManyRequests,
    Unauthorized,
    Unavailable,
)
from tailrace.web.forgery import HEADER, token_for
from tailrace.web.forms import Form
from tailrace.web.rendering import page
from tailrace.web.visit import Visit

_HEADINGS: dict[type[TailraceError], str] = {
    Forbidden: "This is not allowed",
    NotFound: "There is nothing here",
    Conflict: "This is not possible now",
    Gone: "This is gone",
    TooLarge: "This is too large",
    Invalid: "This cannot be taken as it is",
    TooManyRequests: "Too many at once",
    Unavailable: "Not available at the moment",
}
_ADVICE: dict[type[TailraceError], str] = {
    Forbidden: "If you need to do this, ask a manager of the project, or an administrator.",
    NotFound: "Check the address, or search for what you want.",
    Conflict: "Nothing was changed. Go back and reload the page: it shows how things stand now.",
    Invalid: "Nothing was changed. Go back and try it another way.",
}
_SEND_AGAIN = (
    "This page is from an earlier sign-in, so nothing was changed. Send it once more; if that does not help, reload it."
)


class StaleForm(Forbidden):
    """This form is from an earlier sign-in, so nothing was changed. Go back, reload the page, and send it again."""

    title = "This page is out of date"


class SignedOut(Unauthorized):
    """Your sign-in has ended, so nothing was changed. Copy what you wrote, sign in, and send it again."""

    title = "You are signed out"


async def refusal(request: Request, error: TailraceError) -> Response:
    """Return a refusal as a page, or for htmx as a message over a page that stays as it is."""
    if "hx-request" in request.headers:
        response: Response = page("shell/refusal_part", status=error.status, error=error)
        # What is shown stays, with all that was typed; `page.js` shows the sentence.
        response.headers["HX-Reswap"] = "none"
        news = await run_in_threadpool(_fresh_token, request) if isinstance(error, StaleForm) else {}
        text = _SEND_AGAIN if news else error.detail
        response.headers["HX-Trigger"] = json.dumps({**news, "say": {"text": text, "kind": "error"}})
    else:
        response = await run_in_threadpool(_page, request, error)
    response.headers.update({name: value for name, value in error.headers.items() if name == "Retry-After"})
    return response


def written(request: Request) -> list[str]:
    """Return the texts that were sent: browsers keep no page of ours, so going back would bring it up empty."""
    form: Form | None = getattr(request.state, "form", None)
    return form.written() if form else []


def _fresh_token(request: Request) -> dict[str, Any]:
    """Return what makes a page of an earlier sign-in good again: who is signed in now, and the token of their forms.

    The page takes it only if it is that person's; `page.js` compares. Otherwise they would have to type anew.
    """
    with suppress(TailraceError, SQLAlchemyError, DatabaseBusy):
        user = _user(request)
        token = token_for(request.app.state.secret, request.cookies[COOKIE])
        return {"token": {"user": str(user.user_id), "headers": json.dumps({HEADER: token})}}
    return {}


def _page(request: Request, error: TailraceError) -> Response:
    values: dict[str, Any] = {
        "error": error,
        "heading": _HEADINGS.get(type(error), error.title),
        "advice": _ADVICE.get(type(error), ""),
        "back": _came_from(request),
        "written": written(request),
    }
    # A database that is away is not waited for once more; whoever cannot be known is shown the sentence all the same.
    if COOKIE in request.cookies and not isinstance(error, Unavailable):
        with suppress(TailraceError, SQLAlchemyError, DatabaseBusy):
            return _inside(request, error, values)
    return page("shell/refusal_outside", status=error.status, **values)


def _inside(request: Request, error: TailraceError, values: dict[str, Any]) -> Response:
    visit = Visit(request, _user(request))
    with visit.shell() as (_, shell):
        # What was done before is told on the page that was meant to follow it.
        return visit.page("shell/refusal", replace(shell, flash=""), status=error.status, **values)


def _user(request: Request) -> Principal:
    return accounts.authenticate(request.app.state.database, "session", request.cookies[COOKIE])


def _came_from(request: Request) -> str:
    """Return the address of the page here from which this one was reached, or nothing."""
    parts = urlsplit(request.headers.get("referer", ""))
    another = parts.path != request.url.path or request.method == "POST"
    here = parts.netloc == request.headers.get("host") and another
    if not here or not parts.path.startswith("/") or parts.path.startswith("//"):
        return ""
    return parts.path + (f"?{parts.query}" if parts.query else "")
