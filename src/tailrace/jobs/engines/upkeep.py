"""Upkeep of the job table by the clock: rescue, cron ticks, pruning. One engine does it for all."""

import time
from datetime import timedelta
from typing import Any

from tailrace.database import Database, present
from tailrace.jobs import maintenance
from tailrace.jobs.worker import JobApp

_PRUNE_EVERY_S = 600.0
_LONGEST_S = 60.0


class Upkeep:
    """The duties of the one, each done when it is due."""

    def __init__(self, app: JobApp[Any], *, keep: timedelta, rescue_every_s: float) -> None:
        """Prepare the duties; finished jobs are kept for `keep`."""
        self._database: Database = app.database
        self._kinds = app.kinds
        self._keep = keep
        self._rescue_every_s = rescue_every_s
        self._rescue_at = 0.0
        self._tick_at = 0.0
        self._prune_at = 0.0

    @property
    def due_in_s(self) -> float:
        """How many seconds until the next duty."""
        return min(self._rescue_at, self._tick_at, self._prune_at) - time.monotonic()

    def attend(self) -> None:
        """Do what is due."""
        now = time.monotonic()
        if now >= self._rescue_at:
            self._rescue()
            self._rescue_at = now + self._rescue_every_s
        if now >= self._tick_at:
            self._tick_at = now + self._tick()
        if now >= self._prune_at:
            self._prune_at = now + (0 if self._prune() else _PRUNE_EVERY_S)

    def _rescue(self) -> None:
        with self._database.write() as session:
            maintenance.rescue_expired(session)

    def _tick(self) -> float:
        """Enqueue what is due by the database's clock; return in how many seconds to look again."""
        with self._database.write() as session:
            now = present(session)
            maintenance.enqueue_ticks(session, self._kinds, now=now)
        upcoming = maintenance.next_tick(self._kinds, now)
        # That clock may be set meanwhile, and we measure by another.
        return _LONGEST_S if upcoming is None else min(_LONGEST_S, (upcoming - now).total_seconds())

    def _prune(self) -> int:
        with self._database.write() as session:
            return maintenance.prune_finished(session, keep=self._keep)
