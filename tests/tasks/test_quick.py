from collections.abc import Iterator
from dataclasses import replace
from datetime import date
from itertools import product

import pytest
from hypothesis import given
from hypothesis import strategies as st

from tailrace.accounts.schemas import Person
from tailrace.tasks.models import Priority
from tailrace.tasks.quick import QuickTask, Roll, parse

ADA = Person(id=1, email="ada@site.test", name="Ada King")
MATEO = Person(id=2, email="m.rossi@site.test", name="Mateo Rossi")
MARTA = Person(id=3, email="marta@site.test", name="Marta Keller")
TODAY = date(2025, 5, 14)  # a Wednesday


def read(line: str) -> QuickTask:
    return parse(line, me=ADA.id, people=[ADA, MATEO, MARTA], today=TODAY)


def test_a_line_holds_a_whole_task() -> None:
    assert read("replace valve !high @me #pump tomorrow") == QuickTask(
        "replace valve", Priority.HIGH, ADA, ["pump"], date(2025, 5, 15)
    )


def test_marks_may_stand_anywhere_and_labels_repeat() -> None:
    task = read("#pump !u Replace the @mateo valve #roof #pump")
    assert (task.title, task.labels, task.assignee) == ("Replace the valve", ["pump", "roof"], MATEO)
    assert task.priority is Priority.URGENT


@pytest.mark.parametrize(
    ("words", "day"),
    [
        ("today", TODAY),
        ("Tomorrow.", date(2025, 5, 15)),
        ("friday", date(2025, 5, 16)),
        ("fri", date(2025, 5, 16)),
        ("by Monday", date(2025, 5, 19)),
        ("wednesday", date(2025, 5, 21)),
        ("next week", date(2025, 5, 19)),
        ("next tue", date(2025, 5, 20)),
        ("in 3 days", date(2025, 5, 17)),
        ("in 1 day", date(2025, 5, 15)),
        ("in 2 weeks", date(2025, 5, 28)),
        ("due 3 june", date(2025, 6, 3)),
        ("june 3", date(2025, 6, 3)),
        ("3 may", date(2026, 5, 3)),
        ("29 feb", date(2028, 2, 29)),
        ("2025-12-31", date(2025, 12, 31)),
    ],
)
def test_a_day_at_the_end_is_when_it_is_due(words: str, day: date) -> None:
    task = read(f"call the driver {words}")
    assert (task.title, task.due) == ("call the driver", day)


@pytest.mark.parametrize(
    "line",
    [
        "prepare the monday meeting",
        "tomorrow",
        "pour at 3 may be late",
        "mind the step 31 february",
        "2025-13-01 is no day of it 2025-13-01",
        "say it! loudly",
        "ask @nobody or @ma",
        "!what is this",
        "a # alone, and #a,b",
        "in 99999 days",
        "in 4000 days",
    ],
)
def test_what_means_nothing_stays_in_the_title(line: str) -> None:
    assert replace(read(line), unknown=[]) == QuickTask(line)


def test_marked_words_that_mean_nothing_are_told() -> None:
    task = read(r"paint !hgih @nobody !! 5@3 \!high !high")
    assert (task.unknown, task.priority) == (["!hgih", "@nobody"], Priority.HIGH)


def test_a_backslash_keeps_a_mark() -> None:
    assert read(r"tighten screw \#5 \@me").title == "tighten screw #5 @me"


def test_a_person_is_found_by_the_beginning_of_a_name_or_an_address() -> None:
    for name in ("mate", "ROSSI", "m.r", "mateo.rossi", "m.rossi@site.test"):
        assert read(f"x @{name}").assignee == MATEO


@given(st.text(max_size=80), st.dates(date(1970, 1, 1), date(2200, 1, 1)))
def test_no_line_is_refused(line: str, today: date) -> None:
    task = parse(line, me=1, people=[ADA, MATEO, MARTA], today=today)
    assert len(task.title) <= len(line)
    assert task.due is None or date(1000, 1, 1) <= task.due <= date(9999, 12, 31)
    assert task.due is None or not today > task.due or "-" in line


class Watched(list[Person]):
    """People who count how often all of them are gone through."""

    walks = 0

    def __iter__(self) -> Iterator[Person]:
        self.walks += 1
        return super().__iter__()


def test_people_are_gone_through_once_however_many_are_named() -> None:
    people = Watched([ADA, MATEO, MARTA])
    task = parse(
        " ".join(["sweep", *(f"@x{number}" for number in range(90)), "@marta"]), me=1, people=people, today=TODAY
    )
    assert (task.assignee, people.walks) == (MARTA, 1)


def test_the_roll_finds_whom_a_search_of_everybody_finds() -> None:
    people = [
        Person(id=number, email=f"{name}{number % 3}@site.test", name=f"{name} {family}")
        for number, (name, family) in enumerate(product(("Ada", "Al", "Alba", "Ömer", "me"), ("King", "Al", "Kim")), 1)
    ]
    parts = [(person, part) for person in people for part in f"{person.name} {person.email}".lower().split()]
    parts += [(person, person.name.lower().replace(" ", ".")) for person in people]
    roll = Roll(people, 3)
    assert roll.find("ME") == people[2]
    for name in {part[:length] for _, part in parts for length in range(len(part) + 1)} - {"me"}:
        found = {person.id: person for person, part in parts if name and part.startswith(name)}
        assert roll.find(name) == (next(iter(found.values())) if len(found) == 1 else None), name
