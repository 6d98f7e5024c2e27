"""From a template and its values to a message. Each kind of mail is a folder of subject, text and HTML."""

import hashlib
from collections.abc import Mapping
from email.headerregistry import Address
from email.message import EmailMessage
from email.policy import SMTP
from email.utils import format_datetime
from functools import cache
from pathlib import Path
from typing import Any

from jinja2 import Environment, FileSystemLoader, StrictUndefined, select_autoescape

from tailrace.database import utcnow

_TEMPLATES = Path(__file__).with_name("templates")
_SUBJECT_LENGTH = 200
# Seven bits pass through every mail server there ever was.
_POLICY = SMTP.clone(cte_type="7bit")


def render_subject(template: str, context: Mapping[str, Any]) -> str:
    """Return the subject as one line without control characters, whatever the values hold.

    Raises jinja2.TemplateNotFound for an unknown template, and jinja2.UndefinedError if a value is missing.
    """
    text = _render(f"{template}/subject.txt", context)
    line = " ".join("".join(character if character.isprintable() else " " for character in text).split())
    return line if len(line) <= _SUBJECT_LENGTH else f"{line[: _SUBJECT_LENGTH - 1]}…"


def message_id(key: str, sender: str) -> str:
    """Return the Message-ID that every attempt to send the mail with this key bears."""
    digest = hashlib.sha256(key.encode()).hexdigest()[:32]
    return f"<mail-{digest}@{sender.rpartition('@')[2]}>"


def compose(
    *, key: str, to: str, subject: str, template: str, context: Mapping[str, Any], sender: str, base_url: str
) -> EmailMessage:
    """Return the message in text and HTML; templates see `context`, `subject` and `base_url`, made for links.

    Raises ValueError if `to` or `sender` is no address, and what `render_subject` raises.
    """
    values = {**context, "subject": subject, "base_url": base_url}
    message = EmailMessage(policy=_POLICY)
    message["From"] = Address("Tailrace", addr_spec=sender)
    message["To"] = Address(addr_spec=to)
    message["Subject"] = subject
    message["Date"] = format_datetime(utcnow())
    message["Message-ID"] = message_id(key, sender)
    # Keeps holiday notices from answering (RFC 3834, section 5).
    message["Auto-Submitted"] = "auto-generated"
    message.set_content(_render(f"{template}/body.txt", values))
    message.add_alternative(_render(f"{template}/body.html", values), subtype="html")
    return message


def _render(name: str, values: Mapping[str, Any]) -> str:
    return _environment().get_template(name).render(values)


@cache
def _environment() -> Environment:
    return Environment(
        loader=FileSystemLoader(_TEMPLATES),
        autoescape=select_autoescape(("html",)),
        undefined=StrictUndefined,
        trim_blocks=True,
        lstrip_blocks=True,
    )
