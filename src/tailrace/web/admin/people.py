"""People: who has an account, a new one, and one person's rights, password and API tokens."""

from starlette.responses import Response

from tailrace.accounts import service as accounts
from tailrace.accounts.passwords import hash_password
from tailrace.accounts.schemas import UserChanges, UserInput
from tailrace.errors import Conflict, Forbidden, TailraceError
from tailrace.http.fields import Id
from tailrace.web.admin.visiting import AdminVisiting
from tailrace.web.forms import Form
from tailrace.web.routing import page_router
from tailrace.web.visit import Visit

router = page_router()
_ADDRESS = "/web/admin/people"
_SHOWN = 100
_SIGNED_OUT = (
    "The password is changed, and their browsers are signed out. Their API tokens still work until you revoke them."
)


@router.get(_ADDRESS)
def list_people(visit: AdminVisiting, after: Id | None = None) -> Response:
    """List the people in the order they came."""
    return _show_list(visit, after=after or 0)


@router.post(_ADDRESS)
def create_person(visit: AdminVisiting) -> Response:
    """Create an account."""
    form = visit.form
    try:
        given = form.read(UserInput)
        password_hash = hash_password(given.password)
        with visit.write() as session:
            accounts.create_user(
                session, email=given.email, name=given.name, password_hash=password_hash, is_admin=given.is_admin
            )
    except TailraceError as error:
        form.refused(error, "email" if isinstance(error, Conflict) else "")
        return _show_list(visit, form=form, status=error.status)
    return visit.go(_ADDRESS, f"{given.name} can sign in now with the password that you chose.")


@router.get("/web/admin/people/{user_id}")
def show_person(visit: AdminVisiting, user_id: Id) -> Response:
    """Show one person."""
    return _show(visit, user_id)


@router.post("/web/admin/people/{user_id}")
def change_person(visit: AdminVisiting, user_id: Id) -> Response:
    """Make somebody an administrator or disable them, or take that back."""
    form = visit.form
    try:
        changes = form.read(UserChanges)
        if changes.password is not None:
            raise Forbidden("A password has a form of its own.")
        with visit.write() as session:
            accounts.update_user(session, visit.user, user_id, changes)
    except TailraceError as error:
        return _show(visit, user_id, form=form.refused(error), status=error.status)
    return visit.go(f"{_ADDRESS}/{user_id}", "Saved.")


@router.post("/web/admin/people/{user_id}/password")
def change_password(visit: AdminVisiting, user_id: Id) -> Response:
    """Give somebody else a new password, which signs out their browsers, but leaves their API tokens."""
    form = visit.form
    try:
        if user_id == visit.user.user_id:
            raise Forbidden("Change your own password in your account; it asks for the present one.")
        changes = form.read(UserChanges, password=form.text("password"))
        assert changes.password is not None
        password_hash = hash_password(changes.password)
        with visit.write() as session:
            accounts.update_user(session, visit.user, user_id, changes, password_hash=password_hash)
    except TailraceError as error:
        return _show(visit, user_id, password=form.refused(error), status=error.status)
    return visit.go(f"{_ADDRESS}/{user_id}", _SIGNED_OUT)


@router.post("/web/admin/people/{user_id}/tokens/{token_id}/delete")
def delete_token(visit: AdminVisiting, user_id: Id, token_id: Id) -> Response:
    """Revoke somebody's API token."""
    with visit.write() as session:
        accounts.delete_token(session, user_id, token_id)
    return visit.go(f"{_ADDRESS}/{user_id}", "The token is revoked.")


def _show_list(visit: Visit, *, after: int = 0, form: Form | None = None, status: int = 200) -> Response:
    with visit.shell() as (session, shell):
        found = accounts.list_users(session, after=after, limit=_SHOWN)
        return visit.page(
            "admin/people",
            shell,
            status=status,
            people=found.items,
            next=found.next,
            after=after,
            form=form or Form(),
        )


def _show(
    visit: Visit, user_id: int, *, form: Form | None = None, password: Form | None = None, status: int = 200
) -> Response:
    with visit.shell() as (session, shell):
        return visit.page(
            "admin/person",
            shell,
            status=status,
            person=accounts.get_user(session, user_id),
            tokens=accounts.list_tokens(session, user_id),
            form=form or Form(),
            password=password or Form(),
        )
