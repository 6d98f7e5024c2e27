"""Markdown that people wrote, as HTML that can do no harm, nor take long: pages wait for it, and with them all others.

A text is made into HTML once, and kept while there is room. One that no person writes by hand, with thousands of open
brackets or cells, is shown as it was written: what the parser does with it can take a second for each kilobyte.
"""

import hashlib
import re
from collections import OrderedDict
from functools import cache
from sys import getsizeof
from threading import Lock

import nh3
from markdown_it import MarkdownIt
from markdown_it.rules_inline import StateInline
from markupsafe import Markup, escape

_TAGS = {
    "a", "blockquote", "br", "code", "del", "em", "h3", "h4", "h5", "h6", "hr", "li", "ol", "p", "pre", "s", "strong",
    "table", "tbody", "td", "th", "thead", "tr", "ul",
}  # fmt: skip
_ATTRIBUTES = {"a": {"href", "title"}, "ol": {"start"}}
_SCHEMES = {"http", "https", "mailto"}
_KEPT_BYTES = 8 * 1024 * 1024
_BRACKETS_MAX = 2000
_STRESSES_MAX = 10_000
_CELLS_MAX = 10_000
_SCHEME_BEFORE = re.compile(r"\bhttps?$")
_ADDRESS_MAX = 2000
_ADDRESS = re.compile(rf"://[^\W_][^\s<>`|\\]{{0,{_ADDRESS_MAX}}}")
_BLANK_LINE = re.compile(r"\n[ \t]*\n")


def to_html(text: str) -> Markup:
    """Return CommonMark with tables, strikethrough and bare links, which begin with http or https, as safe HTML.

    HTML inside the text is shown as text. Headings begin at the third level, below the page's own; pictures are left
    out, for a page loads nothing from elsewhere.
    """
    key = hashlib.blake2b(text.encode()).digest()
    html = _kept.get(key)
    if html is None:
        html = _render(text) if is_reasonable(text) else _as_written(text)
        _kept.keep(key, html)
    return Markup(html)  # noqa: S704 (it was cleaned)


def is_reasonable(text: str) -> bool:
    """Return whether a parser takes about as long for this text as for prose of its length."""
    return (
        text.count("[") <= _BRACKETS_MAX
        and sum(map(text.count, "*_~")) <= _STRESSES_MAX
        and ("|" not in text or _most_cells(text) <= _CELLS_MAX)
    )


def _most_cells(text: str) -> int:
    # The parser fills up each row of a table to the width of its head.
    blocks = [block.split("\n") for block in _BLANK_LINE.split(text.replace("\r", "\n"))]
    return sum(len(lines) * max(line.count("|") for line in lines) for lines in blocks)


def _render(text: str) -> str:
    return nh3.clean(_parser().render(text), tags=_TAGS, attributes=_ATTRIBUTES, url_schemes=_SCHEMES)


def _as_written(text: str) -> str:
    return f"<p>{escape(text)}</p>".replace("\n", "<br>\n")


class Kept:
    """The HTML that was asked for last, up to a number of bytes."""

    def __init__(self, size: int) -> None:
        self._room = size
        self._lock = Lock()
        self._pieces: OrderedDict[bytes, str] = OrderedDict()

    def get(self, key: bytes) -> str | None:
        with self._lock:
            if key in self._pieces:
                self._pieces.move_to_end(key)
            return self._pieces.get(key)

    def keep(self, key: bytes, html: str) -> None:
        with self._lock:
            if key not in self._pieces:
                self._pieces[key] = html
                self._room -= getsizeof(html)
            while self._room < 0:
                self._room += getsizeof(self._pieces.popitem(last=False)[1])


_kept = Kept(_KEPT_BYTES)


@cache
def _parser() -> MarkdownIt:
    parser = MarkdownIt("commonmark", {"html": False, "linkify": False}).enable(["table", "strikethrough"])
    parser.core.ruler.push("lower_headings", _lower_headings)
    parser.inline.ruler.after("text", "bare_links", _link_bare_address)
    return parser


def _link_bare_address(state: StateInline, silent: bool) -> bool:
    """Make a link of an address; the parser stops at its colon, and has put what is before aside."""
    scheme = _SCHEME_BEFORE.search(state.pending[-6:])
    rest = _ADDRESS.match(state.src, state.pos)
    if scheme is None or rest is None or len(rest[0]) > _ADDRESS_MAX or state.linkLevel:
        return False
    address = _without_punctuation(rest[0])
    if not silent:
        state.pending = state.pending[: -len(scheme[0])]
        opening = state.push("link_open", "a", 1)
        opening.attrs = {"href": state.md.normalizeLink(scheme[0] + address)}
        state.push("text", "", 0).content = scheme[0] + address
        state.push("link_close", "a", -1)
    state.pos += len(address)
    return True


def _without_punctuation(address: str) -> str:
    """Return an address without what belongs to the sentence around it."""
    shorter = address.rstrip(".,;:!?*_~'\"")
    while shorter.endswith(")") and shorter.count(")") > shorter.count("("):
        shorter = shorter[:-1].rstrip(".,;:!?*_~'\"")
    return shorter


def _lower_headings(state: object) -> None:
    for token in getattr(state, "tokens", ()):
        if token.type in {"heading_open", "heading_close"}:
            token.tag = f"h{min(6, int(token.tag[1]) + 2)}"
