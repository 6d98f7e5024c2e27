"""Every kind of mail can be made, in text and in HTML, from the values it is given."""

from pathlib import Path

import jinja2
import pytest

import tailrace.notifications
from tailrace.notifications.rendering import compose, message_id, render_subject
from tests.notifications.conftest import body

TEMPLATES = Path(tailrace.notifications.__file__).with_name("templates")
KINDS = sorted(path.name for path in TEMPLATES.iterdir() if path.is_dir())
NAMES = [
    "title",
    "asked_by",
    "amount",
    "format",
    "size",
    "ready_at",
    "created_at",
    "expires_at",
    "sha256",
    "error",
    "text",
]
VALUES = {name: f"{name} & <more>" for name in [*NAMES, "report_id"]} | {"path": "/reports/r/file", "place": ""}


@pytest.mark.parametrize("kind", KINDS)
def test_every_kind_has_subject_text_and_html(kind: str) -> None:
    subject = render_subject(kind, VALUES)
    assert subject
    assert "\n" not in subject
    mail = compose(
        key="k",
        to="ann@example.org",
        subject=subject,
        template=kind,
        context=VALUES,
        sender="tailrace@example.org",
        base_url="https://tasks.example.org",
    )
    assert "https://tasks.example.org" in body(mail, "plain")
    assert "https://tasks.example.org" in body(mail, "html")
    assert max(len(line) for line in mail.as_bytes().splitlines()) <= 998
    assert mail.as_bytes().isascii()


def test_a_missing_value_is_an_error_and_not_an_empty_space() -> None:
    with pytest.raises(jinja2.UndefinedError, match="title"):
        render_subject("report_failed", {})


def test_an_unknown_kind_is_an_error() -> None:
    with pytest.raises(jinja2.TemplateNotFound):
        render_subject("no_such_kind", VALUES)


def test_the_message_id_depends_on_the_key_alone() -> None:
    assert message_id("a", "x@example.org") == message_id("a", "y@example.org") != message_id("b", "x@example.org")
