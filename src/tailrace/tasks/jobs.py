"""The jobs that remind people of what is due."""

from datetime import date
from typing import Any

from tailrace.database import utcnow
from tailrace.jobs import JobContext, enqueue, job
from tailrace.tasks import reminders


@job("tasks.remind")
def remind(ctx: JobContext[Any], zone: str, day: str) -> None:
    """Tell everybody who lives in a time zone what is near or past its day; killed, it has told nobody."""
    with ctx.transaction() as session:
        reminders.remind(session, zone=zone, today=date.fromisoformat(day))


# Every hour, since mornings come at different times; a service that was off at seven catches up. Each zone and day has
# one job ever.
@job("tasks.begin_reminders", schedule="3 * * * *")
def begin_reminders(ctx: JobContext[Any]) -> None:
    """Begin the reminders of each time zone in which it is morning, or later."""
    with ctx.transaction() as session:
        for zone, day in reminders.mornings(session, utcnow()):
            args = {"zone": zone, "day": day.isoformat()}
            enqueue(session, remind, args, unique_key=f"tasks.remind:{zone}:{day}")
