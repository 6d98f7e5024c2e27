"""Who is calling, as a route's parameter: `CurrentUser` for everybody signed in, `Administrator` for those alone."""

from typing import Annotated

from fastapi import Depends, Response
from fastapi.security import APIKeyCookie, HTTPAuthorizationCredentials, HTTPBearer
from starlette.requests import HTTPConnection

from tailrace.accounts.credentials import SESSION_LIFE, authenticate
from tailrace.accounts.principal import Principal
from tailrace.errors import Forbidden, Unauthorized
from tailrace.http.dependencies import DatabaseDep

COOKIE = "tailrace_session"
_bearer = HTTPBearer(auto_error=False, description="An API token, from `POST /tokens` or `tailrace token create`")
_cookie = APIKeyCookie(name=COOKIE, auto_error=False, description="Set by `POST /session`")
Bearer = Annotated[HTTPAuthorizationCredentials | None, Depends(_bearer)]
Cookie = Annotated[str | None, Depends(_cookie)]


def current_user(database: DatabaseDep, bearer: Bearer, cookie: Cookie) -> Principal:
    """Return who sent these credentials; raises Unauthorized."""
    # A header was sent on purpose, a cookie comes by itself: a wrong header is never mended by a cookie.
    if bearer is not None:
        return authenticate(database, "token", bearer.credentials)
    if cookie:
        return authenticate(database, "session", cookie)
    raise Unauthorized("Sign in, or send an API token as `Authorization: Bearer …`.")


CurrentUser = Annotated[Principal, Depends(current_user)]


async def _administrator(user: CurrentUser) -> Principal:
    if not user.is_admin:
        raise Forbidden("Only an administrator may do this.")
    return user


Administrator = Annotated[Principal, Depends(_administrator)]


def client_address(connection: HTTPConnection) -> str:
    """Return the address the request came from, as the server knows it."""
    return connection.client.host if connection.client else "unknown"


def set_session_cookie(connection: HTTPConnection, response: Response, secret: str) -> None:
    """Give the browser its session; behind https the cookie never travels without."""
    base_url = str(getattr(connection.app.state, "base_url", ""))
    secure = connection.url.scheme == "https" or base_url.startswith("https:")
    max_age_s = int(SESSION_LIFE.total_seconds())
    response.set_cookie(COOKIE, secret, max_age=max_age_s, path="/", httponly=True, samesite="lax", secure=secure)


def clear_session_cookie(response: Response) -> None:
    """Take the browser's session away, and what it keeps of pictures and files that whoever signed out could see."""
    response.headers["Clear-Site-Data"] = '"cache"'
    response.delete_cookie(COOKIE, path="/", httponly=True, samesite="lax")
