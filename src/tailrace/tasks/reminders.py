"""Reminding people, each morning, of what is due tomorrow and of what was due yesterday and is still open."""

from collections.abc import Iterator, Sequence
from datetime import date, datetime, timedelta
from zoneinfo import ZoneInfo

from sqlalchemy import select
from sqlalchemy.orm import Session

from tailrace.accounts import service as accounts
from tailrace.notifications import inbox
from tailrace.notifications.inbox import Kind, News
from tailrace.projects import service as projects
from tailrace.tasks.chosen import OPEN
from tailrace.tasks.models import Task

_FROM_HOUR = 7
_ONE_DAY = timedelta(days=1)


def mornings(session: Session, now: datetime) -> Iterator[tuple[str, date]]:
    """Give each time zone of a person where it is seven or later by now, and which day it is there."""
    for zone in sorted(accounts.find_zones(session)):
        there = now.astimezone(ZoneInfo(zone))
        if there.hour >= _FROM_HOUR:
            yield zone, there.date()


def remind(session: Session, *, zone: str, today: date) -> None:
    """Tell everybody who lives in a time zone what is due on the day after `today`, and what was on the day before."""
    active = session.execute(select(projects.projects_table(archived=False))).all()
    with inbox.gathered(session):
        for project_id, name in active:
            # Project by project, along the index of each: nothing else would have a use for one by the day alone.
            if due := _due(session, project_id, (today - _ONE_DAY, today + _ONE_DAY)):
                _remind(session, project_id, name, due, zone=zone, today=today)


def _due(session: Session, project_id: int, days: Sequence[date]) -> Sequence[Task]:
    wanted = (Task.project_id == project_id, Task.due.in_(days), Task.status.in_(OPEN), Task.assignee_id.is_not(None))
    return session.scalars(select(Task).where(*wanted).order_by(Task.due, Task.id)).all()


def _remind(session: Session, project_id: int, name: str, due: Sequence[Task], *, zone: str, today: date) -> None:
    assignees = {task.assignee_id for task in due if task.assignee_id is not None}
    here = projects.hold_members(session, project_id, accounts.who_lives_in(session, zone, assignees))
    for task in due:
        assert task.due is not None
        nearness = "soon" if task.due > today else "late"
        news = News(
            Kind.DUE,
            task.title,
            detail=f"{nearness} {task.due.isoformat()}",
            place=name,
            project_id=project_id,
            task_id=task.id,
        )
        inbox.notify(session, here & {task.assignee_id}, news)
