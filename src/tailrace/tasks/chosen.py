"""The filter of a list of tasks as a person chose it: what the address of a page carries, and what is saved.

`when` and `status=open` stay true tomorrow, where a day would not; they become days and states when tasks are read.
"""

from collections.abc import Iterable
from datetime import date, timedelta
from typing import Annotated, Any
from urllib.parse import urlencode

from pydantic import ConfigDict, Field, ValidationError

from tailrace.errors import Invalid
from tailrace.http.faults import describe
from tailrace.http.fields import Input
from tailrace.tasks.filters import TaskListQuery
from tailrace.tasks.models import Status

OPEN = (Status.TODO, Status.DOING, Status.BLOCKED)
LIMIT = 500
Chosen = Annotated[str, Field(max_length=500)]
_DEFAULTS = {"status": "open", "sort": "-priority"}


class LongList(TaskListQuery):
    """A list as long as a page shows it."""

    limit: int = Field(default=LIMIT, ge=1, le=LIMIT)


class TaskFilter(Input):
    """What was chosen; an empty text means that it was not."""

    model_config = ConfigDict(frozen=True)

    q: Chosen = Field(default="", description="words, or beginnings of words, of title and description")
    status: Chosen = Field(default=_DEFAULTS["status"], description="`open`, `all`, or one state")
    priority: Chosen = ""
    assignee: Chosen = Field(default="", description="`me`, `none`, an id or an e-mail address")
    label: Chosen = ""
    when: Chosen = Field(default="", description="when it is due: `overdue`, `today`, `week` or `none`")
    sort: Chosen = Field(default=_DEFAULTS["sort"], description="as for a list of tasks")

    @classmethod
    def of(cls, pairs: Iterable[tuple[str, str]]) -> "TaskFilter":
        """Return the filter of an address's query; what is none of its fields is passed over.

        Raises Invalid for a text that is too long.
        """
        known = {name: value.strip() for name, value in pairs if name in cls.model_fields and value.strip()}
        try:
            return cls(**known)
        except ValidationError as error:
            raise _refusal(error) from error

    @property
    def is_narrow(self) -> bool:
        """Whether anything was chosen beside the order."""
        return bool(self.chosen().keys() - {"sort"})

    def chosen(self) -> dict[str, str]:
        """Return what was chosen, by name, without what would be so anyway."""
        values: dict[str, str] = self.model_dump()
        return {name: value for name, value in values.items() if value != _DEFAULTS.get(name, "")}

    def address(self) -> str:
        """Return the query of an address that chooses the same, with its question mark.

        It is never empty: an address without a query is the one that opens a person's default filter.
        """
        return f"?{urlencode(self.chosen() or {'status': self.status})}"

    def query(self, project_id: int, today: date, **more: Any) -> LongList:
        """Return the query for tasks of a project; raises Invalid for a value that there is not."""
        values = {
            "project": [project_id],
            "q": self.q or None,
            "status": _states(self.status),
            "priority": [self.priority] if self.priority else [],
            "assignee": [self.assignee] if self.assignee else [],
            "label": [self.label] if self.label else [],
            "sort": self.sort,
            **_days(self.when, today),
            **more,
        }
        try:
            return LongList.model_validate(values)
        except ValidationError as error:
            raise _refusal(error) from error


def _refusal(error: ValidationError) -> Invalid:
    fault = error.errors()[0]
    return Invalid(f"There is no such filter: {fault['loc'][0]}, {describe(fault)}.")


def _states(chosen: str) -> list[str]:
    if chosen == "all":
        return []
    return [status.value for status in OPEN] if chosen == "open" else [chosen]


def _days(when: str, today: date) -> dict[str, Any]:
    known: dict[str, dict[str, Any]] = {
        "": {},
        "overdue": {"due_before": today},
        "today": {"due_before": today + timedelta(days=1)},
        "week": {"due_before": today + timedelta(days=8)},
        "none": {"due": "none"},
    }
    return known.get(when, {"due": when})
