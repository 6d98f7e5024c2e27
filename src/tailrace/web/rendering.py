"""Rendering a template, and the headers that let a page load and send only here."""

from functools import cache

from jinja2 import Environment, PackageLoader, StrictUndefined
from markupsafe import escape
from starlette.responses import HTMLResponse

from tailrace.http.headers import CONTENT_SECURITY_POLICY
from tailrace.web import markdown, marks, wording
from tailrace.web.assets import asset
from tailrace.web.blur import blur
from tailrace.web.navigation import project_tabs

_HEADERS = {
    "Content-Security-Policy": CONTENT_SECURITY_POLICY,
    # The address of the set-up page holds its secret, and pages show what is the caller's own.
    "Referrer-Policy": "same-origin",
    "Cache-Control": "no-store",
}
_GLOBALS = {
    "asset": asset,
    "icon": marks.icon,
    "status_mark": marks.status_mark,
    "priority_mark": marks.priority_mark,
    "avatar": marks.avatar,
    "label_link": marks.label_link,
    "due_mark": marks.due_mark,
    "project_tabs": project_tabs,
    "STATUS_NAMES": wording.STATUS_NAMES,
    "PRIORITY_NAMES": wording.PRIORITY_NAMES,
}
_FILTERS = {
    "moment": wording.moment,
    "day": wording.day,
    "markdown": markdown.to_html,
    "size": wording.size,
    "number": wording.number,
    "initials": wording.initials,
    "hue": wording.hue,
    "blur": blur,
    "plural": wording.plural,
}


def page(template: str, /, *, status: int = 200, title: str = "", **values: object) -> HTMLResponse:
    """Return the page, or part of one, of `template`, such as `projects/list`; each of `values` is escaped.

    A part that comes with a `title` gives the page around it that title, which htmx sees to.
    """
    head = f"<title>{escape(title)} · Tailrace</title>" if title else ""
    return HTMLResponse(head + render(template, **values), status_code=status, headers=_HEADERS)


def render(template: str, /, **values: object) -> str:
    """Return the text of `template`, as `page` does."""
    return _environment().get_template(f"{template}.html").render(**values)


@cache
def _environment() -> Environment:
    environment = Environment(
        loader=PackageLoader("tailrace.web"),
        autoescape=True,
        undefined=StrictUndefined,
        trim_blocks=True,
        lstrip_blocks=True,
    )
    environment.globals |= _GLOBALS
    environment.filters |= _FILTERS
    # Known everywhere, also in the blocks and the included parts of a page.
    environment.globals["parts"] = environment.get_template("parts.html").module
    return environment
