"""Coming in: the set-up of the first administrator, signing in and out."""

from contextlib import suppress
from zoneinfo import available_timezones

from fastapi import Request
from sqlalchemy.orm import Session
from starlette.responses import Response

from tailrace.accounts import service as accounts
from tailrace.accounts.dependencies import COOKIE, Cookie, clear_session_cookie, client_address, set_session_cookie
from tailrace.accounts.passwords import hash_password
from tailrace.accounts.principal import Principal
from tailrace.accounts.schemas import SetupInput, SignInInput, UserChanges, UserView
from tailrace.accounts.sign_in import SignInLimitsDep, sign_in
from tailrace.database import Database
from tailrace.errors import Conflict, Forbidden, TailraceError, Unauthorized
from tailrace.http.dependencies import DatabaseDep
from tailrace.web.forms import Form
from tailrace.web.rendering import page
from tailrace.web.routing import open_router, page_router
from tailrace.web.visit import FLASH, Visiting, flash, go

router = open_router()
inside = page_router()
_SET_UP = "This set-up link is no longer good: Tailrace was set up already. Sign in with your account."


@router.get("/setup")
def set_up_page(database: DatabaseDep, token: str = "") -> Response:
    """Show the form that creates the first administrator, to whoever has the set-up link."""
    try:
        with database.read() as session:
            accounts.check_setup_token(session, token)
    except Conflict:
        return go("/sign-in", _SET_UP)
    except Forbidden as error:
        return page("entry/setup", status=error.status, form=Form().refused(error))
    return page("entry/setup", form=Form.of(token=token))


@router.post("/web/setup")
def set_up(request: Request, database: DatabaseDep) -> Response:
    """Create the first administrator and sign them in."""
    form: Form = request.state.form
    try:
        given = form.read(SetupInput)
        with database.read() as session:
            accounts.check_setup_token(session, given.token)
        password_hash = hash_password(given.password)
        with database.write() as session:
            user = accounts.complete_setup(
                session, given.token, email=given.email, name=given.name, password_hash=password_hash
            )
            _place(session, user, form.text("time_zone"))
            secret = accounts.open_session(session, user.id)
    except Forbidden as error:
        # Without the right secret the form would be filled in for nothing.
        return page("entry/setup", status=error.status, form=Form().refused(error))
    except TailraceError as error:
        return page("entry/setup", status=error.status, form=form.refused(error))
    response = go("/web/welcome")
    set_session_cookie(request, response, secret)
    return response


@router.get("/sign-in")
def sign_in_page(
    request: Request,
    database: DatabaseDep,
    cookie: Cookie,
    next: str = "",  # noqa: A002 (the field's name)
) -> Response:
    """Show the form to sign in, or what to do before anybody can; who is signed in already is led on."""
    with suppress(Unauthorized):
        accounts.authenticate(database, "session", cookie or "")
        return go(_own_address(next))
    response = _sign_in_page(database, Form.of(next=next), said=flash(request))
    response.delete_cookie(FLASH, path="/")
    return response


@router.post("/web/sign-in")
def sign_in_form(request: Request, database: DatabaseDep, limits: SignInLimitsDep) -> Response:
    """Sign in, and go on to where one wanted to go."""
    form: Form = request.state.form
    try:
        given = form.read(SignInInput, email=form.text("email"), password=form.text("password"))
        address = client_address(request)
        secret = sign_in(database, limits, email=given.email, password=given.password, address=address)
    except TailraceError as error:
        return _sign_in_page(database, form.refused(error), status=error.status)
    response = go(_own_address(form.text("next")))
    set_session_cookie(request, response, secret)
    return response


def _sign_in_page(database: Database, form: Form, *, said: str = "", status: int = 200) -> Response:
    with database.read() as session:
        setup_needed = accounts.setup_needed(session)
    return page("entry/sign_in", status=status, form=form, setup_needed=setup_needed, said=said)


@inside.post("/web/sign-out")
def sign_out(visit: Visiting) -> Response:
    """Sign out; streams that are open end within seconds."""
    with visit.write() as session:
        accounts.close_session(session, visit.request.cookies.get(COOKIE, ""))
    response = go("/sign-in")
    clear_session_cookie(response)
    return response


router.include_router(inside)


def _place(session: Session, user: UserView, time_zone: str) -> None:
    """Take over the zone that the browser told, if it told one."""
    if time_zone in available_timezones():
        principal = Principal(user.id, user.email, user.name, user.is_admin, "session")
        accounts.update_user(session, principal, user.id, UserChanges(time_zone=time_zone))


def _own_address(address: str) -> str:
    """Return `address` if it is a page here, else the first page: a link must not lead a new sign-in elsewhere."""
    inside_here = address.startswith("/") and not address.startswith(("//", "/\\"))
    return address if inside_here and address.isprintable() else "/"
