"""Who may listen to what, asked when a stream opens and again while it runs: a sign-out ends it."""

import re
from collections.abc import Callable, Sequence
from typing import Literal

from sqlalchemy.orm import Session
from starlette.requests import Request

from tailrace.accounts import service as accounts
from tailrace.accounts.dependencies import COOKIE
from tailrace.accounts.principal import Principal
from tailrace.database import Database
from tailrace.errors import Forbidden, Invalid, NotFound, Unauthorized
from tailrace.operations.service import visible_job
from tailrace.projects import service as projects

_CHANNEL = re.compile(r"(project|user):([1-9][0-9]{0,8})|(job):([0-9a-f]{32})")
_UNKNOWN = (
    "There is no channel {!r}, or none that you may follow. Channels are project:ID, user:ID (your own) and job:ID."
)

Permission = Callable[[Session, Principal], None]


class Recheck:
    """Tells, each time it is called, whether the caller of a request is still signed in and still permitted.

    It blocks, and uses a session of its own.
    """

    def __init__(self, request: Request, permission: Permission) -> None:
        """`permission` raises Unauthorized, Forbidden or NotFound when the answer is no."""
        self._database: Database = request.app.state.database
        self._permission = permission
        self._via, self._secret = _credential(request)

    def __call__(self) -> bool:
        recognise = accounts.authenticate_token if self._via == "token" else accounts.authenticate_session
        try:
            with self._database.read() as session:
                self._permission(session, recognise(session, self._secret))
        except (Unauthorized, Forbidden, NotFound):
            return False
        return True


def administrators_only(_session: Session, principal: Principal) -> None:
    """Raise Forbidden unless the caller is an administrator."""
    if not principal.is_admin:
        raise Forbidden("Only an administrator may do this.")


def may_follow(channels: Sequence[str]) -> Permission:
    """Return the permission to follow all of `channels`; it raises NotFound for one that the caller may not know."""

    def permission(session: Session, principal: Principal) -> None:
        for channel in channels:
            try:
                _require_channel(session, principal, channel)
            except NotFound as error:
                raise NotFound(_UNKNOWN.format(channel)) from error

    return permission


def _require_channel(session: Session, principal: Principal, channel: str) -> None:
    match = _CHANNEL.fullmatch(channel)
    if match is None:
        raise Invalid(f"{channel[:80]!r} is no channel; write project:ID, user:ID or job:ID.")
    if match[1] == "project":
        projects.role_in(session, principal, int(match[2]))
    elif match[1] == "user" and int(match[2]) != principal.user_id:
        raise NotFound
    elif match[3] == "job":
        visible_job(session, principal, match[4])


def _credential(request: Request) -> tuple[Literal["token", "session"], str]:
    scheme, _, secret = request.headers.get("authorization", "").partition(" ")
    if scheme.lower() == "bearer":
        return "token", secret.strip()
    return "session", request.cookies.get(COOKIE, "")
