"""What people wrote is shown safely, and cannot take the time of everybody else."""

import sys
from itertools import count
from types import FrameType
from typing import Any

import pytest

from tailrace.web import markdown
from tailrace.web.markdown import is_reasonable, to_html

_numbers = count(1)


def calls_of(text: str) -> int:
    """Return how many functions run while a text is made into HTML, whatever the speed of this machine."""
    calls = 0

    def count_call(_frame: FrameType, event: str, _argument: Any) -> None:
        nonlocal calls
        calls += event == "call"

    sys.setprofile(count_call)
    try:
        to_html(text)
    finally:
        sys.setprofile(None)
    return calls


def fresh(text: str) -> str:
    """Return a text that was not shown before."""
    return f"{next(_numbers)}\n\n{text}"


HOSTILE = {
    "pictures": "![" * 10_000,
    "brackets": "[" * 20_000,
    "brackets and words": "[x*" * 6500,
    "addresses": "[a](" * 5000,
    "stress": "_*" * 10_000,
    "bare addresses": "https://a.b " * 1600,
    "addresses in brackets": "https://a.b" + ")" * 19_000,
    "colons": "https:" * 3000,
    "a wide table": "a|" * 300 + "\n" + "-|" * 300 + "\n" + "a|\n" * 6000,
    "a short text of many cells": "|" + "a|" * 100 + "\n|" + "-|" * 100 + "\n" + "|\n" * 650,
    "many tables": ("|" + "a|" * 50 + "\n|" + "-|" * 50 + "\n" + "|\n" * 50 + "\n") * 30,
    "a table behind carriage returns": "|" + "a|" * 100 + "\r|" + "-|" * 100 + "\r" + "|\r" * 650,
}


@pytest.mark.parametrize("text", HOSTILE.values(), ids=HOSTILE)
def test_a_text_that_nobody_writes_costs_no_more_than_prose(text: str) -> None:
    prose = "\n\n".join(["The *valve* of the **pump** is broken, see [the plan](https://site.test/a)."] * 250)
    assert is_reasonable(prose)
    assert calls_of(fresh(text)) < 2 * calls_of(fresh(prose))


def test_what_is_not_parsed_is_shown_as_it_was_written() -> None:
    html = to_html("<b>\n" + "[" * 5000)
    assert html.startswith("<p>&lt;b&gt;<br>\n[[[")
    assert html.endswith("[[</p>")


def test_long_texts_of_people_are_parsed() -> None:
    rows = "| pump | pressure | seen |\n|---|---|---|\n" + "| P1 | 3.2 bar | *yesterday* |\n" * 600
    assert to_html(rows).count("<tr>") == 601
    steps = "".join(f"- [step {number}](https://site.test/{number}), **now**\n" for number in range(1000))
    assert to_html(steps).count("<a ") == to_html(steps).count("<strong>") == 1000


def test_a_text_is_parsed_once() -> None:
    text = fresh("- *one*\n- two\n" * 100)
    first = calls_of(text)
    assert calls_of(text) < 20 < first
    assert to_html(text).count("<em>") == 100


def test_what_is_kept_is_bounded(monkeypatch: pytest.MonkeyPatch) -> None:
    kept = markdown.Kept(10_000)
    monkeypatch.setattr(markdown, "_kept", kept)
    texts = [fresh("x" * 1000) for _ in range(20)]
    for text in texts:
        assert to_html(text) == to_html(text)
    assert calls_of(texts[-1]) < 20 < calls_of(texts[0])
    assert to_html("y" * 20_000) == f"<p>{'y' * 20_000}</p>\n"


@pytest.mark.parametrize(
    ("text", "address"),
    [
        ("see <https://site.test/plan>", "https://site.test/plan"),
        ("see https://site.test/plan.", "https://site.test/plan"),
        ("(as in http://site.test/a_b_c/_d_?q=1&r=2#e)", "http://site.test/a_b_c/_d_?q=1&amp;r=2#e"),
        ("**https://site.test/a**", "https://site.test/a"),
        ("https://site.test/Weir_(dam), or so", "https://site.test/Weir_(dam)"),
        ("[the plan](https://site.test/plan)", "https://site.test/plan"),
        ("[https://site.test/a](https://site.test/plan)", "https://site.test/plan"),
        ("https://zürich.test/ö", "https://xn--zrich-kva.test/%C3%B6"),
        ("| a | https://site.test/x |\n|---|---|", "https://site.test/x"),
    ],
)
def test_an_address_is_one_link(text: str, address: str) -> None:
    html = to_html(text)
    assert f'href="{address}"' in html
    assert html.count("<a ") == 1


@pytest.mark.parametrize(
    "text",
    [
        "`https://site.test`",
        "https://",
        "xhttps://site.test",
        "javascript://x",
        "https://_.ch",
        "https://a" + "b" * 2000,
        "    https://x.y",
        "\\https\\://x.y",
    ],
)
def test_what_is_no_address_is_no_link(text: str) -> None:
    assert "<a " not in to_html(text)
