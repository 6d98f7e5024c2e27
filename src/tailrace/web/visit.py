"""One visit of a page by somebody signed in: who it is, what they sent, and how to answer."""

from collections.abc import Iterator
from contextlib import AbstractContextManager, contextmanager
from dataclasses import dataclass
from datetime import date, datetime
from typing import Annotated, Any
from urllib.parse import quote, unquote
from zoneinfo import ZoneInfo

from fastapi import Depends, Request
from sqlalchemy.orm import Session
from starlette.responses import RedirectResponse, Response

from tailrace.accounts import service as accounts
from tailrace.accounts.dependencies import COOKIE, CurrentUser
from tailrace.accounts.principal import Principal
from tailrace.database import Database
from tailrace.notifications import inbox
from tailrace.projects import service as projects
from tailrace.projects.schemas import ProjectView
from tailrace.streams import latest
from tailrace.web.forgery import token_for
from tailrace.web.forms import Form
from tailrace.web.navigation import SECTIONS, Section
from tailrace.web.rendering import page

FLASH = "tailrace_flash"
_PROJECTS_SHOWN = 100


@dataclass(frozen=True, slots=True)
class Shell:
    """What surrounds every page: who is signed in, where they may go, and where the event log stood."""

    user: Principal
    #: By name; with `more_projects` there are others.
    projects: list[ProjectView]
    more_projects: bool
    sections: list[Section]
    path: str
    forgery_token: str
    #: Read before the page's own data, so that a live page begins with what happened since.
    cursor: str
    unread: int
    flash: str

    def is_here(self, section: Section) -> bool:
        """Return whether the page belongs to a section."""
        return self.path == section.address or (section.address != "/" and self.path.startswith(f"{section.address}/"))


class Visit:
    """A page's request, as its endpoint needs it.

    Pages open their own sessions with `read` and `write`, instead of asking for one as a dependency: a refusal at the
    commit is then raised where it becomes a page, too.
    """

    def __init__(self, request: Request, user: Principal) -> None:
        self.request = request
        self.user = user
        self._database: Database = request.app.state.database

    @property
    def form(self) -> Form:
        """What was sent; only for a form without files."""
        form: Form = self.request.state.form
        return form

    @property
    def wants_part(self) -> bool:
        """Whether htmx asks for a part of the page rather than a browser for the whole."""
        return "hx-request" in self.request.headers and "hx-boosted" not in self.request.headers

    def refreshes(self, element_id: str) -> bool:
        """Return whether this part asks for itself anew, by no wish of the reader: it is not to take the focus."""
        return self.request.headers.get("hx-trigger") == element_id

    @property
    def base_url(self) -> str:
        """The address that people use."""
        return base_url(self.request)

    @property
    def forgery_token(self) -> str:
        """The token of this session's forms, for `parts.token` in a part that comes without its page."""
        return token_for(self.request.app.state.secret, self.request.cookies.get(COOKIE, ""))

    @property
    def mails_go_out(self) -> bool:
        """Whether mails reach people, rather than becoming files here."""
        return bool(getattr(getattr(self.request.app.state, "mailer", None), "delivers", True))

    def read(self) -> AbstractContextManager[Session]:
        """Give a session that only reads."""
        return self._database.read()

    def write(self) -> AbstractContextManager[Session]:
        """Give a session whose transaction commits at the end of the block."""
        return self._database.write()

    def today(self, session: Session) -> date:
        """Return which day it is where the person is."""
        return datetime.now(self.zone(session)).date()

    def zone(self, session: Session) -> ZoneInfo:
        """Return the time zone that the person chose."""
        return ZoneInfo(accounts.get_user(session, self.user.user_id).time_zone)

    @contextmanager
    def shell(self) -> Iterator[tuple[Session, Shell]]:
        """Give a session that only reads, and the surroundings of a whole page."""
        with self.read() as session:
            yield session, self._shell(session)

    def page(self, template: str, shell: Shell, /, *, status: int = 200, **values: object) -> Response:
        """Return a whole page."""
        response = page(template, status=status, title="", shell=shell, **self._known, **values)
        if shell.flash:
            response.delete_cookie(FLASH, path="/")
        return response

    def part(self, template: str, /, *, status: int = 200, title: str = "", **values: object) -> Response:
        """Return a part of a page, for htmx to put into place; a `title` becomes that of the whole page."""
        return page(template, status=status, title=title, **self._known, **values)

    def go(self, address: str, said: str = "") -> Response:
        """Lead on to a page after a change was made, which there is told in the sentence `said`."""
        return go(address, said)

    @property
    def _known(self) -> dict[str, Any]:
        """What every page and part may tell."""
        return {"user": self.user, "mails_go_out": self.mails_go_out}

    def _shell(self, session: Session) -> Shell:
        cursor = str(latest(session))
        found, more = projects.browse_projects(session, self.user, archived=False, limit=_PROJECTS_SHOWN)
        return Shell(
            user=self.user,
            projects=found,
            more_projects=more,
            sections=[section for section in SECTIONS if self.user.is_admin or not section.for_administrators],
            path=self.request.url.path,
            forgery_token=self.forgery_token,
            cursor=cursor,
            unread=inbox.count_unread(session, self.user),
            flash=flash(self.request),
        )


async def _visit(request: Request, user: CurrentUser) -> Visit:
    return Visit(request, user)


Visiting = Annotated[Visit, Depends(_visit)]


def base_url(request: Request) -> str:
    """Return the address that people use, without a slash at its end."""
    return str(getattr(request.app.state, "base_url", "")) or str(request.base_url).rstrip("/")


def go(address: str, said: str = "") -> Response:
    """Lead the browser on to `address`, where the sentence `said` is shown once."""
    response = RedirectResponse(address, status_code=303, headers={"Cache-Control": "no-store"})
    if said:
        response.set_cookie(FLASH, quote(said), max_age=60, path="/", httponly=True, samesite="lax")
    return response


def flash(request: Request) -> str:
    """Return what the page is to say once, or nothing."""
    return unquote(request.cookies.get(FLASH, ""))[:300]
