"""What concerns a person is in their inbox if and only if it happened, and only for as long as they may see it."""

import json
import subprocess
import sys
from collections.abc import Iterator
from concurrent.futures import ThreadPoolExecutor
from datetime import UTC, date, datetime, timedelta
from itertools import count
from pathlib import Path
from random import Random
from threading import Barrier
from typing import Any

import pytest
from sqlalchemy import ColumnElement, func, select, update
from sqlalchemy.orm import Session

from tailrace.accounts import service as accounts
from tailrace.accounts.schemas import UserChanges
from tailrace.database import Base, Database, utcnow
from tailrace.demo.filling import invent
from tailrace.errors import NotFound
from tailrace.jobs import State, enqueue
from tailrace.jobs.testing import run_jobs
from tailrace.mailer import FileMailer
from tailrace.notifications import inbox, jobs
from tailrace.notifications.models import InboxEntry, Mail, MailState
from tailrace.operations.authorization import may_follow
from tailrace.projects import service as projects
from tailrace.streams import latest, read_events, record
from tailrace.tasks import jobs as task_jobs
from tailrace.tasks import reminders
from tailrace.tasks import service as tasks
from tailrace.tasks.bulk import insert_tasks
from tailrace.tasks.concern import MENTIONS_MAX
from tailrace.tasks.schemas import TaskChanges, TaskInput
from tests.conftest import import_models
from tests.features import NO_PASSWORD, Person, Site, ok, refused
from tests.notifications.conftest import Post, body, read_mails
from tests.services import postgres_url

_numbers = count(1)
_MANY = 12


@pytest.fixture(scope="module", params=["sqlite", "postgresql"])
def site(request: pytest.FixtureRequest, tmp_path_factory: pytest.TempPathFactory) -> Iterator[Site]:
    """Give one site on a database of each kind; every test has people and a project of its own."""
    import_models()
    folder = tmp_path_factory.mktemp("inbox")
    database = Database(
        f"sqlite:///{folder / 'tailrace.db'}" if request.param == "sqlite" else postgres_url(), record=record
    )
    Base.metadata.create_all(database.engine)
    yield Site(database)
    database.dispose()


class Team:
    """Ada, who manages a project, and Bea and Carl, who work on it."""

    def __init__(self, site: Site) -> None:
        self.site, self.database = site, site.database
        number = next(_numbers)
        self.ada, self.bea, self.carl = (site.person(f"{name}{number}") for name in ("Ada", "Bea", "Carl"))
        self.project = site.project(self.ada, roles={"manager": self.bea})
        ok(self.ada.client.post(f"/projects/{self.project}/members", json={"email": self.carl.email}), 201)
        for person in (self.bea, self.carl):
            ok(person.client.post("/inbox/read", json={"all": True}))
        with self.database.read() as session:
            self.begin = latest(session)

    def task(self, by: Person, **fields: Any) -> int:
        fields = {"title": "Mend the weir", **fields}
        return int(ok(by.client.post(f"/projects/{self.project}/tasks", json=fields), 201)["id"])

    def comment(self, by: Person, task: int, text: str) -> int:
        return int(ok(by.client.post(f"/tasks/{task}/comments", json={"body": text}), 201)["id"])

    def counts(self, person: Person) -> list[int]:
        """Return the unread counts that were told to a person since the team was there."""
        with self.database.read() as session:
            events = read_events(session, channels=[f"user:{person.id}"], after=self.begin, limit=100)
        return [json.loads(event.data)["unread"] for event in events if event.name == "inbox.changed"]

    def mails(self, person: Person) -> list[str]:
        with self.database.read() as session:
            return list(session.scalars(select(Mail.subject).where(Mail.recipient == person.email)))


@pytest.fixture
def team(site: Site) -> Team:
    return Team(site)


def _of(team: Team) -> ColumnElement[bool]:
    return InboxEntry.project_id == team.project


def unread(person: Person) -> list[dict[str, Any]]:
    return list(ok(person.client.get("/inbox", params={"unread": True}))["items"])


def texts(person: Person) -> list[str]:
    return [entry["text"] for entry in unread(person)]


def test_an_assignment_is_told_to_whom_it_is_made_and_not_to_who_made_it(team: Team) -> None:
    task = team.task(team.ada, assignee=team.bea.email)
    team.task(team.ada, title="Own", assignee="me")
    [entry] = unread(team.bea)
    assert (entry["kind"], entry["task"], entry["project"]) == ("assigned", task, team.project)
    assert entry["text"] == f"{team.ada.principal.name} assigned “Mend the weir” to you"
    assert (entry["actor"]["id"], entry["url"]) == (team.ada.id, f"/web/tasks/{task}")
    assert texts(team.ada) == []
    assert team.mails(team.bea) == [entry["text"]]
    ok(team.ada.client.patch(f"/tasks/{task}", json={"assignee": team.carl.email, "status": "doing"}))
    assert [entry["kind"] for entry in unread(team.carl)] == ["assigned"]
    assert len(unread(team.bea)) == 1


def test_the_state_of_ones_tasks_is_told_when_another_changes_it_and_the_last_one_holds(team: Team) -> None:
    task = team.task(team.bea, assignee=team.carl.email)
    ok(team.carl.client.post("/inbox/read", json={"all": True}))
    for status in ("doing", "todo"):
        ok(team.ada.client.patch(f"/tasks/{task}", json={"status": status}))
    name = team.ada.principal.name
    assert texts(team.bea) == texts(team.carl) == [f"{name} set “Mend the weir” to To do"]
    ok(team.carl.client.patch(f"/tasks/{task}", json={"status": "done"}))
    assert texts(team.bea) == [f"{team.carl.principal.name} set “Mend the weir” to Done"]
    assert len(texts(team.carl)) == 1


def test_comments_on_one_task_become_one_entry_until_it_is_read(team: Team) -> None:
    task = team.task(team.bea)
    for text in ("One", "Two", "Three"):
        team.comment(team.ada, task, text)
    [entry] = unread(team.bea)
    assert (entry["kind"], entry["count"]) == ("comment", 3)
    assert entry["text"] == f"3 comments on “Mend the weir”, the last by {team.ada.principal.name}"
    ok(team.bea.client.post("/inbox/read", json={"ids": [entry["id"]]}))
    team.comment(team.carl, task, "Four")
    assert [entry["count"] for entry in unread(team.bea)] == [1]
    # Ada has spoken, Carl has not been told of his own words, and the first entry is still there.
    assert (len(unread(team.ada)), unread(team.carl)) == (1, [])
    assert len(ok(team.bea.client.get("/inbox"))["items"]) == 3
    assert team.mails(team.bea) == []


def test_a_mention_is_told_once_as_quick_add_understands_it(team: Team) -> None:
    outsider = team.site.person(f"Zoe{team.bea.id}")
    task = team.task(
        team.ada, description=f"Ask @{team.bea.principal.name.lower()}, `x = @carl 1`. mail@carl @{outsider.email}"
    )
    assert [entry["kind"] for entry in unread(team.bea)] == ["mention"]
    assert (unread(team.carl), unread(outsider)) == ([], [])
    comment = team.comment(team.ada, task, f"(@{team.bea.email}!) @me @nobody @")
    assert unread(team.bea)[0]["count"] == 2
    edited = {"body": f"@{team.bea.email} @{team.carl.email[:5]}"}
    ok(team.ada.client.patch(f"/tasks/{task}/comments/{comment}", json=edited))
    assert unread(team.bea)[0]["count"] == 2
    assert [entry["kind"] for entry in unread(team.carl)] == ["mention"]
    assert unread(team.ada) == []
    assert len(team.mails(team.bea)) == 2


def test_of_very_many_names_the_first_are_looked_for(team: Team) -> None:
    names = [f"@nobody{number}" for number in range(MENTIONS_MAX - 1)]
    team.task(team.ada, description=" ".join([*names, *names, f"@{team.bea.email}", f"@{team.carl.email}"]))
    assert [entry["kind"] for entry in unread(team.bea)] == ["mention"]
    assert unread(team.carl) == []


def test_a_change_of_many_tasks_is_one_entry_and_one_mail_for_each_person(team: Team) -> None:
    ids = [team.task(team.ada, title=f"Task {number}") for number in range(_MANY)]
    with team.database.write() as session, inbox.gathered(session):
        for task_id in ids:
            changes = TaskChanges(assignee=team.bea.id, status=tasks.Status.DOING)
            tasks.update_task(session, team.ada.principal, task_id, changes)
    [entry] = unread(team.bea)
    assert entry["text"] == f"12 tasks were assigned to you in Mill Quarter by {team.ada.principal.name}"
    assert (entry["count"], entry["task"], entry["url"]) == (_MANY, None, f"/web/projects/{team.project}")
    assert len(team.mails(team.bea)) == 1
    assert team.counts(team.bea)[-1] == 1


def test_inserting_thousands_is_one_entry_for_each_person(team: Team) -> None:
    workers = [team.ada.id, team.bea.id, team.carl.id]
    made = list(invent(Random(1), workers, 400))
    for half in (made[:200], made[200:]):
        with team.database.write() as session:
            insert_tasks(session, team.ada.principal, team.project, half)
    waiting = [task for task in made if task.assignee_id == team.bea.id and task.status in {"todo", "doing", "blocked"}]
    assert [entry["count"] for entry in unread(team.bea)] == [len(waiting)]
    assert unread(team.ada) == []


def test_who_leaves_a_project_finds_nothing_of_it_any_more(team: Team) -> None:
    task = team.task(team.ada, assignee=team.bea.email)
    elsewhere = team.site.project(team.carl, name="Elsewhere", roles={"member": team.bea})
    secret = unread(team.bea)[-1]["id"]
    ok(team.ada.client.delete(f"/projects/{team.project}/members/{team.bea.id}"), 204)
    page = ok(team.bea.client.get("/inbox"))
    assert [entry["project"] for entry in page["items"]] == [elsewhere]
    assert page["unread"] == team.counts(team.bea)[-1] == 1
    with team.database.write() as session, pytest.raises(NotFound):
        inbox.open_entry(session, team.bea.principal, secret)
    team.comment(team.ada, task, f"@{team.bea.email} she cannot read this")
    ok(team.ada.client.patch(f"/tasks/{task}", json={"status": "done"}))
    assert len(unread(team.bea)) == 1
    ok(team.ada.client.post(f"/projects/{team.project}/members", json={"email": team.bea.email}), 201)
    assert [entry["kind"] for entry in unread(team.bea)] == ["project", "project"]


def test_who_leaves_a_project_before_its_mail_is_sent_gets_none(team: Team, tmp_path: Path) -> None:
    for person in (team.bea, team.carl):
        team.task(team.ada, assignee=person.email)
    ok(team.ada.client.delete(f"/projects/{team.project}/members/{team.bea.id}"), 204)
    run_jobs(team.database, [jobs.send_mail], Post(FileMailer(tmp_path / "mails")))
    addresses = [mail["To"] for mail in read_mails(tmp_path / "mails")]
    assert (team.bea.email in addresses, team.carl.email in addresses) == (False, True)
    with team.database.read() as session:
        (mail,) = session.scalars(select(Mail).where(Mail.recipient == team.bea.email))
    assert (mail.state, mail.error) == (
        MailState.FAILED,
        "It was not sent: this person has left the project that it tells of.",
    )


def test_who_leaves_while_being_told_finds_nothing_either_and_neither_waits_for_the_other(team: Team) -> None:
    ok(team.ada.client.patch(f"/projects/{team.project}/members/{team.carl.id}", json={"role": "manager"}))
    for _ in range(4):
        task = team.task(team.bea, assignee="me")
        together = Barrier(2)

        def talk(task: int = task, together: Barrier = together) -> None:
            together.wait()
            for number in range(5):
                team.comment(team.ada, task, f"Comment {number}")

        def remove(together: Barrier = together) -> None:
            together.wait()
            ok(team.carl.client.delete(f"/projects/{team.project}/members/{team.bea.id}"), 204)

        with ThreadPoolExecutor(2) as pool:
            for future in [pool.submit(talk), pool.submit(remove)]:
                future.result()
        with team.database.read() as session:
            left = select(func.count()).where(InboxEntry.user_id == team.bea.id, _of(team))
            assert session.scalar(left) == 0
        again = {"email": team.bea.email, "role": "manager"}
        ok(team.ada.client.post(f"/projects/{team.project}/members", json=again), 201)


def test_a_deleted_task_takes_its_entries_along(team: Team) -> None:
    task = team.task(team.ada, assignee=team.bea.email)
    ok(team.ada.client.delete(f"/tasks/{task}"), 204)
    assert unread(team.bea) == []
    assert team.counts(team.bea) == [1, 0]


def test_who_may_not_come_in_is_not_told_and_invented_people_get_no_mail(team: Team) -> None:
    root = team.site.person(f"Root{team.bea.id}", is_admin=True)
    with team.database.write() as session:
        accounts.update_user(session, root.principal, team.bea.id, UserChanges(disabled=True))
        name = f"anna{team.bea.id}@site.example"
        anna = accounts.create_user(session, email=name, name="Anna", password_hash=NO_PASSWORD)
        projects.add_member(session, team.ada.principal, team.project, email=name, role=projects.Role.MEMBER)
    team.task(team.ada, assignee=team.bea.email)
    team.task(team.ada, assignee=name)
    with team.database.read() as session:
        told = session.scalars(select(InboxEntry.user_id).where(InboxEntry.kind == "assigned", _of(team)))
        assert list(told) == [anna.id]
        assert session.scalar(select(func.count()).where(Mail.recipient.in_([name, team.bea.email]))) == 0


def test_what_is_rolled_back_was_told_to_nobody(team: Team) -> None:
    def fail() -> None:
        with team.database.write() as session:
            given = TaskInput(title="Never", assignee=team.bea.id)
            tasks.create_task(session, team.ada.principal, team.project, given)
            session.flush()
            raise RuntimeError("the power went off")

    with pytest.raises(RuntimeError):
        fail()
    assert (unread(team.bea), team.counts(team.bea), team.mails(team.bea)) == ([], [], [])


def test_a_process_that_is_killed_before_its_commit_leaves_neither_the_cause_nor_the_entry(team: Team) -> None:
    url = team.database.engine.url.render_as_string(hide_password=False)
    script = """
import os, signal, sys
from tailrace.accounts.principal import Principal
from tailrace.database import Database
from tailrace.streams import record
from tailrace.tasks import service as tasks
from tailrace.tasks.schemas import TaskInput
url, project, by, to = sys.argv[1], *map(int, sys.argv[2:])
with Database(url, record=record).write() as session:
    ada = Principal(by, "ada@site.test", "Ada", False, "token")
    tasks.create_task(session, ada, project, TaskInput(title="Never", assignee=to))
    session.flush()
    print("told", flush=True)
    os.kill(os.getpid(), signal.SIGKILL)
"""
    arguments = [url, *map(str, (team.project, team.ada.id, team.bea.id))]
    killed = subprocess.run([sys.executable, "-c", script, *arguments], capture_output=True, text=True, check=False)
    assert (killed.returncode, killed.stdout) == (-9, "told\n"), killed.stderr
    assert ok(team.ada.client.get("/tasks", params={"project": team.project}))["items"] == []
    assert (unread(team.bea), team.counts(team.bea), team.mails(team.bea)) == ([], [], [])


def test_marking_at_the_same_moment_marks_each_entry_once(team: Team) -> None:
    for number in range(_MANY):
        team.task(team.ada, title=f"Task {number}", assignee=team.bea.email)
    ids = [entry["id"] for entry in unread(team.bea)]
    together = Barrier(4)

    def mark(order: dict[str, Any]) -> int:
        client = team.site.client(token=team.bea.client.headers["Authorization"].removeprefix("Bearer "))
        together.wait()
        return int(ok(client.post("/inbox/read", json=order))["marked"])

    orders = [{"all": True}, {"ids": ids}, {"ids": ids[::-1]}, {"all": True}]
    with ThreadPoolExecutor(4) as pool:
        assert sum(pool.map(mark, orders)) == _MANY
    assert unread(team.bea) == []
    assert len(team.counts(team.bea)) >= _MANY + 1


# SQLite has one writer after another.
@pytest.mark.parametrize("site", ["postgresql"], indirect=True, scope="module")
def test_what_a_slower_transaction_tells_later_is_not_marked_with_what_was_seen(team: Team) -> None:
    ok(team.bea.client.post("/inbox/read", json={"all": True}))
    team.task(team.ada, title="Before", assignee=team.bea.email)
    slow = Session(team.site.database.engine)
    new = TaskInput(title="Slow", assignee=team.bea.email)
    tasks.create_task(slow, team.carl.principal, team.project, new)
    team.task(team.ada, title="Quick", assignee=team.bea.email)
    page = ok(team.bea.client.get("/inbox"))
    assert [entry["title"] for entry in page["items"]][:2] == ["Quick", "Before"]
    slow.commit()
    slow.close()
    late = next(entry for entry in unread(team.bea) if entry["title"] == "Slow")
    assert late["id"] < page["items"][0]["id"]
    marked = ok(team.bea.client.post("/inbox/read", json={"all": True, "until": page["seen"]}))
    assert marked == {"marked": 2, "unread": 1}
    assert [entry["title"] for entry in unread(team.bea)] == ["Slow"]
    again = ok(team.bea.client.get("/inbox"))["seen"]
    assert ok(team.bea.client.post("/inbox/read", json={"all": True, "until": again}))["unread"] == 0


def test_a_mark_that_no_inbox_gave_is_refused(team: Team) -> None:
    for nonsense in ("", "x", "-", "1-2", "1" * 33, "9" * 19):
        refused(team.bea.client.post("/inbox/read", json={"all": True, "until": nonsense}), 422)
    if team.site.database.is_sqlite:
        refused(team.bea.client.post("/inbox/read", json={"all": True, "until": "123"}), 422)


def test_no_comment_is_lost_between_those_who_comment_and_who_marks(team: Team) -> None:
    task = team.task(team.bea)
    together = Barrier(3)

    def talk(person: Person) -> None:
        together.wait()
        for number in range(8):
            team.comment(person, task, f"Comment {number}")

    def mark() -> None:
        together.wait()
        for _ in range(8):
            ok(team.bea.client.post("/inbox/read", json={"all": True}))

    with ThreadPoolExecutor(3) as pool:
        for future in [pool.submit(talk, team.ada), pool.submit(talk, team.carl), pool.submit(mark)]:
            future.result()
    entries = ok(team.bea.client.get("/inbox"))["items"]
    assert sum(entry["count"] for entry in entries if entry["kind"] == "comment") == 16


def test_pages_follow_each_other_and_nobody_sees_or_marks_anothers(team: Team) -> None:
    for number in range(5):
        team.task(team.ada, title=f"Task {number}", assignee=team.bea.email)
    first = ok(team.bea.client.get("/inbox", params={"limit": 3, "unread": True}))
    second = ok(team.bea.client.get("/inbox", params={"limit": 3, "unread": True, "after": first["next"]}))
    titles = [entry["title"] for entry in [*first["items"], *second["items"]]]
    assert titles == [f"Task {number}" for number in (4, 3, 2, 1, 0)]
    assert (first["unread"], second["next"]) == (5, None)
    theirs = [entry["id"] for entry in first["items"]]
    assert ok(team.carl.client.post("/inbox/read", json={"ids": theirs})) == {"marked": 0, "unread": 0}
    newest = first["items"][0]["id"]
    oldest = second["items"][-1]["id"]
    assert ok(team.bea.client.post("/inbox/read", json={"all": True, "until": oldest}))["unread"] == 4
    assert ok(team.bea.client.post("/inbox/read", json={"ids": [newest]}))["unread"] == 3
    assert ok(team.bea.client.post("/inbox/read", json={"ids": [newest], "read": False}))["unread"] == 4


@pytest.mark.parametrize(
    "order", [{}, {"ids": []}, {"all": True, "ids": ["0" * 32]}, {"ids": ["x"]}, {"all": True, "read": False}]
)
def test_a_mark_says_what_it_means(site: Site, order: dict[str, Any]) -> None:
    refused(site.person(f"Eve{next(_numbers)}").client.post("/inbox/read", json=order), 422)


def test_all_that_was_marked_at_once_can_be_taken_back_and_no_more(team: Team) -> None:
    for number in range(3):
        team.task(team.ada, title=f"Task {number}", assignee=team.bea.email)
    with team.database.write() as session:
        inbox.mark(session, team.bea.principal, [unread(team.bea)[0]["id"]])
    with team.database.write() as session:
        assert inbox.mark_all(session, team.bea.principal)[0] == 2
        moment = inbox.mark_all(session, team.carl.principal)[1]
        assert inbox.unmark(session, team.bea.principal, moment) == 0
    with team.database.write() as session:
        moment = session.scalar(select(func.max(InboxEntry.read_at)).where(InboxEntry.user_id == team.bea.id)) or moment
        assert inbox.unmark(session, team.bea.principal, moment) == 2
    assert [entry["title"] for entry in unread(team.bea)] == ["Task 1", "Task 0"]


def test_first_choices_that_are_made_at_once_are_no_error(site: Site) -> None:
    for _ in range(5):
        eve, together = site.person(f"Eve{next(_numbers)}"), Barrier(4)

        def choose(number: int, eve: Person = eve, together: Barrier = together) -> int:
            with site.client() as client:
                together.wait()
                change = {"items": [{"kind": "comment", "mail": number % 2 == 0}]}
                return client.patch("/inbox/settings", json=change, headers=dict(eve.client.headers)).status_code

        with ThreadPoolExecutor(4) as pool:
            assert set(pool.map(choose, range(4))) == {200}


def test_each_person_chooses_what_comes_and_how(team: Team) -> None:
    settings = ok(team.bea.client.get("/inbox/settings"))["items"]
    assert [item["kind"] for item in settings if item["mail"]] == ["assigned", "mention"]
    assert all(item["inbox"] for item in settings)
    chosen = {"items": [{"kind": "assigned", "inbox": False}, {"kind": "status", "inbox": False, "mail": True}]}
    changed = {item["kind"]: item for item in ok(team.bea.client.patch("/inbox/settings", json=chosen))["items"]}
    assert (changed["assigned"]["inbox"], changed["assigned"]["mail"]) == (False, True)
    task = team.task(team.ada, assignee=team.bea.email)
    ok(team.ada.client.patch(f"/tasks/{task}", json={"status": "done"}))
    assert (unread(team.bea), team.counts(team.bea), len(team.mails(team.bea))) == ([], [], 2)
    ok(team.bea.client.patch("/inbox/settings", json={"items": [{"kind": "assigned", "mail": False}]}))
    team.task(team.ada, assignee=team.bea.email)
    assert len(team.mails(team.bea)) == 2
    refused(team.bea.client.patch("/inbox/settings", json={"items": [{"kind": "gossip"}]}), 422)


def test_the_mail_leads_to_the_task_and_says_how_to_turn_it_off(team: Team, tmp_path: Path) -> None:
    task = team.task(team.ada, title="A <b> & “c”", assignee=team.bea.email)
    run_jobs(team.database, [jobs.send_mail, jobs.fail_mail], Post(FileMailer(tmp_path / "mails")))
    [mail] = [mail for mail in read_mails(tmp_path / "mails") if mail["To"] == team.bea.email]
    assert mail["Subject"] == f"{team.ada.principal.name} assigned “A <b> & “c”” to you"
    for kind in ("plain", "html"):
        assert f"https://tasks.example.org/web/tasks/{task}" in body(mail, kind)
        assert "https://tasks.example.org/web/account#notifications" in body(mail, kind)
        assert "Mill Quarter" in body(mail, kind)
    assert "A &lt;b&gt; &amp;" in body(mail, "html")


def test_its_changes_are_for_the_person_alone(team: Team) -> None:
    team.task(team.ada, assignee=team.bea.email)
    team.task(team.ada, assignee=team.bea.email)
    assert team.counts(team.bea) == [1, 2]
    with team.database.read() as session:
        may_follow([f"user:{team.bea.id}"])(session, team.bea.principal)
        with pytest.raises(NotFound):
            may_follow([f"user:{team.bea.id}"])(session, team.ada.principal)


def test_what_is_due_is_told_in_the_morning_of_ones_own_zone_once(team: Team) -> None:
    zone, today = "Pacific/Chatham", date(2031, 5, 6)
    with team.database.write() as session:
        accounts.update_user(session, team.bea.principal, team.bea.id, UserChanges(time_zone=zone))
    due = {"soon": today + timedelta(days=1), "late": today - timedelta(days=1), "not yet": today + timedelta(days=2)}
    for title, day in due.items():
        team.task(team.ada, title=title, due=str(day), assignee=team.bea.email)
        team.task(team.ada, title=f"{title}, of Carl", due=str(day), assignee=team.carl.email)
    team.task(team.ada, title="done", due=str(due["late"]), assignee=team.bea.email, status="done")
    ok(team.bea.client.post("/inbox/read", json={"all": True}))
    ok(team.carl.client.post("/inbox/read", json={"all": True}))
    for _ in range(2):
        with team.database.write() as session:
            args = {"zone": zone, "day": today.isoformat()}
            enqueue(session, task_jobs.remind, args, unique_key=f"tasks.remind:{zone}:{today}")
        run_jobs(team.database, [task_jobs.remind])
    told = {"“soon” is due on 7 May 2031", "“late” was due on 5 May 2031 and still open"}
    assert set(texts(team.bea)) == told
    assert unread(team.carl) == []


def test_mornings_begin_at_seven_wherever_people_are(team: Team) -> None:
    with team.database.write() as session:
        accounts.update_user(session, team.bea.principal, team.bea.id, UserChanges(time_zone="Asia/Tokyo"))
    with team.database.read() as session:
        at = dict(reminders.mornings(session, datetime(2031, 5, 6, 21, 59, tzinfo=UTC)))
        assert "Asia/Tokyo" not in at
        at = dict(reminders.mornings(session, datetime(2031, 5, 6, 22, 0, tzinfo=UTC)))
        assert (at["Asia/Tokyo"], at["UTC"]) == (date(2031, 5, 7), date(2031, 5, 6))


def test_the_hourly_job_begins_each_morning_once(team: Team) -> None:
    # Between them it is seven or later somewhere, whenever this runs.
    for person, zone in ((team.ada, "UTC"), (team.bea, "Pacific/Kiritimati")):
        with team.database.write() as session:
            accounts.update_user(session, person.principal, person.id, UserChanges(time_zone=zone))
    begun: list[tuple[str, str]] = []
    for _ in range(2):
        with team.database.write() as session:
            enqueue(session, task_jobs.begin_reminders)
        ended = run_jobs(team.database, [task_jobs.begin_reminders, task_jobs.remind])
        assert {job.state for job in ended} == {State.COMPLETED}
        begun += [(job.args["zone"], job.args["day"]) for job in ended if job.kind == "tasks.remind"]
    with team.database.read() as session:
        expected = {(zone, day.isoformat()) for zone, day in reminders.mornings(session, utcnow())}
    assert begun
    assert (set(begun), len(begun)) == (expected, len(expected))


def test_what_was_read_long_ago_is_forgotten_and_what_is_unread_is_not(team: Team) -> None:
    for number in range(3):
        team.task(team.ada, title=f"Task {number}", assignee=team.bea.email)
    mine = InboxEntry.user_id == team.bea.id
    with team.database.write() as session:
        session.execute(update(InboxEntry).where(mine).values(created_at=utcnow() - timedelta(days=200)))
        for title, days in (("Task 0", 91), ("Task 1", 89)):
            read = update(InboxEntry).where(mine, InboxEntry.title == title)
            session.execute(read.values(read_at=utcnow() - timedelta(days=days)))
    with team.database.write() as session:
        enqueue(session, jobs.prune_mails)
    run_jobs(team.database, [jobs.prune_mails])
    titles = [entry["title"] for entry in ok(team.bea.client.get("/inbox"))["items"]]
    assert [title for title in titles if title.startswith("Task")] == ["Task 2", "Task 1"]


def test_it_is_ones_own_and_needs_a_sign_in(site: Site) -> None:
    for method, path in (("GET", "/inbox"), ("POST", "/inbox/read"), ("GET", "/inbox/settings")):
        refused(site.client().request(method, path, json={"all": True}), 401)
