"""A whole task in one line, as it is typed: `replace valve !high @me #pump tomorrow`.

    !high      the priority, also by its beginning: !u, !h, !m, !l
    @me        who is to do it: oneself, or a member by the beginning of a name or of an address
    #pump      a label; there may be several
    tomorrow   when it is due, at the end of the line: today, friday, next week, in 3 days, 3 may, 2025-12-31

What is none of these stays in the title as it was typed, and so does a mark behind a backslash.
"""

import re
from bisect import bisect_left
from collections.abc import Callable, Iterable, Sequence
from dataclasses import dataclass, field
from datetime import date, timedelta

from tailrace.accounts.schemas import Person
from tailrace.tasks.models import Priority
from tailrace.tasks.schemas import TaskInput

LABELS_MAX = 20
_LABEL_LENGTH_MAX = 50
_WEEKDAYS = ("monday", "tuesday", "wednesday", "thursday", "friday", "saturday", "sunday")
_MONTHS = (
    "january", "february", "march", "april", "may", "june", "july", "august", "september", "october", "november",
    "december",
)  # fmt: skip
_LEAST_LETTERS = 3
_DAYS_MAX = 3650


@dataclass(slots=True)
class QuickTask:
    """What a line says; `assignee` is one of the people that were known.

    `unknown` are words of the title that were marked, as a priority or a person is, and mean neither.
    """

    title: str = ""
    priority: Priority = Priority.NONE
    assignee: Person | None = None
    labels: list[str] = field(default_factory=list)
    due: date | None = None
    unknown: list[str] = field(default_factory=list)

    def as_input(self) -> TaskInput:
        """Return the task to be created; raises pydantic.ValidationError if the title is missing or too long."""
        return TaskInput(
            title=self.title,
            priority=self.priority,
            assignee=self.assignee.id if self.assignee else None,
            labels=self.labels,
            due=self.due,
        )


def parse(line: str, *, me: int, people: Sequence[Person], today: date) -> QuickTask:
    """Return what `line` says. `people` may be named, `me` is the id of the one who typed; every line has a meaning."""
    task, roll = QuickTask(), Roll(people, me)
    words = [word for word in line.split() if not _take(task, word, roll)]
    task.due, count = _due_at_end([word.lower().rstrip(".,;") for word in words], today)
    kept = words[: len(words) - count]
    if count and kept and kept[-1].lower() in {"due", "by", "on", "until"}:
        kept = kept[:-1]
    task.unknown = [word for word in kept if word[0] in "!@" and word[1:2].isalpha()]
    task.title = " ".join(word[1:] if word[:1] == "\\" and word[1:2] in "!@#" else word for word in kept)
    return task


def _take(task: QuickTask, word: str, roll: "Roll") -> bool:
    """Take a marked word into the task; return whether it meant something."""
    mark, name = word[:1], word[1:]
    if mark == "!" and (priority := _priority(name.lower())) is not None:
        task.priority = priority
    elif mark == "@" and (person := roll.find(name)) is not None:
        task.assignee = person
    elif mark == "#" and _is_label(name) and len(task.labels) < LABELS_MAX:
        task.labels += [name] if name not in task.labels else []
    else:
        return False
    return True


def _priority(name: str) -> Priority | None:
    found = [priority for priority in Priority if name and priority.value.startswith(name)]
    return found[0] if len(found) == 1 else None


class Roll:
    """Those whom `@` may name, sorted once by each of their names: many are looked for in one text."""

    def __init__(self, people: Iterable[Person], me: int) -> None:
        self._people = {person.id: person for person in people}
        self._me = me
        self._names = sorted({(name, person.id) for person in self._people.values() for name in _names(person)})

    def find(self, name: str) -> Person | None:
        """Return whom `@name` means: `me`, or whose name or address begins so; None if not just one."""
        name = name.lower()
        if name == "me":
            return self._people.get(self._me)
        found: set[int] = set()
        for at in range(bisect_left(self._names, (name, 0)), len(self._names)):
            if not name or not self._names[at][0].startswith(name) or len(found) > 1:
                break
            found.add(self._names[at][1])
        return self._people[found.pop()] if len(found) == 1 else None


def _names(person: Person) -> list[str]:
    return [person.email.lower(), *person.name.lower().split(), re.sub(r"\s+", ".", person.name.lower())]


def _is_label(name: str) -> bool:
    return 0 < len(name) <= _LABEL_LENGTH_MAX and "," not in name and name.isprintable()


def _due_at_end(words: Sequence[str], today: date) -> tuple[date | None, int]:
    """Return the day that the last words name, and how many words that are."""
    for count in (3, 2, 1):
        # A day alone would leave a task without a title.
        if len(words) > count:
            for read in _READERS[count]:
                if (day := read(words[-count:], today)) is not None:
                    return day, count
    return None, 0


def _in_days(words: Sequence[str], today: date) -> date | None:
    match = re.fullmatch(r"in (\d{1,4}) (day|week)s?", " ".join(words))
    if match is None:
        return None
    days = int(match[1]) * (7 if match[2] == "week" else 1)
    return today + timedelta(days=days) if days <= _DAYS_MAX else None


def _next(words: Sequence[str], today: date) -> date | None:
    if words[0] != "next":
        return None
    if words[1] == "week":
        return today + timedelta(days=7 - today.weekday())
    return _weekday(words[1:], today)


def _day_of_month(words: Sequence[str], today: date) -> date | None:
    number, name = sorted(words, key=str.isalpha)
    month = _index(_MONTHS, name)
    if month is None or not re.fullmatch(r"\d{1,2}", number):
        return None
    return _coming(int(number), month + 1, today)


def _named(words: Sequence[str], today: date) -> date | None:
    known = {"today": 0, "tomorrow": 1}
    return today + timedelta(days=known[words[0]]) if words[0] in known else None


def _weekday(words: Sequence[str], today: date) -> date | None:
    wanted = _index(_WEEKDAYS, words[0])
    # Named on its own day, the next one is meant.
    return None if wanted is None else today + timedelta(days=(wanted - today.weekday() - 1) % 7 + 1)


def _iso(words: Sequence[str], _today: date) -> date | None:
    if not re.fullmatch(r"\d{4}-\d\d-\d\d", words[0]):
        return None
    try:
        return date.fromisoformat(words[0])
    except ValueError:
        return None


def _coming(day: int, month: int, today: date) -> date | None:
    for year in range(today.year, today.year + 5):
        try:
            found = date(year, month, day)
        except ValueError:
            continue
        if found >= today:
            return found
    return None


def _index(names: Sequence[str], word: str) -> int | None:
    found = [at for at, name in enumerate(names) if name.startswith(word)]
    return found[0] if len(word) >= _LEAST_LETTERS and len(found) == 1 else None


_READERS: dict[int, tuple[Callable[[Sequence[str], date], date | None], ...]] = {
    3: (_in_days,),
    2: (_next, _day_of_month),
    1: (_named, _weekday, _iso),
}
