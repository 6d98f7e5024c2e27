"""Times, days, numbers and sizes as a page shows them."""

from collections.abc import Callable
from datetime import UTC, date, datetime, timedelta
from typing import Literal

from markupsafe import Markup, escape

from tailrace.database import utcnow
from tailrace.tasks.schemas import ActivityView
from tailrace.tasks.service import Priority, Status

STATUS_NAMES = {
    Status.TODO: "To do",
    Status.DOING: "Doing",
    Status.BLOCKED: "Blocked",
    Status.DONE: "Done",
    Status.CANCELLED: "Cancelled",
}
PRIORITY_NAMES = {
    Priority.NONE: "No priority",
    Priority.LOW: "Low",
    Priority.MEDIUM: "Medium",
    Priority.HIGH: "High",
    Priority.URGENT: "Urgent",
}
Nearness = Literal["late", "today", "soon", "later"]
_STEPS = ((60, "second", 1), (3600, "minute", 60), (86_400, "hour", 3600), (30 * 86_400, "day", 86_400))
_UNITS = ("bytes", "KiB", "MiB", "GiB", "TiB")
_SOON_DAYS = 7


def moment(value: datetime) -> Markup:
    """Return a moment as how long ago it was, with the exact one on hover; `times.js` makes both local."""
    exact = value.astimezone(UTC)
    title = f"{exact:%-d %B %Y, %H:%M} UTC"
    return Markup('<time datetime="{}" title="{}" data-relative>{}</time>').format(
        exact.isoformat(timespec="seconds"), title, ago(value)
    )


def ago(value: datetime) -> str:
    """Return how long before now a moment was, or after, to the nearest of its largest unit, as `times.js` does."""
    seconds = (utcnow() - value).total_seconds()
    amount = abs(seconds)
    if amount < 60:
        return "just now" if seconds >= 0 else "in a moment"
    for limit, unit, size in ((60, "minute", 60), (24, "hour", 3600), (31, "day", 86_400)):
        count = int(amount / size + 0.5)
        if count < limit:
            return _direction(count, unit, seconds)
    return f"{value:%-d %b %Y}"


def day(value: date, today: date | None = None) -> str:
    """Return a day as people say it: today, tomorrow, Friday, 3 May, 3 May 2024."""
    today = today or utcnow().date()
    away = (value - today).days
    near = {-1: "Yesterday", 0: "Today", 1: "Tomorrow"}
    if away in near:
        return near[away]
    if 1 < away < _SOON_DAYS:
        return f"{value:%A}"
    return f"{value:%-d %b}" if value.year == today.year else f"{value:%-d %b %Y}"


def nearness(value: date, today: date | None = None) -> Nearness:
    """Return how near a due day is."""
    away = (value - (today or utcnow().date())).days
    if away < 0:
        return "late"
    return "today" if away == 0 else "soon" if away < _SOON_DAYS else "later"


def number(value: int) -> str:
    """Return a whole number with thin separators, as 12,345."""
    return f"{value:,}"


def size(count: int) -> str:
    """Return a number of bytes in the largest unit that leaves one or more."""
    value = float(count)
    for unit in _UNITS[:-1]:
        if value < 1024:
            return f"{count} {unit}" if unit == "bytes" else f"{value:.1f} {unit}"
        value /= 1024
    return f"{value:.1f} {_UNITS[-1]}"


def remaining(elapsed: timedelta, *, done: int, total: int | None) -> str:
    """Return about how long work still takes that has come to `done` of `total`, or nothing while nobody can tell."""
    if not total or not 0 < done < total:
        return ""
    seconds = elapsed.total_seconds() * (total - done) / done
    for limit, unit, length in _STEPS:
        if seconds < limit:
            return f"about {plural(max(1, round(seconds / length)), unit)} left"
    return "more than a month left"


def initials(name: str) -> str:
    """Return the one or two letters that stand for a person."""
    words = [word for word in name.split() if word[:1].isalnum()] or [name or "?"]
    return (words[0][:1] + (words[-1][:1] if len(words) > 1 else "")).upper()


def hue(key: int | str) -> int:
    """Return which of the eight calm colours stands for a person's id or a label, always the same one."""
    return (key if isinstance(key, int) else sum(key.encode())) * 5 % 8


def plural(count: int, one: str, many: str = "") -> Markup:
    """Return `3 tasks`, or `1 task`."""
    return escape(f"{number(count)} {one if count == 1 else many or one + 's'}")


def change(entry: ActivityView) -> Markup:
    """Return what somebody did to a task, as the rest of a sentence that begins with their name."""
    return _CHANGES.get(entry.field, _set)(entry)


def _set(entry: ActivityView) -> Markup:
    if entry.new is None:
        return Markup("removed the {}").format(_FIELDS.get(entry.field, entry.field))
    return Markup("set the {} to <em>{}</em>").format(_FIELDS.get(entry.field, entry.field), _value(entry))


def _value(entry: ActivityView) -> str:
    value = entry.new or ""
    if entry.field == "status":
        return STATUS_NAMES[Status(value)]
    if entry.field == "due":
        return f"{date.fromisoformat(value):%-d %B %Y}"
    return PRIORITY_NAMES[Priority(value)] if entry.field == "priority" else value


def _photo(entry: ActivityView) -> Markup:
    if entry.new is None:
        return Markup("removed the photo <em>{}</em>").format(entry.old or "")
    return Markup("added the photo <em>{}</em>").format(entry.new)


def _step(entry: ActivityView) -> Markup:
    title = (entry.new or entry.old or "")[4:]
    if entry.old is None:
        return Markup("added the step <em>{}</em>").format(title)
    if entry.new is None:
        return Markup("removed the step <em>{}</em>").format(title)
    if entry.old[4:] != title:
        return Markup("renamed the step <em>{}</em> to <em>{}</em>").format(entry.old[4:], title)
    verb = "did" if entry.new.startswith("[x]") else "reopened"
    return Markup("{} the step <em>{}</em>").format(verb, title)


def _comment(entry: ActivityView) -> Markup:
    return Markup("removed a comment") if entry.new is None else Markup("edited a comment")


_FIELDS = {"due": "due day"}
_CHANGES: dict[str, Callable[[ActivityView], Markup]] = {
    "created": lambda _: Markup("created the task"),
    "description": lambda _: Markup("changed the description"),
    "title": lambda entry: Markup("renamed it to <em>{}</em>").format(entry.new),
    "checklist": _step,
    "comment": _comment,
    "photo": _photo,
}


def _direction(amount: int, unit: str, seconds: float) -> str:
    text = f"{amount} {unit}{'' if amount == 1 else 's'}"
    return f"{text} ago" if seconds >= 0 else f"in {text}"
