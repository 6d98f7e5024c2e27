"""What a page offers to filter and sort tasks by."""

from collections.abc import Mapping

from tailrace.tasks.chosen import TaskFilter
from tailrace.tasks.service import Priority

STATUS_CHOICES = (
    ("open", "Open"),
    ("all", "All"),
    ("todo", "To do"),
    ("doing", "Doing"),
    ("blocked", "Blocked"),
    ("done", "Done"),
    ("cancelled", "Cancelled"),
)
WHEN_CHOICES = (
    ("", "Any time"),
    ("overdue", "Overdue"),
    ("today", "Today or earlier"),
    ("week", "Within a week"),
    ("none", "Without a day"),
)
SORT_CHOICES = (
    ("-priority", "Urgent first"),
    ("due", "Due first"),
    ("-updated", "Changed last"),
    ("-created", "Newest first"),
    ("created", "Oldest first"),
    ("title", "By title"),
)
PRIORITY_CHOICES = (("", "Any priority"), *((each.value, each.value.capitalize()) for each in reversed(Priority)))
_NAMES = {
    "status": dict(STATUS_CHOICES),
    "priority": dict(PRIORITY_CHOICES),
    "when": dict(WHEN_CHOICES),
    "sort": dict(SORT_CHOICES),
}


def words(chosen: TaskFilter, people: Mapping[str, str]) -> list[str]:
    """Return what a filter asks for, in words; `people` are the names of those whom it may name, by id."""
    named = {**_NAMES, "assignee": {"me": "Mine", "none": "Nobody's", **people}}
    return [named.get(name, {}).get(value, _plain(name, value)) for name, value in chosen.chosen().items()]


def _plain(name: str, value: str) -> str:
    return f"“{value}”" if name == "q" else value
