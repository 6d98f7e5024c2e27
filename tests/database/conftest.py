"""Databases of both kinds with a table of notes, and what was published in them."""

import contextlib
from collections.abc import Callable, Iterator, Sequence
from pathlib import Path
from typing import Any

import pytest
from sqlalchemy import text
from sqlalchemy.orm import Session

from tailrace.database import Database, Fact
from tests.services import postgres_url

Open = Callable[..., Database]


@pytest.fixture(params=["sqlite", "postgresql"])
def url(request: pytest.FixtureRequest, tmp_path: Path) -> str:
    return f"sqlite:///{tmp_path / 'new folder' / 'some.db'}" if request.param == "sqlite" else postgres_url()


@pytest.fixture
def recorded() -> list[Fact]:
    return []


@pytest.fixture
def opened() -> Iterator[Open]:
    """Give a function that opens databases, which are closed after the test."""
    with contextlib.ExitStack() as stack:

        def open_one(url: str, **options: Any) -> Database:
            database = Database(url, **options)
            stack.callback(database.dispose)
            return database

        yield open_one


@pytest.fixture
def database(url: str, recorded: list[Fact], opened: Open) -> Database:
    def record(_session: Session, facts: Sequence[Fact]) -> None:
        recorded.extend(facts)

    database = opened(url, record=record)
    with database.write() as session:
        session.execute(text("CREATE TABLE notes (n INTEGER)"))
    return database


def add(session: Session, n: int) -> None:
    session.execute(text("INSERT INTO notes VALUES (:n)"), {"n": n})


def notes(database: Database) -> list[int]:
    with database.read() as session:
        return list(session.execute(text("SELECT n FROM notes ORDER BY n")).scalars())
