"""Set-up, sign-in, API tokens and people."""

from typing import Annotated

from fastapi import APIRouter, Query, Request, Response

from tailrace.accounts import service
from tailrace.accounts.dependencies import (
    COOKIE,
    Administrator,
    CurrentUser,
    clear_session_cookie,
    client_address,
    set_session_cookie,
)
from tailrace.accounts.passwords import hash_password
from tailrace.accounts.principal import Principal
from tailrace.accounts.schemas import (
    NewTokenView,
    SessionView,
    SetupInput,
    SignInInput,
    TokenInput,
    TokenList,
    UserChanges,
    UserInput,
    UserPage,
    UserQuery,
    UserView,
)
from tailrace.accounts.sign_in import SignInLimits, SignInLimitsDep, check_own_password, sign_in
from tailrace.database import Database
from tailrace.errors import Invalid
from tailrace.http.dependencies import DatabaseDep, ReadSession, WriteSession
from tailrace.http.fields import Id

router = APIRouter(tags=["accounts"])


@router.post("/setup", status_code=201)
def set_up(body: SetupInput, database: DatabaseDep) -> UserView:
    """Create the first administrator, with the secret of the set-up link."""
    with database.read() as session:
        service.check_setup_token(session, body.token)
    password_hash = hash_password(body.password)
    with database.write() as session:
        return service.complete_setup(
            session, body.token, email=body.email, name=body.name, password_hash=password_hash
        )


@router.post("/session", status_code=201)
def create_session(
    body: SignInInput, request: Request, response: Response, database: DatabaseDep, limits: SignInLimitsDep
) -> SessionView:
    """Sign in: the answer sets the session cookie."""
    address = client_address(request)
    secret = sign_in(database, limits, email=body.email, password=body.password, address=address)
    set_session_cookie(request, response, secret)
    with database.read() as session:
        return SessionView(user=service.find_user_by_email(session, body.email), via="session")


@router.get("/session")
def show_session(user: CurrentUser, session: ReadSession) -> SessionView:
    """Tell who is signed in."""
    return SessionView(user=service.get_user(session, user.user_id), via=user.via)


@router.delete("/session", status_code=204)
def delete_session(request: Request, response: Response, session: WriteSession) -> None:
    """Sign out; it is no mistake to be signed out already."""
    if secret := request.cookies.get(COOKIE):
        service.close_session(session, secret)
    clear_session_cookie(response)


@router.post("/tokens", status_code=201)
def create_token(body: TokenInput, user: CurrentUser, session: WriteSession) -> NewTokenView:
    """Create an API token of your own. Its secret is in this answer and nowhere else."""
    return service.create_token(session, user.user_id, name=body.name, days=body.days)


@router.get("/tokens")
def list_tokens(user: CurrentUser, session: ReadSession) -> TokenList:
    """List your API tokens."""
    return TokenList(items=service.list_tokens(session, user.user_id))


@router.delete("/tokens/{token_id}", status_code=204)
def delete_token(token_id: Id, user: CurrentUser, session: WriteSession) -> None:
    """Revoke an API token of yours."""
    service.delete_token(session, user.user_id, token_id)


@router.post("/users", status_code=201)
def create_user(body: UserInput, _: Administrator, session: WriteSession) -> UserView:
    """Create a person (administrators)."""
    password_hash = hash_password(body.password)
    return service.create_user(
        session,
        email=body.email,
        name=body.name,
        password_hash=password_hash,
        is_admin=body.is_admin,
        time_zone=body.time_zone,
    )


@router.get("/users")
def list_users(query: Annotated[UserQuery, Query()], _: Administrator, session: ReadSession) -> UserPage:
    """List people (administrators)."""
    return service.list_users(session, after=query.after, limit=query.limit)


@router.get("/users/me")
def show_me(user: CurrentUser, session: ReadSession) -> UserView:
    """Show yourself."""
    return service.get_user(session, user.user_id)


@router.get("/users/{user_id}")
def show_user(user_id: Id, user: CurrentUser, session: ReadSession) -> UserView:
    """Show a person: yourself, or anybody for administrators."""
    return service.get_visible_user(session, user, user_id)


@router.patch("/users/{user_id}")
def update_user(
    user_id: Id, body: UserChanges, request: Request, user: CurrentUser, database: DatabaseDep, limits: SignInLimitsDep
) -> UserView:
    """Change a person: yourself, or anybody for administrators. A new password signs out everywhere."""
    password_hash, replaces = None, None
    if body.password is not None:
        if user_id == user.user_id:
            replaces = _check_current_password(body, user, database, limits, client_address(request))
        password_hash = hash_password(body.password)
    with database.write() as session:
        return service.update_user(session, user, user_id, body, password_hash=password_hash, replaces=replaces)


def _check_current_password(
    body: UserChanges, user: Principal, database: Database, limits: SignInLimits, address: str
) -> str:
    if body.current_password is None:
        raise Invalid("To change your own password, send current_password too.")
    return check_own_password(database, limits, email=user.email, password=body.current_password, address=address)
