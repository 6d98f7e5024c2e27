"""What an engine is, and the parts that its supervisor is made of.

Every engine runs the jobs of one database and promises the same, which `tests/jobs/test_engine_conformance.py` holds
each of them to: a claimed job runs in a process of its own, within its limits on time and memory; it can be cancelled;
its progress, log lines and end become known; a worker that dies is noticed at once and costs the job no attempt; three
such deaths quarantine the job; an engine that stops gives its jobs back unharmed, and what a killed one had is run by
another.
"""

from collections.abc import Collection, Sequence
from dataclasses import dataclass
from typing import Protocol

from sqlalchemy.orm import Session

from tailrace.jobs.models import Job
from tailrace.jobs.runs import Run


@dataclass(frozen=True, slots=True)
class Timing:
    """How long a claim lasts without a heartbeat, and the seconds between two heartbeats."""

    lease_s: float = 30.0
    heartbeat_s: float = 5.0


class Engine(Protocol):
    """Runs the jobs of one database, until it is told to stop."""

    id: str

    def run(self, *, parent: int | None = None) -> None:
        """Run jobs until SIGTERM or SIGINT, or the end of the pipe `parent`; then give back what is unfinished."""


class Intake(Protocol):
    """Where the supervisor gets jobs from."""

    depth: int

    @property
    def due_in_s(self) -> float:
        """How many seconds until there is a job to claim; 0 if there may be one now."""

    def look(self) -> Sequence[str]:
        """See what has changed in the database; returns the ids of our runs that are to be cancelled."""

    def claim(self, session: Session, limit: int) -> list[Job]:
        """Claim up to `limit` jobs; they are ours once the transaction is committed."""

    def committed(self, ended: Collection[Run]) -> None:
        """Take note that the transaction of the last `claim` is committed, and with it the end of these runs."""

    def learn(self, mean_run_s: float) -> None:
        """Adjust `depth`, how many jobs a worker is given at once, to how long the last runs took."""


class Duty(Protocol):
    """What an engine does by the clock, beside its jobs."""

    @property
    def due_in_s(self) -> float:
        """How many seconds until it is to be attended to."""

    def attend(self) -> None:
        """Do what is due."""
