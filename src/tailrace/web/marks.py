"""The small marks that lists are full of: icons, states, priorities, people, labels. Each is made once and kept."""

from datetime import date
from functools import lru_cache
from urllib.parse import quote

from markupsafe import Markup

from tailrace.tasks.schemas import TaskSummary
from tailrace.tasks.service import Priority, Status
from tailrace.web.assets import asset
from tailrace.web.wording import PRIORITY_NAMES, STATUS_NAMES, day, hue, initials, nearness

_OVER = (Status.DONE, Status.CANCELLED)


@lru_cache(maxsize=500)
def icon(name: str, title: str = "") -> Markup:
    """Return an icon of the sprite `icons.svg`; one without a title is decoration."""
    said = Markup('role="img" aria-label="{}"').format(title) if title else Markup('aria-hidden="true"')
    return Markup('<svg class="icon" {}><use href="{}#{}"></use></svg>').format(said, asset("icons.svg"), name)


@lru_cache(maxsize=50)
def status_mark(status: Status) -> Markup:
    """Return the sign of a state, in its colour, with its name for those who do not see it."""
    return Markup('<span class="status-{}">{}</span>').format(
        status.value, icon(f"status-{status}", STATUS_NAMES[status])
    )


@lru_cache(maxsize=50)
def priority_mark(priority: Priority) -> Markup:
    """Return the sign of a priority, likewise."""
    return Markup('<span class="priority priority-{}">{}</span>').format(
        priority.value, icon(f"priority-{priority}", PRIORITY_NAMES[priority])
    )


@lru_cache(maxsize=2000)
def avatar(user_id: int, name: str, size: str = "") -> Markup:
    """Return a person's initials in their colour; the name has to stand beside it in words. `size` may be `large`."""
    return Markup('<span class="avatar hue-{} {}" title="{}" aria-hidden="true">{}</span>').format(
        hue(user_id), size, name, initials(name)
    )


@lru_cache(maxsize=2000)
def label_link(project_id: int, name: str) -> Markup:
    """Return a label in its colour, which leads to the open tasks of the project that have it."""
    link = '<a class="chip hue hue-{}" href="/web/projects/{}?label={}" tabindex="-1">{}</a>'
    return Markup(link).format(hue(name), project_id, quote(name, safe=""), name)  # noqa: S704 (a constant)


def due_mark(task: TaskSummary, today: date) -> Markup:
    """Return until when a task is to be done, coloured by its nearness unless it is over; nothing without a day."""
    return Markup() if task.due is None else _due_mark(task.due, today, task.status in _OVER)


@lru_cache(maxsize=2000)
def _due_mark(due: date, today: date, over: bool) -> Markup:
    near = "" if over else f"due-{nearness(due, today)}"
    return Markup('<span class="due {}" title="{}">{}</span>').format(near, f"{due:%A, %-d %B %Y}", day(due, today))
