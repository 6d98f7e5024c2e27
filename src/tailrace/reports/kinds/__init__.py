"""What a kind of report is. To add one, put a module with `KIND = ReportKind(...)` beside this file; it is found.

A kind that is a table, in every format that tables have, is made by `tables.table_kind`.
"""

from collections.abc import Callable
from contextlib import AbstractContextManager
from dataclasses import dataclass
from typing import Generic, TypeVar

from pydantic import BaseModel
from sqlalchemy.orm import Session

from tailrace.accounts.principal import Principal
from tailrace.reports.formats import Format
from tailrace.storage import Storage

F = TypeVar("F", bound=BaseModel)


class MomentPassed(Exception):
    """What was there in the moment that the file shows is gone: it is to be made anew, of a later one."""


@dataclass(frozen=True, slots=True)
class Making:
    """One file that is being made.

    `session` sees one unchanging moment, in which `total` was counted for `principal`; `present` opens a session that
    sees what is there by now. `write` takes the file's bytes in order; `on_done` is to be told now and then how much of
    the total is in it, and may end the run.
    """

    session: Session
    present: Callable[[], AbstractContextManager[Session]]
    principal: Principal
    form: Format
    total: int
    storage: Storage
    write: Callable[[bytes], None]
    on_done: Callable[[int], None]


@dataclass(frozen=True, slots=True)
class ReportKind(Generic[F]):
    """A kind of report: its name in requests, its title for people, its filters, formats, and what is in it for whom.

    `unit` is what a report is made of and counted in: rows, photos. The first of `formats` is what somebody gets who
    names none. `count` returns how many units there are, and `write` makes the file of them and returns how many are
    in it; both decide what the person who asked may see, at the time the report is made. `write` raises DoNotRetry,
    with a sentence for that person, when another attempt could not succeed, and MomentPassed when one may at once.
    """

    name: str
    title: str
    unit: str
    filters: type[F]
    formats: tuple[Format, ...]
    count: Callable[[Session, Principal, F], int]
    write: Callable[[Making, F], int]
