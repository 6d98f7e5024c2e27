"""What became of a job so far, from its events: the states it went through, and what it logged."""

import json
from collections.abc import Sequence
from dataclasses import dataclass
from datetime import datetime
from typing import Any

from sqlalchemy.orm import Session

from tailrace.jobs import channel_of
from tailrace.streams import Event, last_events

_EVENTS_MAX = 2000


@dataclass(frozen=True, slots=True)
class Step:
    """A state that a job came to: when, at which attempt, and why if something went wrong."""

    at: datetime
    state: str
    attempt: int
    error: str | None


@dataclass(frozen=True, slots=True)
class LogLine:
    """One line that a job logged; `at` is in the form of RFC 3339."""

    at: str
    level: str
    message: str


@dataclass(frozen=True, slots=True)
class History:
    """The steps and the log of a job, in order; `whole` is False if there was more than is told here."""

    steps: Sequence[Step]
    log: Sequence[LogLine]
    whole: bool


def job_history(session: Session, job_id: str) -> History:
    """Return what the last 2,000 events of a job tell; events are kept for some days only."""
    events = last_events(session, channels=[channel_of(job_id)], limit=_EVENTS_MAX)
    told = [(event, json.loads(event.data)) for event in events]
    return History(
        steps=[_step(event, data) for event, data in told if event.name == "state"],
        log=[LogLine(data["at"], data["level"], data["message"]) for event, data in told if event.name == "log"],
        whole=len(events) < _EVENTS_MAX,
    )


def _step(event: Event, data: dict[str, Any]) -> Step:
    return Step(event.at, data["state"], data["attempt"], data["error"])
