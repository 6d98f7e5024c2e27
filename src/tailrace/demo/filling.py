"""Believable work to look at: a building site with its people, tasks, labels, comments and steps."""

from collections.abc import Callable, Iterator, Sequence
from datetime import datetime, timedelta
from itertools import islice
from random import Random
from typing import TypeVar

from sqlalchemy.orm import Session

from tailrace.accounts import service as accounts
from tailrace.accounts.principal import Principal
from tailrace.accounts.schemas import UserView
from tailrace.database import Database, utcnow
from tailrace.errors import Conflict, NotFound
from tailrace.projects import service as projects
from tailrace.projects.schemas import ProjectView
from tailrace.tasks.bulk import NewTask, insert_tasks
from tailrace.tasks.models import Priority, Status

T = TypeVar("T")

BATCH = 10_000
_NO_PASSWORD = "!"  # noqa: S105 (it is the hash of no password: nobody can sign in as these people)

_SITES = ("Harbour Street 12", "Mill Quarter", "Station Bridge", "Riverside School", "Old Brewery", "North Clinic")
_PEOPLE = (
    ("Anna Keller", projects.Role.MANAGER),
    ("Mateo Rossi", projects.Role.MEMBER),
    ("Priya Nair", projects.Role.MEMBER),
    ("Jonas Lindt", projects.Role.MEMBER),
    ("Sofia Marques", projects.Role.MEMBER),
    ("Tom Okafor", projects.Role.VIEWER),
)
_LABELS = (
    "concrete", "defect", "drawing", "electrical", "facade", "fire protection", "heating", "inspection", "plumbing",
    "roof", "safety", "ventilation",
)  # fmt: skip
_WORK = (
    ("Seal the joints of the window sills", "facade"),
    ("Replace the cracked pane", "facade"),
    ("Check the anchors of the scaffold", "safety"),
    ("Close the gap in the guard rail", "safety"),
    ("Photograph the reinforcement before the pour", "concrete"),
    ("Repair the honeycombing in the wall", "concrete"),
    ("Measure the flatness of the screed", "concrete"),
    ("Fit the fire collars around the pipes", "fire protection"),
    ("Test the smoke detectors", "fire protection"),
    ("Adjust the closer of the fire door", "fire protection"),
    ("Label the distribution board", "electrical"),
    ("Pull the cables for the emergency lighting", "electrical"),
    ("Measure the earth resistance", "electrical"),
    ("Flush the heating circuit", "heating"),
    ("Balance the radiators", "heating"),
    ("Insulate the flow pipe", "heating"),
    ("Pressure-test the drinking water pipes", "plumbing"),
    ("Fix the leaking trap", "plumbing"),
    ("Set the shower tray level", "plumbing"),
    ("Clean the ventilation duct", "ventilation"),
    ("Replace the filter of the air handling unit", "ventilation"),
    ("Weld the membrane at the upstand", "roof"),
    ("Clear the roof drain", "roof"),
    ("Update the as-built drawing", "drawing"),
    ("Walk through with the client", "inspection"),
    ("Take over the rooms from the plasterer", "inspection"),
)
_PLACES = (
    "stairwell A", "stairwell B", "plant room", "lift shaft", "corridor east", "corridor west", "kitchen", "bathroom",
    "balcony", "underground car park", "entrance hall", "meeting room", "store room", "server room", "terrace",
)  # fmt: skip
_NOTES = (
    "",
    "",
    "See the marked place on the drawing, and take a photo *before* and *after*.",
    "Needs two people and the rolling tower. Power must be off:\n\n- tell the foreman\n- lock the breaker",
    "The client asked about this twice. **Not** on a Friday.",
    "Material is in container 3. If it is short, order by Tuesday noon to have it on Thursday.",
    "Found during the inspection; tolerance is 4 mm over 2 m.",
)
_REMARKS = (
    "Done on the left side, the right side follows tomorrow.",
    "The part has not come yet; the supplier says Thursday.",
    "Looked at it with the client: fine like this.",
    "Wet weather, postponed.",
    "Photos are in the folder of the week.",
)
_STEPS = ("Order the material", "Block the area off", "Do the work", "Take photos", "Have it accepted")
_STATUSES = (Status.DONE,) * 11 + (Status.TODO,) * 5 + (Status.DOING,) * 2 + (Status.BLOCKED, Status.CANCELLED)
_PRIORITIES = (
    (Priority.NONE,) * 4 + (Priority.LOW,) * 3 + (Priority.MEDIUM,) * 6 + (Priority.HIGH,) * 3 + (Priority.URGENT,)
)
_DELAYS = tuple(timedelta(days=days) for days in range(3, 63))
#: What is still open is due from about a week ago on: as on a site that is behind with some of its work.
_LATE = timedelta(days=10)


def choose_owner(session: Session, email: str | None) -> Principal:
    """Return whose demo project it will be: the person with this address, or the first administrator.

    Raises NotFound for an unknown address, Conflict if there is no administrator yet.
    """
    user = accounts.find_user_by_email(session, email.strip().lower()) if email else _first_administrator(session)
    return Principal(user.id, user.email, user.name, user.is_admin, "session")


def fill(
    database: Database, owner: Principal, *, tasks: int, on_progress: Callable[[int], None], seed: int | None = None
) -> ProjectView:
    """Make a project of `owner` with `tasks` tasks and return it.

    Each 10,000 tasks are committed, and told to `on_progress`, before the next are made: interrupted, it keeps them.
    """
    rng = Random(seed)  # noqa: S311 (nothing here is secret)
    with database.write() as session:
        project = make_project(session, owner, rng)
        workers = find_workers(session, owner, project.id)
    made = 0
    work = invent(rng, workers, tasks)
    while batch := list(islice(work, BATCH)):
        with database.write() as session:
            insert_tasks(session, owner, project.id, batch)
        made += len(batch)
        on_progress(made)
    return project


def make_project(session: Session, owner: Principal, rng: Random) -> ProjectView:
    """Create an empty project of `owner` with the people of a site, who cannot sign in."""
    project = projects.create_project(
        session, owner, name=rng.choice(_SITES), description="Invented by Tailrace, to look around in."
    )
    for name, role in _PEOPLE:
        person = _person(session, name)
        if person.id != owner.user_id:
            projects.add_member(session, owner, project.id, email=person.email, role=role)
    return project


def find_workers(session: Session, owner: Principal, project_id: int) -> list[int]:
    """Return the ids of the members who work on tasks."""
    members = projects.list_members(session, owner, project_id)
    return [member.user.id for member in members if member.role is not projects.Role.VIEWER]


def invent(rng: Random, workers: Sequence[int], count: int) -> Iterator[NewTask]:
    """Give `count` tasks of the past two years, oldest first."""
    end = utcnow()
    step = timedelta(days=730) / max(1, count)
    for left in range(count, 0, -1):
        yield _invent_task(rng, workers, end - step * left, step * left)


def _first_administrator(session: Session) -> UserView:
    after = 0
    while (page := accounts.list_users(session, after=after, limit=200)).items:
        for user in page.items:
            if user.is_admin:
                return user
        after = page.items[-1].id
    raise Conflict("Nobody is an administrator yet: open the set-up link, or use `tailrace user create EMAIL --admin`.")


def _person(session: Session, name: str) -> UserView:
    email = f"{name.lower().replace(' ', '.')}@site.example"
    try:
        return accounts.find_user_by_email(session, email)
    except NotFound:
        return accounts.create_user(session, email=email, name=name, password_hash=_NO_PASSWORD)


def _invent_task(rng: Random, workers: Sequence[int], created: datetime, age: timedelta) -> NewTask:
    # Picking by `random()` rather than `choice()`: this runs a dozen times for each of a million tasks.
    action, trade = _pick(rng, _WORK)
    status = _pick(rng, _STATUSES)
    chance = rng.random()
    extra = _pick(rng, _LABELS)
    begin = created if status in (Status.DONE, Status.CANCELLED) else created + age - _LATE
    return NewTask(
        title=f"{action}, {_pick(rng, _PLACES)}, level {int(rng.random() * 9)}",
        description=_pick(rng, _NOTES),
        status=status,
        priority=_pick(rng, _PRIORITIES),
        assignee_id=None if chance < 0.15 else _pick(rng, workers),
        due=None if chance > 0.7 else max(created, begin + _pick(rng, _DELAYS)).date(),
        labels=(trade,) if extra == trade or chance < 0.6 else tuple(sorted((trade, extra))),
        created_by_id=_pick(rng, workers),
        created_at=created,
        updated_at=created + age // (5 + int(rng.random() * 1000)),
        comments=((_pick(rng, workers), _pick(rng, _REMARKS)),) if chance < 0.1 else (),
        checklist=tuple((step, status is Status.DONE) for step in _STEPS) if chance > 0.97 else (),
    )


def _pick(rng: Random, values: Sequence[T]) -> T:
    return values[int(rng.random() * len(values))]
