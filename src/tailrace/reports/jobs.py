"""The jobs of reports: making one, answering a failure, removing its files, and the hourly upkeep."""

import json
from collections.abc import Iterator
from datetime import timedelta
from typing import Any

from tailrace.errors import TailraceError
from tailrace.jobs import FINAL, DoNotRetry, JobContext, State, TimeLimitExceeded, channel_of, job
from tailrace.patience import FOR_A_DAY, patient
from tailrace.reports import building, upkeep
from tailrace.reports.building import Resources
from tailrace.reports.kinds import MomentPassed
from tailrace.reports.spreadsheet import TooManyRows, remove_leftovers
from tailrace.streams import Cursor, read_events

_TIME_LIMIT_S = 3600
_MOMENT_LATER_S = 5
_MOST_MOMENTS = 30
_PAGE = 1000


@job("reports.build_failed")
def report_failed(ctx: JobContext[Resources], job_id: str, state: str, error: str, args: dict[str, Any]) -> None:
    """Mark a report as failed or cancelled, and mail that it failed."""
    upkeep.mark_failed(ctx, args["report_id"], job_id=job_id, state=state, error=error)


@job("reports.build", max_attempts=FOR_A_DAY, timeout_s=_TIME_LIMIT_S, on_failure=report_failed)
def build_report(ctx: JobContext[Resources], report_id: str) -> None:
    """Make a report's file; what no other try would change is not tried again."""
    with patient(ctx):
        try:
            building.build(ctx, report_id)
        except TailraceError as error:
            raise DoNotRetry(error.detail) from error
        except TooManyRows as error:
            raise DoNotRetry(str(error)) from error
        except MomentPassed as error:
            if _times_put_off(ctx) + 1 >= _MOST_MOMENTS:
                sentence = "Whenever this report was being made, something of it was deleted: ask for it again later."
                raise DoNotRetry(sentence) from error
            ctx.snooze(_MOMENT_LATER_S)
        except TimeLimitExceeded as error:
            minutes = _TIME_LIMIT_S // 60
            raise DoNotRetry(f"The report took longer than {minutes} minutes: narrow the filters.") from error


@job("reports.remove", max_attempts=FOR_A_DAY)
def remove_report(ctx: JobContext[Resources], report_id: str) -> None:
    """Remove the files and the row of a deleted report."""
    upkeep.remove(ctx, report_id)


@job("reports.expire", schedule="7 * * * *")
def expire_reports(ctx: JobContext[Resources]) -> None:
    """Remove the files of expired reports, files that no report knows, and what killed workers left."""
    upkeep.remove_expired(ctx)
    upkeep.remove_orphans(ctx)
    ctx.resources.storage.sweep()
    # No run lasts longer than its limit.
    remove_leftovers(older_than=timedelta(seconds=2 * _TIME_LIMIT_S))


def _times_put_off(ctx: JobContext[Resources]) -> int:
    """Return how often the job was snoozed before this run, since it last came to an end or else since it was made.

    Its attempts say something else: they count runs that were interrupted, and claims without a run.
    """
    count = 0
    for state in _states(ctx):
        count = 0 if state in FINAL else count + (state == State.SCHEDULED)
    return count


def _states(ctx: JobContext[Resources]) -> Iterator[str]:
    cursor: Cursor | None = None
    with ctx.database.read() as session:
        while page := read_events(session, channels=[channel_of(ctx.job_id)], after=cursor, limit=_PAGE):
            yield from (json.loads(event.data)["state"] for event in page if event.name == "state")
            cursor = page[-1].cursor
