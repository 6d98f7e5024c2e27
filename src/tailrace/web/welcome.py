"""The first steps after the set-up: look around, see whether mail works, bring a phone."""

import io
from typing import Annotated

import segno
from fastapi import Query
from markupsafe import Markup
from starlette.responses import Response

from tailrace.demo.service import request_demo
from tailrace.errors import Forbidden, TailraceError
from tailrace.mailer import FileMailer, MailRefused, MailUnavailable
from tailrace.notifications.service import send_test_mail
from tailrace.operations.service import visible_job
from tailrace.web.forms import Form
from tailrace.web.routing import page_router
from tailrace.web.visit import Visit, Visiting

router = page_router()
_ADDRESS = "/web/welcome"
SIZES = {500: "500 tasks", 20_000: "20,000 tasks", 200_000: "200,000 tasks, to see it run"}
UPLOAD_PAGE = "/web/photos/upload"
_HOW = "To have mails sent, set TAILRACE_MAIL_URL, such as smtp+starttls://USER:PASSWORD@HOST:587, and start again."
_JobId = Annotated[str, Query(max_length=64)]


@router.get(_ADDRESS)
def show_welcome(visit: Visiting, job: _JobId = "", project: int = 0) -> Response:
    """Show the steps; `job` fills the demo project `project`."""
    return _show(visit, job_id=job, project_id=project)


@router.post("/web/welcome/demo")
def make_demo(visit: Visiting) -> Response:
    """Create the demo project, which a job fills."""
    size = visit.form.text("tasks", "500")
    tasks = int(size) if size.isdecimal() and int(size) in SIZES else 500
    with visit.write() as session:
        project, job = request_demo(session, visit.user, tasks=tasks)
    return visit.go(f"{_ADDRESS}?job={job.id}&project={project.id}#demo")


@router.post("/web/welcome/mail")
def try_the_mail(visit: Visiting, job: _JobId = "", project: int = 0) -> Response:
    """Send a test mail at once, and say what became of it; the page goes on to show the demo project."""
    sent, form, status = try_mail(visit)
    return _show(visit, job_id=job, project_id=project, form=form, sent=sent, status=status)


def try_mail(visit: Visit) -> tuple[str, Form, int]:
    """Send the test mail of a form; return what became of it, or nothing, with the form and the status to answer."""
    if not visit.user.is_admin:
        raise Forbidden("Only an administrator may send a test mail.")
    state, form = visit.request.app.state, visit.form
    try:
        identifier = send_test_mail(
            state.mailer, to=form.text("email"), sender=state.mail_from, base_url=visit.base_url
        )
    except TailraceError as error:
        return "", form.refused(error, "email"), error.status
    except (MailRefused, MailUnavailable) as error:
        form.faults["email"] = error.detail
        return "", form, 422
    return _outcome(state.mailer, identifier), form, 200


def qr_code(text: str) -> Markup:
    """Return a text as a QR code, an SVG that goes into a page."""
    drawn = io.BytesIO()
    segno.make(text, error="m").save(drawn, kind="svg", xmldecl=False, svgclass="qr", lineclass=None, omitsize=True)
    return Markup(drawn.getvalue().decode())  # noqa: S704 (drawn here, from numbers alone)


def _show(
    visit: Visit,
    *,
    job_id: str = "",
    project_id: int = 0,
    form: Form | None = None,
    sent: str = "",
    status: int = 200,
) -> Response:
    if not visit.user.is_admin:
        raise Forbidden("These first steps are for administrators.")
    with visit.shell() as (session, shell):
        job = visible_job(session, visit.user, job_id) if job_id else None
        upload_url = f"{visit.base_url}{UPLOAD_PAGE}"
        return visit.page(
            "welcome/show",
            shell,
            status=status,
            job=job,
            demo_project=project_id,
            form=form or Form.of(email=visit.user.email),
            sent=sent,
            sizes=SIZES.items(),
            qr=qr_code(upload_url),
            upload_url=upload_url,
            is_local="//127.0.0.1" in upload_url or "//localhost" in upload_url,
        )


def _outcome(mailer: object, identifier: str) -> str:
    if isinstance(mailer, FileMailer):
        path = mailer.path_of(identifier)
        return f"Nobody got it, for no mail server is set: the mail is the file {path}. {_HOW}"
    return "The mail server accepted it. Look for it in the mailbox, in the spam too."
