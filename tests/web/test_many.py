"""Where there is much: lists that are cut say so, and lead to the rest."""

import html
import re

import pytest

from tailrace.accounts.principal import Principal
from tailrace.projects import service as projects
from tailrace.projects.schemas import ProjectChanges
from tailrace.tasks import service as tasks
from tailrace.tasks.schemas import TaskInput
from tests.features import Site, ok
from tests.web.browsing import Browser, visible

PROJECTS = 130


@pytest.fixture
def principal(ada: Browser) -> Principal:
    me = ok(ada.get("/users/me"))
    return Principal(me["id"], me["email"], me["name"], is_admin=True, via="session")


def make(site: Site, principal: Principal, count: int, *, archived: bool = False) -> list[int]:
    with site.database.write() as session:
        made = [projects.create_project(session, principal, name=f"Weir {n:03}").id for n in range(count)]
        for project_id in made if archived else ():
            projects.update_project(session, principal, project_id, ProjectChanges(archived=True))
    return made


def named(text: str) -> set[str]:
    return set(re.findall(r"Weir \d{3}", text.partition("<main")[2]))


def walk(browser: Browser, address: str, more: str) -> list[set[str]]:
    """Return the names on each page, from one to the next."""
    pages = []
    while address:
        text = browser.text(address)
        pages.append(named(text))
        found = re.search(rf'<a [^>]*href="([^"]*)"[^>]*>{more}</a>', text.partition("<main")[2])
        address = html.unescape(found[1]) if found else ""
    return pages


def test_every_project_can_be_reached(ada: Browser, site: Site, principal: Principal) -> None:
    make(site, principal, PROJECTS)
    pages = walk(ada, "/web/projects", "More projects")
    assert [len(names) for names in pages] == [100, 30]
    assert len(set.union(*pages)) == PROJECTS
    assert "More projects…" in ada.text("/").partition("<main")[0]
    assert "Previous" in ada.text("/web/projects?page=2")


def test_a_project_beyond_the_first_hundred_is_found_by_its_name(
    ada: Browser, site: Site, principal: Principal
) -> None:
    make(site, principal, PROJECTS)
    with site.database.write() as session:
        projects.create_project(session, principal, name="ZÜRICH 100% Übersee")
    for words in ("weir 129", "129", "züri über", "100%"):
        found = ada.text("/web/search", params={"q": words}, headers={"HX-Request": "true"})
        assert len(re.findall('id="found-p', found)) == 1, words
    found = ada.text("/web/search?q=weir", headers={"HX-Request": "true"})
    assert 'href="/web/projects?q=weir"' in found
    assert sum(len(names) for names in walk(ada, "/web/projects?q=weir", "More projects")) == PROJECTS
    assert "No project has these words" in ada.text("/web/projects?q=nowhere")


def test_the_whole_archive_can_be_reached(ada: Browser, site: Site, principal: Principal) -> None:
    make(site, principal, PROJECTS, archived=True)
    text = ada.text("/web/projects")
    assert len(named(text)) == 20
    assert "All in the archive" in text
    assert set.union(*walk(ada, "/web/projects?archived=true", "More projects")) == {
        f"Weir {n:03}" for n in range(PROJECTS)
    }


def test_a_report_is_made_of_any_project_and_anybody(ada: Browser, site: Site, principal: Principal) -> None:
    last = make(site, principal, 210)[-1]
    bea = site.person("Bea")
    with site.database.write() as session:
        projects.add_member(session, principal, last, email=bea.email, role=projects.Role.MEMBER)
    text = ada.text("/web/reports/new")
    assert f'<option value="{last}">Weir 209' in text
    assert f'<option value="{bea.id}">Bea' in text


def test_ones_colleagues_are_those_of_ones_own_projects(ada: Browser, site: Site) -> None:
    bea, cleo, dan = site.person("Bea"), site.person("Cleo"), site.person("Dan")
    site.project(bea, roles={"viewer": cleo})
    site.project(dan, roles={"viewer": cleo})
    over = site.project(bea, roles={"viewer": dan})
    ok(bea.client.patch(f"/projects/{over}", json={"archived": True}))
    with site.database.read() as session:
        assert {person.name for person in projects.list_colleagues(session, bea.principal)} == {"Bea", "Cleo"}
        assert len(projects.list_names(session, bea.principal)) == 2
        assert len(projects.list_names(session, bea.principal, archived=False)) == 1


def test_my_tasks_are_counted_paged_and_never_of_the_archive(ada: Browser, site: Site, principal: Principal) -> None:
    over, going = make(site, principal, 2)
    with site.database.write() as session:
        for n in range(105):
            new = TaskInput(title=f"Weir {n:03}", assignee="me")
            tasks.create_task(session, principal, going, new)
        tasks.create_task(session, principal, over, TaskInput(title="long over", assignee="me"))
        projects.update_project(session, principal, over, ProjectChanges(archived=True))
    first = ada.text("/")
    assert "The first 100 of 105 are shown." in visible(first)
    assert "long over" not in first.partition("Changed last")[0]
    pages = walk(ada, "/", "The next ones")
    assert len(set.union(*pages)) == 105
    assert ada.get("/?after=nonsense").status_code == 422


def test_the_first_page_hears_of_tasks_in_any_project(ada: Browser, site: Site, principal: Principal) -> None:
    made = make(site, principal, 40)
    with site.database.write() as session:
        tasks.create_task(session, principal, made[0], TaskInput(title="mine", assignee="me"))
    channels = re.search(r'id="home" data-channel="([^"]*)"', ada.text("/"))
    assert channels is not None
    names = channels[1].split()
    assert names[:3] == [f"user:{principal.user_id}", f"project:{made[0]}", f"project:{made[-1]}"]
    assert len(names) == 31
    assert "inbox.changed" in ada.text("/").partition('data-live="task')[2][:60]
