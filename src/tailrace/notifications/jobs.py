"""The jobs that send mails, and that forget old mails and what was read long ago in an inbox."""

import logging
from datetime import timedelta
from email.message import EmailMessage
from typing import Any, Protocol

from sqlalchemy import delete
from sqlalchemy.orm import Session

from tailrace.database import publish, utcnow
from tailrace.jobs import DoNotRetry, JobContext, job
from tailrace.mailer import Mailer, MailRefused, MailUnavailable
from tailrace.notifications.models import InboxEntry, Mail, MailState
from tailrace.notifications.recipients import find_obstacle
from tailrace.notifications.rendering import compose
from tailrace.patience import still_ended

KEPT = timedelta(days=90)
_log = logging.getLogger(__name__)


class Resources(Protocol):
    """What sending mails takes: a mailer, the sender's address, and the service's address for links."""

    @property
    def mailer(self) -> Mailer: ...
    @property
    def mail_from(self) -> str: ...
    @property
    def base_url(self) -> str: ...


@job("notifications.mail_failed")
def fail_mail(ctx: JobContext[Resources], job_id: str, state: str, error: str, args: dict[str, Any]) -> None:
    """Note on the mail that its job came to an end without sending it, unless the job was taken up again meanwhile."""
    with ctx.transaction() as session:
        mail = session.get(Mail, args["mail_id"], with_for_update=True)
        if mail is None or mail.state != MailState.QUEUED or not still_ended(session, job_id, state):
            return
        _log.error("Mail %s is given up, its job %s having ended as %s: %s", mail.id, job_id, state, error)
        mail.state, mail.error = MailState.FAILED, error or f"The job was {state}."
        tell_owner(session, mail)


# A mail server may be down for a day: a hundred attempts, which end up a quarter of an hour apart, take that long.
@job("notifications.send_mail", priority=40, max_attempts=100, timeout_s=300, on_failure=fail_mail)
def send_mail(ctx: JobContext[Resources], mail_id: str) -> None:
    """Send a mail that is not sent yet. Killed between sending and noting it, it is sent again with its Message-ID.

    One that its recipient may not have any more is given up, and says why.
    """
    with ctx.database.read() as session:
        mail = session.get(Mail, mail_id)
        if mail is None or mail.state == MailState.SENT:
            return
        obstacle = find_obstacle(session, mail)
    if obstacle is not None:
        _log.info("Mail %s is not sent: %s", mail_id, obstacle)
        _update(ctx, mail_id, state=MailState.FAILED, error=obstacle)
        return
    message = _composed(ctx.resources, mail)
    try:
        ctx.resources.mailer.send(message)
    except MailRefused as error:
        raise DoNotRetry(error.detail) from error
    except MailUnavailable as error:
        _update(ctx, mail_id, error=error.detail)
        raise
    accepted = message["Message-ID"] if ctx.resources.mailer.delivers else None
    _update(ctx, mail_id, state=MailState.SENT, sent_at=utcnow(), message_id=accepted, error=None)


def tell_owner(session: Session, mail: Mail) -> None:
    """Let whoever follows the channel of a mail's owner know where it stands."""
    if mail.owner is not None:
        publish(session, mail.owner, "mail.changed", {"id": mail.id, "state": mail.state})


def _composed(resources: Resources, mail: Mail) -> EmailMessage:
    return compose(
        key=mail.key,
        to=mail.recipient,
        subject=mail.subject,
        template=mail.template,
        context=mail.context,
        sender=resources.mail_from,
        base_url=resources.base_url,
    )


@job("notifications.prune", schedule="40 3 * * *")
def prune_mails(ctx: JobContext[Resources]) -> None:
    """Delete mails older than `KEPT` that were sent or given up, and what was read in an inbox as long ago."""
    then = utcnow() - KEPT
    with ctx.transaction() as session:
        session.execute(delete(Mail).where(Mail.created_at < then, Mail.state != MailState.QUEUED))
        session.execute(delete(InboxEntry).where(InboxEntry.read_at < then))


def _update(ctx: JobContext[Resources], mail_id: str, **values: Any) -> None:
    with ctx.transaction() as session:
        mail = session.get(Mail, mail_id, with_for_update=True)
        if mail is None:
            return
        for name, value in values.items():
            setattr(mail, name, value)
        tell_owner(session, mail)
