"""Mail: every message with what became of it, one sent again, and a test."""

from typing import Any

from sqlalchemy.orm import Session
from starlette.responses import Response

from tailrace.errors import Invalid
from tailrace.notifications import service as mails
from tailrace.notifications.service import MailState
from tailrace.web.admin.visiting import AdminVisiting
from tailrace.web.forms import Form
from tailrace.web.routing import page_router
from tailrace.web.visit import Visit
from tailrace.web.welcome import try_mail

router = page_router()
_ADDRESS = "/web/admin/mail"
_SHOWN = 50
STATE_NAMES = {MailState.QUEUED: "Waiting", MailState.SENT: "Sent", MailState.FAILED: "Given up"}
#: A mail that no server was there for.
IN_FILE = "Only in a file"


@router.get(_ADDRESS)
def list_mails(visit: AdminVisiting, state: str = "", after: str = "") -> Response:
    """List the mails, the newest first; htmx gets the list alone."""
    if visit.wants_part:
        with visit.read() as session:
            return visit.part("admin/mail_part", **_list(visit, session, state, after))
    return _show_list(visit, state=state, after=after)


@router.post("/web/admin/mail/test")
def test_mail(visit: AdminVisiting) -> Response:
    """Send a test mail at once, and say what became of it."""
    sent, form, status = try_mail(visit)
    return _show_list(visit, form=form, sent=sent, status=status)


@router.get("/web/admin/mail/{mail_id}")
def show_mail(visit: AdminVisiting, mail_id: str) -> Response:
    """Show one mail as it is sent."""
    sender = visit.request.app.state.mail_from
    with visit.shell() as (session, shell):
        mail, text = mails.show_mail(session, mail_id, sender=sender, base_url=visit.base_url)
        return visit.page("admin/one_mail", shell, mail=mail, text=text, states=STATE_NAMES, in_file=IN_FILE)


@router.post("/web/admin/mail/{mail_id}/resend")
def resend_mail(visit: AdminVisiting, mail_id: str) -> Response:
    """Send a mail again."""
    with visit.write() as session:
        mails.resend_mail(session, mail_id)
    verb = "sent" if visit.mails_go_out else "written to its file"
    return visit.go(f"{_ADDRESS}/{mail_id}", f"It is {verb} again as soon as a worker is free.")


def _show_list(
    visit: Visit, *, state: str = "", after: str = "", form: Form | None = None, sent: str = "", status: int = 200
) -> Response:
    with visit.shell() as (session, shell):
        form = form or Form.of(email=visit.user.email)
        values = _list(visit, session, state, after)
        told = "" if visit.mails_go_out else visit.request.app.state.mailer.describe()
        return visit.page("admin/mail", shell, status=status, form=form, sent=sent, told=told, **values)


def _list(visit: Visit, session: Session, state: str, after: str) -> dict[str, Any]:
    if state and state not in STATE_NAMES:
        raise Invalid("There is no such state of a mail.")
    after = after if after.isalnum() and len(after) == 32 else ""
    found = mails.list_mails(session, state=MailState(state) if state else None, after=after, limit=_SHOWN + 1)
    following = found[_SHOWN - 1].id if len(found) > _SHOWN else ""
    done = STATE_NAMES[MailState.SENT] if visit.mails_go_out else IN_FILE
    return {
        "mails": found[:_SHOWN],
        "next": following,
        "after": after,
        "state": state,
        "states": STATE_NAMES,
        "tabs": STATE_NAMES | {MailState.SENT: done},
        "in_file": IN_FILE,
    }
