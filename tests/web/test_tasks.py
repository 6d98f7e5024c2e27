import html
import re
from datetime import timedelta
from typing import Any

import pytest

from tailrace.database import utcnow
from tailrace.tasks.models import TaskActivity
from tests.features import Site, ok
from tests.web.browsing import Browser, visible


@pytest.fixture
def project(ada: Browser) -> str:
    return ada.sent("/web/projects", name="Mill Quarter")


def add(ada: Browser, project: str, **task: Any) -> int:
    return int(ok(ada.client.post(f"{project.removeprefix('/web')}/tasks", json=task), 201)["id"])


def titles(text: str) -> list[str]:
    return re.findall(r'<a href="/web/tasks/\d+"[^>]*>([^<]*)</a>', text)


def test_a_line_becomes_a_task(ada: Browser, project: str) -> None:
    where = ada.sent(f"{project}/quick", text="replace <valve> !high @me #pump tomorrow")
    text = ada.text(where)
    assert titles(text) == ["replace &lt;valve&gt;"]
    task = ok(ada.get("/tasks"))["items"][0]
    assert (task["priority"], task["labels"], task["assignee"]["email"]) == ("high", ["pump"], "ada@site.test")
    assert ada.send(f"{project}/quick", text="  ").status_code == 422


def test_a_line_is_understood_while_it_is_typed(ada: Browser, project: str) -> None:
    text = visible("<main" + ada.text(f"{project}/quick", params={"text": "<b> !u @me #pump today"}))
    assert text == "<b> Urgent Ada <b> pump Today"


def test_through_htmx_the_line_is_emptied_and_the_list_told(ada: Browser, project: str) -> None:
    answer = ada.send(f"{project}/quick", by_htmx=True, text="x", **{"from": "list"})
    assert answer.headers["hx-trigger"] == "tasks-changed"
    assert "autofocus" in answer.text
    assert 'value="x"' not in answer.text


def test_the_list_shows_what_was_chosen_and_its_address_means_it(ada: Browser, project: str) -> None:
    add(ada, project, title="open", priority="low")
    add(ada, project, title="closed", status="done")
    add(ada, project, title="soon", due=str(utcnow().date() + timedelta(days=2)), labels=["pump"], priority="high")
    assert titles(ada.text(project)) == ["soon", "open"]
    assert sorted(titles(ada.text(f"{project}?status=all"))) == ["closed", "open", "soon"]
    assert titles(ada.text(f"{project}?when=week&priority=&q=")) == ["soon"]
    assert titles(ada.text(f"{project}?label=pump&q=soo")) == ["soon"]
    assert titles(ada.text(f"{project}?assignee=me")) == []
    part = ada.get(f"{project}?q=ope&status=open&sort=-priority&label=", headers={"HX-Request": "true"})
    assert part.headers["hx-push-url"] == f"{project}?q=ope"
    assert titles(part.text) == ["open"]
    assert "<html" not in part.text
    assert ada.get(f"{project}?status=x").status_code == 422


def test_through_htmx_the_form_comes_with_the_list_and_marks_what_was_chosen(ada: Browser, project: str) -> None:
    def form(query: str) -> str:
        text = str(ada.get(f"{project}?{query}", headers={"HX-Request": "true"}).text)
        return text.partition('id="filters"')[2].partition("</form>")[0]

    narrow = form("label=pump&status=done")
    assert 'hx-swap-oob="morph"' in narrow
    assert 'aria-label="Status" class="chosen"' in narrow
    assert '<option value="done" selected>' in narrow
    assert 'class="filter-label chosen"' in narrow
    assert "Clear" in narrow
    wide = form("status=open")
    assert "chosen" not in wide
    assert "Clear" not in wide
    assert "hx-swap-oob" not in ada.text(project)


def test_an_empty_list_says_what_to_do(ada: Browser, project: str) -> None:
    assert "Add the first task" in visible(ada.text(project))
    assert "Clear the filters" in visible(ada.text(f"{project}?q=zzz"))


def test_many_are_changed_at_once(ada: Browser, project: str) -> None:
    ids = [add(ada, project, title=f"task {number}", labels=["old"]) for number in range(3)]
    where = ada.sent(f"{project}/bulk", task=ids[:2], status="doing", label="new", assignee="me", filter="?status=all")
    assert where == f"{project}?status=all"
    assert "2 tasks changed." in ada.text(where)
    found = {task["id"]: task for task in ok(ada.get("/tasks"))["items"]}
    assert [found[task]["status"] for task in ids] == ["doing", "doing", "todo"]
    assert found[ids[0]]["labels"] == ["new", "old"]
    ada.sent(f"{project}/bulk", task=ids[0], assignee="none")
    assert ok(ada.get(f"/tasks/{ids[0]}"))["assignee"] is None


@pytest.mark.parametrize(
    ("fields", "told"),
    [
        ({"status": "doing"}, "1 task changed; 1 had it already."),
        ({"label": "pump"}, "2 tasks changed."),
        ({"status": "", "label": " "}, "Nothing was chosen to change, so all is as it was."),
    ],
)
def test_as_many_are_told_as_really_changed(ada: Browser, project: str, fields: dict[str, str], told: str) -> None:
    ids = [add(ada, project, title=status, status=status) for status in ("todo", "doing")]
    assert told in visible(ada.text(ada.sent(f"{project}/bulk", task=[*ids, ids[0]], **fields)))
    assert "No task was marked" in ada.text(ada.sent(f"{project}/bulk", **fields))


@pytest.mark.parametrize("number", ["99999999999999999999", "9" * 5000, str(2**63)])
def test_a_number_that_no_task_can_have_is_refused(ada: Browser, project: str, number: str) -> None:
    task = add(ada, project, title="one")
    answer = ada.send(f"{project}/bulk", task=[task, number], status="done")
    assert answer.status_code == 422
    assert "a number that no task can have" in answer.text
    assert ok(ada.get(f"/tasks/{task}"))["status"] == "todo"
    assert ada.send(f"{project}/bulk", task=[str(2**63 - 1)], status="done").status_code == 404


def test_of_many_all_are_changed_or_none(ada: Browser, project: str) -> None:
    ids = [add(ada, project, title="task") for _ in range(2)]
    assert ada.send(f"{project}/bulk", task=[*ids, 99], status="done").status_code == 404
    assert {task["status"] for task in ok(ada.get("/tasks"))["items"]} == {"todo"}


def test_the_board_has_a_column_for_each_state(ada: Browser, project: str) -> None:
    task = add(ada, project, title="one", status="doing")
    text = ada.text(f"{project}/board")
    assert re.findall(r'data-status="(\w+)"', text) == ["todo", "doing", "blocked", "done", "cancelled"]
    assert text.index('data-status="doing"') < text.index(f'id="task-{task}"') < text.index('data-status="blocked"')
    assert ada.sent(f"/web/tasks/{task}", status="done", **{"from": "board"}) == f"{project}/board"
    part = ada.text(f"{project}/board", headers={"HX-Request": "true"})
    assert part.index('data-status="done"') < part.index(f'id="task-{task}"')


def test_a_viewer_sees_no_way_to_change(ada: Browser, site: Site, project: str) -> None:
    ben = site.person("Ben")
    ada.sent(f"{project}/members", email=ben.email, role="viewer")
    task = add(ada, project, title="one", labels=["pump"])
    add_comment = ok(ada.client.post(f"/tasks/{task}/comments", json={"body": "Hello"}), 201)
    assert add_comment
    for page in (project, f"{project}/board", f"/web/tasks/{task}", f"{project}/settings"):
        text = ben.client.get(page).text
        assert "one" in text or "Members" in text
        own = re.findall(r'<form[^>]*method="post" action="([^"]*)"', text)
        # Leaving, and saving a filter for oneself, change nothing for others.
        assert [address for address in own if not address.endswith((f"/members/{ben.id}/delete", "/filters"))] == []


def test_a_task_is_changed_field_by_field(ada: Browser, project: str) -> None:
    task = add(ada, project, title="one")
    page = f"/web/tasks/{task}"
    for fields in ({"status": "doing"}, {"priority": "high"}, {"assignee": "1"}, {"due": "2030-01-02"}):
        assert ada.sent(page, **fields) == page
    ada.sent(page, add_label="pump, roof")
    ada.sent(page, remove_label="roof")
    found = ok(ada.get(f"/tasks/{task}"))
    assert (found["status"], found["priority"], found["due"], found["labels"]) == (
        "doing",
        "high",
        "2030-01-02",
        ["pump"],
    )
    ada.sent(page, due="")
    ada.sent(page, assignee="")
    assert ok(ada.get(f"/tasks/{task}"))["due"] is None
    text = visible(ada.text(page))
    for sentence in ("set the status to Doing", "set the priority to High", "removed the due day", "created the task"):
        assert sentence in text
    refused = ada.send(page, by_htmx=True, due="tomorrow")
    assert refused.status_code == 422
    assert 'id="due-fault">This is no date' in refused.text


def test_text_that_somebody_else_changed_meanwhile_is_not_lost(ada: Browser, project: str) -> None:
    task = add(ada, project, title="one", description="old")
    page = f"/web/tasks/{task}"
    form = ada.text(f"{page}?edit=text")
    assert 'name="version" value="1"' in form
    ok(ada.client.patch(f"/tasks/{task}", json={"title": "other"}))
    answer = ada.send(page, title="mine", description="my text", version="1")
    assert answer.status_code == 409
    assert "Somebody changed this task meanwhile" in answer.text
    assert "my text" in answer.text
    assert 'value="mine"' in answer.text


def test_a_description_is_markdown_that_does_no_harm(ada: Browser, project: str) -> None:
    text = "# Big\n\n**bold** <script>alert(1)</script> [x](javascript:alert(1)) ![i](https://a.test/i.png)\n\n- item"
    task = add(ada, project, title="one", description=text)
    shown = ada.text(f"/web/tasks/{task}").partition('<div class="prose">')[2].partition("</section>")[0]
    assert "<h3>Big</h3>" in shown
    assert "<strong>bold</strong>" in shown
    assert "<li>item</li>" in shown
    assert "<script" not in shown
    assert "javascript:" not in re.sub(r"\[x\]\(javascript:alert\(1\)\)", "", shown)
    assert "<img" not in shown


def test_steps_are_added_done_and_removed(ada: Browser, project: str) -> None:
    page = f"/web/tasks/{add(ada, project, title='one')}"
    ada.sent(f"{page}/checklist", step="<b>Order</b>")
    item = re.search(rf"{page}/checklist/(\d+)", ada.text(page))
    assert item is not None
    ada.sent(item[0], done=["false", "true"])
    text = ada.text(page)
    assert "1 of 1" in text
    assert "&lt;b&gt;Order" in text
    assert "did the step <b>Order</b>" in visible(text)
    ada.sent(item[0], remove="1")
    assert item[0] not in ada.text(page)
    empty = ada.send(f"{page}/checklist", step=" ")
    assert empty.status_code == 422
    assert 'id="step-fault">This is needed.' in empty.text


def test_comments_come_in_order_with_the_changes(ada: Browser, project: str) -> None:
    page = f"/web/tasks/{add(ada, project, title='one')}"
    ada.sent(f"{page}/comments", body="First *word*")
    ada.sent(page, status="doing")
    ada.sent(f"{page}/comments", body="Last word")
    text = ada.text(page)
    assert text.index("<em>word</em>") < text.index("set the status") < text.index("Last word")
    comment = re.search(rf"{page}/comments/(\d+)", text)
    assert comment is not None
    assert "First *word*</textarea>" in ada.text(f"{page}?edit={comment[1]}")
    ada.sent(comment[0], body="Other")
    assert "Other" in ada.text(f"{page}/timeline")
    ada.sent(comment[0], remove="1")
    assert "Other" not in visible(ada.text(page))
    answer = ada.send(f"{page}/comments", by_htmx=True, body="")
    assert answer.status_code == 422
    assert 'id="body-fault">This is needed.' in answer.text


def test_a_comment_that_is_edited_stays_so_when_the_time_line_is_refreshed(ada: Browser, project: str) -> None:
    page = f"/web/tasks/{add(ada, project, title='one')}"
    ada.sent(f"{page}/comments", body="First word")
    comment = re.search(rf"{page}/comments/(\d+)", ada.text(page))
    assert comment is not None
    edited = ada.text(f"{page}/timeline?edit={comment[1]}")
    assert "autofocus" in edited
    refresh = re.search(r'id="timeline".*? hx-get="([^"]*)"', edited)
    assert refresh is not None
    again = ada.text(html.unescape(refresh[1]), headers={"HX-Request": "true", "HX-Trigger": "timeline"})
    assert f'<textarea id="edit-{comment[1]}"' in again
    assert "autofocus" not in again
    assert "edit=" not in ada.send(comment[0], by_htmx=True, body="Other").text.partition("<ol")[0]


def test_photos_of_one_person_in_one_go_are_one_line(ada: Browser, site: Site, project: str) -> None:
    task = add(ada, project, title="one")
    people = {name: site.person(name).id for name in ("Ben", "Cleo")}
    added = [("Ben", 0), ("Ben", 5), ("Ben", 9), ("Cleo", 10), ("Ben", 11), ("Ben", 40)]
    told: list[tuple[str, int, str | None, str | None]]
    told = [(name, minutes, None, f"{number}.jpg") for number, (name, minutes) in enumerate(added, start=1)]
    told += [("Ben", 41, "1.jpg", None), ("Ben", 42, "2.jpg", None)]
    with site.database.write() as session:
        for name, minutes, old, new in told:
            at = utcnow() + timedelta(minutes=minutes)
            session.add(TaskActivity(task_id=task, user_id=people[name], field="photo", old=old, new=new, at=at))

    def lines(address: str) -> list[str]:
        found = re.findall(r'<li class="change".*?<p>(.*?) <span class="hint">', ada.text(address), re.DOTALL)
        return [re.sub("<[^>]+>", "", line) for line in found]

    assert lines(f"/web/tasks/{task}")[1:] == [
        "Ben added 3 photos",
        "Cleo added the photo 4.jpg",
        "Ben added the photo 5.jpg",
        "Ben added the photo 6.jpg",
        "Ben removed 2 photos",
    ]
    assert lines(f"/web/tasks/{task}/timeline?entries=7")[0] == "Ben added 2 photos or more"


def test_a_due_day_is_told_as_people_write_it(ada: Browser, project: str) -> None:
    task = add(ada, project, title="one")
    ada.sent(f"/web/tasks/{task}", due="2031-05-04")
    assert "set the due day to 4 May 2031" in visible(ada.text(f"/web/tasks/{task}"))


def test_a_new_title_becomes_that_of_the_page(ada: Browser, project: str) -> None:
    task = add(ada, project, title="one")
    changed = ada.send(f"/web/tasks/{task}", by_htmx=True, title="<two>", version="1")
    assert changed.text.startswith("<title>&lt;two&gt; · Tailrace</title>")
    assert "<title>" not in ada.text(f"/web/tasks/{task}/timeline")


def test_a_long_timeline_shows_its_end_and_the_way_back(ada: Browser, project: str) -> None:
    task = add(ada, project, title="one")
    for number in range(60):
        ok(ada.client.post(f"/tasks/{task}/comments", json={"body": f"word {number}."}), 201)
    text = ada.text(f"/web/tasks/{task}")
    assert "word 59." in text
    assert "word 5." not in text
    assert "word 5." in ada.text(f"/web/tasks/{task}/timeline?entries=200")


def test_a_task_is_deleted(ada: Browser, project: str) -> None:
    task = add(ada, project, title="one")
    assert ada.sent(f"/web/tasks/{task}/delete") == project
    assert ada.get(f"/web/tasks/{task}").status_code == 404
    assert "“one” is deleted." in ada.text(project)


def test_the_first_page_shows_what_is_mine(ada: Browser, project: str) -> None:
    add(ada, project, title="mine", assignee="me")
    add(ada, project, title="not mine")
    mine, _, recent = ada.text("/").partition("Changed last")
    assert "not mine" not in mine.partition("<main")[2]
    assert "not mine" in recent
