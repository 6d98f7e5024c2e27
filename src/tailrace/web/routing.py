"""Routers of pages: what goes wrong becomes a page too, and a form must carry the session's token."""

import logging
from collections.abc import Callable, Coroutine
from typing import Any
from urllib.parse import quote

from fastapi import APIRouter
from fastapi.exceptions import RequestValidationError
from fastapi.routing import APIRoute
from sqlalchemy.exc import InterfaceError, OperationalError
from sqlalchemy.exc import TimeoutError as PoolTimeout
from starlette.requests import Request
from starlette.responses import Response

from tailrace.accounts.dependencies import COOKIE
from tailrace.database import DatabaseBusy
from tailrace.errors import NotFound, TailraceError, Unauthorized, Unavailable
from tailrace.web.forgery import FIELD, HEADER, is_genuine
from tailrace.web.forms import Form
from tailrace.web.refusals import SignedOut, StaleForm, refusal, written
from tailrace.web.visit import go

Handler = Callable[[Request], Coroutine[Any, Any, Response]]
_FORM = "application/x-www-form-urlencoded"
_AWAY = "The database cannot answer at the moment. Nothing was changed; try again in a few seconds."
_log = logging.getLogger(__name__)


class OpenRoute(APIRoute):
    """A route of a page that anybody may open."""

    checks_token = False

    def get_route_handler(self) -> Handler:
        handle = super().get_route_handler()

        async def show(request: Request) -> Response:
            try:
                await self._take_form(request)
                return await handle(request)
            except TailraceError as error:
                return await _refusal(request, error)
            except RequestValidationError:
                return await _refusal(request, NotFound("There is nothing at this address."))
            except (DatabaseBusy, OperationalError, InterfaceError, PoolTimeout) as error:
                _log.warning("the database did not answer: %s", error)
                return await _refusal(request, Unavailable(_AWAY))

        return show

    async def _take_form(self, request: Request) -> None:
        if request.method != "POST":
            return
        pairs: list[tuple[str, str]] = []
        if request.headers.get("content-type", "").partition(";")[0].strip() == _FORM:
            pairs = [(name, value) for name, value in (await request.form()).multi_items() if isinstance(value, str)]
        request.state.form = form = Form(pairs)
        session_secret = request.cookies.get(COOKIE, "")
        # The body of a form with files is read by its route alone; such a form names the token in its address.
        given = request.headers.get(HEADER) or form.text(FIELD) or request.query_params.get(FIELD, "")
        # A request without the cookie acts for nobody, so there is nothing to forge.
        if self.checks_token and session_secret and not is_genuine(request.app.state.secret, session_secret, given):
            raise StaleForm


class PageRoute(OpenRoute):
    """A route of a page of somebody signed in."""

    checks_token = True


def page_router() -> APIRouter:
    """Return a router for pages of people who are signed in."""
    return APIRouter(include_in_schema=False, route_class=PageRoute)


def open_router() -> APIRouter:
    """Return a router for pages that need no sign-in."""
    return APIRouter(include_in_schema=False, route_class=OpenRoute)


async def _refusal(request: Request, error: TailraceError) -> Response:
    if not isinstance(error, Unauthorized):
        return await refusal(request, error)
    if "hx-request" not in request.headers and written(request):
        return await refusal(request, SignedOut())
    return _to_sign_in(request)


def _to_sign_in(request: Request) -> Response:
    if "hx-request" in request.headers:
        # The whole page, not the part that was asked for, must go there; `live.js` sees to it that no typing is lost.
        return Response(status_code=204, headers={"HX-Trigger": "signed-out"})
    if request.method != "GET" or request.url.path == "/":
        return go("/sign-in")
    wanted = request.url.path + (f"?{request.url.query}" if request.url.query else "")
    return go(f"/sign-in?next={quote(wanted)}")
