"""Who may still have a mail when it is sent, which may be a day after it was asked for."""

from sqlalchemy import column, exists, select, table
from sqlalchemy.orm import Session

from tailrace.accounts import service as accounts
from tailrace.errors import NotFound
from tailrace.notifications.models import Mail

# Projects stand above notifications; like the foreign key of an inbox's entries, this knows their table by its name.
_MEMBERS = table("project_members", column("project_id"), column("user_id"))


def find_obstacle(session: Session, mail: Mail) -> str | None:
    """Return why a mail may not be sent any more, as a sentence, or None.

    Somebody's account was disabled since, or they have left the project that it tells of. An address of nobody here is
    where an administrator sent it.
    """
    try:
        person = accounts.find_user_by_email(session, mail.recipient)
    except NotFound:
        return None
    if person.disabled:
        return "It was not sent: the account with this address is disabled."
    project_id = mail.context.get("project_id")
    if project_id is None:
        return None
    place = _MEMBERS.c.project_id == project_id, _MEMBERS.c.user_id == person.id
    if not session.scalar(select(exists().where(*place))):
        return "It was not sent: this person has left the project that it tells of."
    return None
