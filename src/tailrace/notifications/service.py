"""Asking for mails, and looking what became of them."""

from collections.abc import Mapping
from dataclasses import dataclass
from datetime import datetime

from sqlalchemy import delete, select
from sqlalchemy.exc import IntegrityError
from sqlalchemy.orm import Session

from tailrace.database import new_id
from tailrace.errors import Conflict, Invalid, NotFound
from tailrace.http.fields import normalize_email
from tailrace.jobs import enqueue
from tailrace.mailer import Mailer
from tailrace.notifications import jobs
from tailrace.notifications.models import Mail, MailState
from tailrace.notifications.rendering import compose, render_subject

__all__ = [
    "MailState",
    "MailView",
    "Value",
    "get_mail",
    "list_mails",
    "resend_mail",
    "send_mail",
    "send_test_mail",
    "show_mail",
    "withdraw_mails",
]

Value = str | int | None


@dataclass(frozen=True, slots=True)
class MailView:
    """A mail that was asked for, and what became of it: `error` is why it is not sent, or not yet.

    `delivered` tells of one that is sent whether a mail server accepted it, or it is only a file.
    """

    id: str
    recipient: str
    subject: str
    state: MailState
    error: str | None
    created_at: datetime
    sent_at: datetime | None
    delivered: bool


def send_mail(
    session: Session, *, to: str, template: str, context: Mapping[str, Value], key: str, owner: str | None = None
) -> MailView:
    """Ask for a mail: it is sent if and only if this transaction commits, and once for each `key`.

    `template` names a folder of `templates/`, which shows the values of `context`; `key` has up to 200 characters;
    `owner` is the job's, on whose channel `mail.changed` tells what becomes of it. Asked again with the same key, it
    returns the first mail unchanged.

    Raises Invalid if `to` is no address, jinja2.TemplateNotFound for an unknown template, and jinja2.UndefinedError
    when its subject shows a value that is not in `context`.
    """
    recipient = _check_address(to)
    subject = render_subject(template, context)
    mail = Mail(key=key, recipient=recipient, subject=subject, template=template, context=dict(context), owner=owner)
    try:
        with session.begin_nested():
            session.add(mail)
    except IntegrityError:
        return get_mail(session, key)
    enqueue(session, jobs.send_mail, {"mail_id": mail.id}, owner=owner)
    return _view(mail)


def withdraw_mails(session: Session, key: str) -> None:
    """Forget the mails whose keys begin with `key` and that still wait to be sent: what they tell of is gone."""
    waiting = Mail.key.startswith(key, autoescape=True), Mail.state == MailState.QUEUED
    session.execute(delete(Mail).where(*waiting), execution_options={"synchronize_session": False})


def send_test_mail(mailer: Mailer, *, to: str, sender: str, base_url: str) -> str:
    """Send a test mail at once, without a row or a job, and return its Message-ID.

    Raises Invalid if `to` is no address, MailRefused or MailUnavailable.
    """
    context = {"base_url": base_url}
    subject = render_subject("test", context)
    recipient = _check_address(to)
    message = compose(
        key=f"test:{new_id()}",
        to=recipient,
        subject=subject,
        template="test",
        context=context,
        sender=sender,
        base_url=base_url,
    )
    mailer.send(message)
    return str(message["Message-ID"])


def get_mail(session: Session, key: str) -> MailView:
    """Return the mail that was asked for with `key`; raises NotFound."""
    mail = session.scalars(select(Mail).where(Mail.key == key)).one_or_none()
    if mail is None:
        raise NotFound("No such mail was asked for.")
    return _view(mail)


def list_mails(session: Session, *, state: MailState | None = None, after: str = "", limit: int = 50) -> list[MailView]:
    """Return up to `limit` mails, the newest first, of one state or all; `after` is the id of the last one before."""
    query = select(Mail).order_by(Mail.id.desc()).limit(limit)
    if state is not None:
        query = query.where(Mail.state == state)
    if after:
        query = query.where(Mail.id < after)
    return [_view(mail) for mail in session.scalars(query)]


def show_mail(session: Session, mail_id: str, *, sender: str, base_url: str) -> tuple[MailView, str]:
    """Return a mail and its text, as it is sent by `sender`; raises NotFound."""
    mail = _existing(session, mail_id)
    message = compose(
        key=mail.key,
        to=mail.recipient,
        subject=mail.subject,
        template=mail.template,
        context=mail.context,
        sender=sender,
        base_url=base_url,
    )
    body = message.get_body(("plain",))
    return _view(mail), str(body.get_content()) if body is not None else ""


def resend_mail(session: Session, mail_id: str) -> MailView:
    """Have a mail sent again that was given up or sent, with the same Message-ID.

    Raises NotFound, or Conflict while it still waits to be sent.
    """
    mail = _existing(session, mail_id, hold=True)
    if mail.state == MailState.QUEUED:
        raise Conflict("This mail is not given up yet; it is tried again by itself.")
    mail.state, mail.error = MailState.QUEUED, None
    jobs.tell_owner(session, mail)
    enqueue(session, jobs.send_mail, {"mail_id": mail.id}, owner=mail.owner)
    return _view(mail)


def _existing(session: Session, mail_id: str, *, hold: bool = False) -> Mail:
    mail = session.get(Mail, mail_id, with_for_update=hold, populate_existing=hold)
    if mail is None:
        raise NotFound("There is no such mail; mails are forgotten after 90 days.")
    return mail


def _check_address(text: str) -> str:
    try:
        return normalize_email(text)
    except ValueError as error:
        raise Invalid(f"{str(error)[0].upper()}{str(error)[1:]}.") from error


def _view(mail: Mail) -> MailView:
    return MailView(
        id=mail.id,
        recipient=mail.recipient,
        subject=mail.subject,
        state=MailState(mail.state),
        error=mail.error,
        created_at=mail.created_at,
        sent_at=mail.sent_at,
        delivered=mail.state == MailState.SENT and mail.message_id is not None,
    )
