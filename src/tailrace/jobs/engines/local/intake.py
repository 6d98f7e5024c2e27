"""The intake of the local engine: it claims whatever is available, by the handful while jobs are short."""

import math
import time
from collections.abc import Collection, Sequence

from sqlalchemy.orm import Session

from tailrace.database import Database
from tailrace.jobs import runs
from tailrace.jobs.engines.handful import handful
from tailrace.jobs.models import Job
from tailrace.jobs.runs import Run


class Intake:
    """Looks for work and claims it."""

    def __init__(self, database: Database, engine_id: str, kinds: Sequence[str], *, lease_s: float) -> None:
        """Prepare to claim jobs of these kinds for the engine, for `lease_s` seconds at a time."""
        self._database = database
        self._engine_id = engine_id
        self._kinds = kinds
        self._lease_s = lease_s
        self._available = False
        self._next_due = math.inf  # on the monotonic clock
        self.depth = 1

    @property
    def due_in_s(self) -> float:
        """How many seconds until a waiting job is due; 0 if there is work now."""
        if self._available:
            return 0.0
        return max(0.0, self._next_due - time.monotonic())

    def look(self) -> Sequence[str]:
        """See whether there is work, and when there will be; returns the ids of our runs that are to be cancelled."""
        with self._database.read() as session:
            # Once there is some, it stays until a claim finds none.
            self._available = self._available or runs.any_available(session, self._kinds)
            due_in_s = runs.next_due_in_s(session)
            self._next_due = math.inf if due_in_s is None else time.monotonic() + due_in_s
            return runs.cancel_requests(session, self._engine_id)

    def claim(self, session: Session, limit: int) -> list[Job]:
        """Claim up to `limit` jobs; they are ours once the transaction is committed."""
        if self._next_due <= time.monotonic():
            runs.promote_due(session)
            self._next_due = math.inf  # The commit rings, so `look` will tell of the next one.
        if limit <= 0:
            return []
        jobs = runs.claim(session, engine_id=self._engine_id, kinds=self._kinds, limit=limit, lease_s=self._lease_s)
        # Fewer than asked for means that none is left, until the bell rings again.
        self._available = len(jobs) == limit
        return jobs

    def committed(self, ended: Collection[Run]) -> None:
        """Nobody waits for the end of a run."""

    def learn(self, mean_run_s: float) -> None:
        """Adjust the depth, which is how many jobs a worker is given at once, to how long the last runs took."""
        self.depth = handful(mean_run_s)
