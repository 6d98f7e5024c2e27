"""One's own account: name, time zone, password, what one hears of, API tokens."""

from collections.abc import Sequence
from zoneinfo import available_timezones

from starlette.responses import Response

from tailrace.accounts import service as accounts
from tailrace.accounts.dependencies import client_address, set_session_cookie
from tailrace.accounts.passwords import hash_password
from tailrace.accounts.schemas import NewTokenView, TokenInput, UserChanges
from tailrace.accounts.sign_in import SignInLimitsDep, check_own_password
from tailrace.errors import TailraceError
from tailrace.http.fields import Id
from tailrace.notifications import inbox
from tailrace.web.forms import Form
from tailrace.web.inbox import settings_of
from tailrace.web.routing import page_router
from tailrace.web.visit import Visit, Visiting

router = page_router()
_ADDRESS = "/web/account"


@router.get(_ADDRESS)
def show_account(visit: Visiting) -> Response:
    """Show the account."""
    return _show(visit)


@router.post(_ADDRESS)
def change_account(visit: Visiting) -> Response:
    """Change name and time zone."""
    form = visit.form
    try:
        changes = form.read(UserChanges, name=form.text("name"), time_zone=form.text("time_zone"))
        with visit.write() as session:
            accounts.update_user(session, visit.user, visit.user.user_id, changes)
    except TailraceError as error:
        return _show(visit, profile=form.refused(error), status=error.status)
    return visit.go(_ADDRESS, "Saved.")


@router.post("/web/account/password")
def change_password(visit: Visiting, limits: SignInLimitsDep) -> Response:
    """Change the password, which signs out everywhere but here."""
    form = visit.form
    try:
        changes = form.read(UserChanges, password=form.text("password"), current_password=form.text("current_password"))
        assert changes.current_password is not None
        assert changes.password is not None
        replaces = _check_current(visit, limits, changes.current_password)
        password_hash = hash_password(changes.password)
        with visit.write() as session:
            accounts.update_user(
                session, visit.user, visit.user.user_id, changes, password_hash=password_hash, replaces=replaces
            )
            secret = accounts.open_session(session, visit.user.user_id)
    except TailraceError as error:
        return _show(visit, password=form.refused(error), status=error.status)
    response = visit.go(_ADDRESS, "The password is changed, and every other browser is signed out.")
    set_session_cookie(visit.request, response, secret)
    return response


@router.post("/web/account/inbox")
def change_inbox_settings(visit: Visiting) -> Response:
    """Change what one hears of, in the inbox and by mail."""
    with visit.write() as session:
        inbox.change_settings(session, visit.user, settings_of(visit.form))
    return visit.go(f"{_ADDRESS}#notifications", "Saved. It holds for what comes from now on.")


@router.post("/web/account/tokens")
def create_token(visit: Visiting) -> Response:
    """Create an API token and show it, this once."""
    form = visit.form
    try:
        given = form.read(TokenInput, name=form.text("name"), days=form.text("days") or None)
        with visit.write() as session:
            token = accounts.create_token(session, visit.user.user_id, name=given.name, days=given.days)
    except TailraceError as error:
        return _show(visit, tokens=form.refused(error), status=error.status)
    return _show(visit, new=token)


@router.post("/web/account/tokens/{token_id}/delete")
def delete_token(visit: Visiting, token_id: Id) -> Response:
    """Revoke an API token."""
    with visit.write() as session:
        accounts.delete_token(session, visit.user.user_id, token_id)
    return visit.go(_ADDRESS, "The token is revoked.")


def _show(
    visit: Visit,
    *,
    profile: Form | None = None,
    password: Form | None = None,
    tokens: Form | None = None,
    new: NewTokenView | None = None,
    status: int = 200,
) -> Response:
    with visit.shell() as (session, shell):
        me = accounts.get_user(session, visit.user.user_id)
        return visit.page(
            "account/show",
            shell,
            status=status,
            me=me,
            profile=profile or Form.of(name=me.name, time_zone=me.time_zone),
            password=password or Form(),
            token_form=tokens or Form.of(name="command line"),
            tokens=accounts.list_tokens(session, visit.user.user_id),
            new=new,
            choices=inbox.list_settings(session, visit.user),
            zones=_time_zones(me.time_zone),
            base_url=visit.base_url,
        )


def _time_zones(present: str) -> Sequence[tuple[str, str]]:
    """Return the zones that are named after a place, UTC and the `present` one, such as CET, as options of a choice."""
    names = sorted({name for name in available_timezones() if "/" in name} | {present} - {"UTC"})
    return [("UTC", "UTC")] + [(name, name.replace("_", " ")) for name in names]


def _check_current(visit: Visit, limits: SignInLimitsDep, given: str) -> str:
    try:
        return check_own_password(
            visit.request.app.state.database,
            limits,
            email=visit.user.email,
            password=given,
            address=client_address(visit.request),
        )
    except TailraceError as error:
        sentence = "This is not your present password." if error.status == 422 else error.detail
        visit.form.faults["current_password"] = sentence
        raise
