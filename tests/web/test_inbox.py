import re
from datetime import UTC, datetime

import pytest
from sqlalchemy import update

from tailrace.database import Database
from tailrace.notifications.models import InboxEntry
from tests.features import Person, Site, ok
from tests.web.browsing import Browser, visible


@pytest.fixture
def bea(site: Site) -> Person:
    return site.person("Bea")


@pytest.fixture
def project(ada: Browser, bea: Person) -> int:
    """Return the id of a project of Ada's in which Bea works."""
    made = int(ok(ada.client.post("/projects", json={"name": "Mill <Quarter>"}), 201)["id"])
    ok(ada.client.post(f"/projects/{made}/members", json={"email": bea.email}), 201)
    return made


def assign(bea: Person, project: int, title: str = "Mend the weir") -> int:
    """Have Bea give Ada a task, and return its id."""
    body = {"title": title, "assignee": "ada@site.test"}
    return int(ok(bea.client.post(f"/projects/{project}/tasks", json=body), 201)["id"])


def entries(text: str) -> list[str]:
    """Return the ids of the entries of a page."""
    return re.findall(r'id="entry-([0-9a-f]{32})"', text)


def unread(ada: Browser) -> int:
    return int(ok(ada.get("/inbox"))["unread"])


def badge(text: str) -> str:
    found = re.search(r'<span class="count" id="unread"[^>]*>(.*?)</span></span>', text)
    assert found is not None
    return "hidden" if " hidden>" in found[0] else re.sub(r"<[^>]+>", "", found[1] + "</span>")


def test_an_empty_inbox_says_what_will_come(ada: Browser) -> None:
    text = ada.text("/web/inbox")
    assert "Nothing has come yet" in text
    assert "Mark all as read" not in text
    assert badge(text) == "hidden"
    assert "Nothing is unread" in ada.text("/web/inbox?unread=true")


def test_every_page_shows_how_much_is_unread(ada: Browser, bea: Person, project: int) -> None:
    for number in range(3):
        assign(bea, project, f"Task {number}")
    for address in ("/", "/web/projects", "/web/inbox"):
        text = ada.text(address)
        assert badge(text) == "3 unread"
        assert 'href="/web/inbox" data-key="g i"' in text
    assert "<title>My tasks · Tailrace</title>" in ada.text("/")
    assert "3<span" in ada.text("/web/inbox/count")


def test_an_entry_leads_to_its_task_and_is_read_then(ada: Browser, bea: Person, project: int) -> None:
    task = assign(bea, project, "Mend <b>")
    text = ada.text("/web/inbox")
    assert "New Bea assigned “Mend <b>” to you Mill <Quarter> · just now" in visible(text)
    [entry] = entries(text)
    answer = ada.get(f"/web/inbox/{entry}")
    assert (answer.status_code, answer.headers["location"]) == (303, f"/web/tasks/{task}")
    assert unread(ada) == 0
    text = visible(ada.text("/web/inbox"))
    assert "Today B Bea assigned" in text
    assert ada.get(f"/web/inbox/{'0' * 32}").status_code == 404
    assert ada.get("/web/inbox/nothing").status_code == 404


def test_a_mark_is_set_and_taken_away_by_form_and_by_htmx(ada: Browser, bea: Person, project: int) -> None:
    assign(bea, project)
    [entry] = entries(ada.text("/web/inbox"))
    assert ada.sent(f"/web/inbox/{entry}", read="true", unread="true") == "/web/inbox?unread=true"
    assert unread(ada) == 0
    part = ada.send(f"/web/inbox/{entry}", by_htmx=True, read="false")
    assert part.text.startswith('<section id="inbox"')
    assert "entry-unread" in part.text
    assert "forgery_token" in part.text
    assert unread(ada) == 1
    assert ada.client.post(f"/web/inbox/{entry}", data={"read": "true"}).status_code == 403


def test_all_is_marked_as_read_up_to_what_was_shown_and_the_message_offers_to_undo_it(
    ada: Browser, bea: Person, project: int
) -> None:
    for number in range(2):
        assign(bea, project, f"Task {number}")
    until = re.search(r'name="until" value="(\w+)"', ada.text("/web/inbox"))
    assert until is not None
    assign(bea, project, "Came meanwhile")
    address = ada.sent("/web/inbox/read", until=until[1])
    assert unread(ada) == 1
    text = ada.text(address)
    assert "2 entries are marked as read. Undo" in visible(text)
    moment = re.search(r'name="moment" value="([^"]+)"', text)
    assert moment is not None
    assert ada.sent("/web/inbox/undo", moment=moment[1]) == "/web/inbox"
    assert "2 entries unread again." in ada.text("/web/inbox")
    assert unread(ada) == 3
    assert "are marked as read" not in ada.text(address)
    for nonsense in ("", "yesterday", "2031-01-01T00:00:00"):
        assert ada.sent("/web/inbox/undo", moment=nonsense) == "/web/inbox"
    assert ada.sent("/web/inbox/read").startswith("/web/inbox?undo=")
    assert ada.sent("/web/inbox/read") == "/web/inbox"


def test_the_filter_shows_what_is_unread_and_older_ones_are_on_the_next_page(
    ada: Browser, bea: Person, project: int
) -> None:
    for number in range(52):
        assign(bea, project, f"Task {number}")
    first = ada.text("/web/inbox")
    older = re.search(r'href="/web/inbox(\?after=\w+)">Older', first)
    assert older is not None
    assert len(entries(first)) == 50
    assert len(entries(ada.text(f"/web/inbox{older[1]}"))) == 2
    ada.get(f"/web/inbox/{entries(first)[0]}")
    assert "Unread (51)" in ada.text("/web/inbox?unread=true")
    assert entries(first)[0] not in entries(ada.text("/web/inbox?unread=true"))


def test_days_are_those_of_ones_own_zone(ada: Browser, bea: Person, project: int, database: Database) -> None:
    assign(bea, project, "Late in the evening")
    with database.write() as session:
        # Half past midnight of the third of May in Zurich, where Ada lives.
        session.execute(update(InboxEntry).values(created_at=datetime(2024, 5, 2, 22, 30, tzinfo=UTC)))
    assert "3 May 2024" in visible(ada.text("/web/inbox"))


def test_a_change_of_many_tasks_is_told_once(ada: Browser, bea: Person, project: int) -> None:
    ids = [ok(ada.client.post(f"/projects/{project}/tasks", json={"title": f"Task {n}"}), 201)["id"] for n in range(4)]
    ok(bea.client.post("/inbox/read", json={"all": True}))
    ada.sent(f"/web/projects/{project}/bulk", task=[str(task) for task in ids], assignee=str(bea.id))
    [entry] = ok(bea.client.get("/inbox", params={"unread": True}))["items"]
    assert entry["text"] == "4 tasks were assigned to you in Mill <Quarter> by Ada <b>"


def test_the_account_tells_and_changes_what_one_hears_of(ada: Browser, bea: Person, project: int) -> None:
    text = ada.text("/web/account")
    assert re.search(r'name="assigned.mail"[^>]* checked', text)
    assert not re.search(r'name="comment.mail"[^>]* checked', text)
    sent = ada.sent("/web/account/inbox", **{"mention.inbox": "1", "comment.mail": "1"})
    assert sent == "/web/account#notifications"
    text = ada.text("/web/account")
    assert set(re.findall(r'name="([\w.]+)" value="1"[^>]* checked', text)) == {"mention.inbox", "comment.mail"}
    assign(bea, project)
    assert unread(ada) == 0
