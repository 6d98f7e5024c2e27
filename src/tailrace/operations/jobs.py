"""The service's own upkeep, as jobs."""

import logging
from datetime import timedelta
from typing import Protocol

from tailrace.database import utcnow
from tailrace.jobs import JobContext, job
from tailrace.streams import prune_events

_BATCH = 10_000
_log = logging.getLogger(__name__)


class Resources(Protocol):
    """What upkeep takes: for how many days events are kept."""

    @property
    def event_days(self) -> int: ...


@job("operations.prune_events", schedule="17 * * * *", priority=90)
def prune_old_events(ctx: JobContext[Resources]) -> None:
    """Delete events that are older than any client is expected to come back for."""
    before = utcnow() - timedelta(days=ctx.resources.event_days)
    total = 0
    while True:
        with ctx.transaction() as session:
            deleted = prune_events(session, before=before, limit=_BATCH)
        total += deleted
        ctx.progress(total, note="events deleted")
        if deleted < _BATCH:
            break
    _log.info("%d events deleted", total)
