"""File names in headers."""

from email.message import Message

import pytest
from hypothesis import given
from hypothesis import strategies as st

from tailrace.streams import content_disposition


def filename(header: str) -> str:
    message = Message()
    message["Content-Disposition"] = header
    return message.get_filename() or ""


def test_a_plain_name() -> None:
    assert content_disposition("tasks 2026.csv") == 'attachment; filename="tasks 2026.csv"'
    assert content_disposition("a.png", inline=True) == 'inline; filename="a.png"'


def test_other_letters_have_a_plain_stand_in() -> None:
    header = content_disposition("Übersicht für 日本.csv")
    plain = 'filename="Ubersicht fur .csv"'
    assert header == f"attachment; {plain}; filename*=UTF-8''%C3%9Cbersicht%20f%C3%BCr%20%E6%97%A5%E6%9C%AC.csv"


@pytest.mark.parametrize(
    ("name", "safe"),
    [
        ("../../etc/passwd", "_.._etc_passwd"),
        ('a"b\\c', "a_b_c"),
        ("a\r\nSet-Cookie: x", "a__Set-Cookie_ x"),
        ("photo\u202egnp.exe", "photo_gnp.exe"),
        (" .hidden. ", "hidden"),
        ("", "file"),
        ("...", "file"),
        ("x" * 300 + ".csv", "x" * 146 + ".csv"),
    ],
)
def test_what_could_do_harm_is_replaced(name: str, safe: str) -> None:
    assert content_disposition(name) in {f'attachment; filename="{safe}"', f"attachment; filename*=UTF-8''{safe}"}


@given(st.text())
def test_any_name_makes_a_header_that_can_be_sent_and_read(name: str) -> None:
    header = content_disposition(name)
    assert header.isascii()
    assert header.isprintable()
    assert filename(header)
    assert not set(filename(header)) & set('/\\"\r\n\0')
