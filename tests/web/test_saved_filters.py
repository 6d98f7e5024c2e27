import re

import pytest
from sqlalchemy import update

from tailrace.tasks.models import SavedFilter
from tests.features import Site, ok
from tests.web.browsing import Browser, visible


@pytest.fixture
def project(ada: Browser) -> str:
    return ada.sent("/web/projects", name="Mill Quarter")


def save(ada: Browser, project: str, name: str = "Pumps", **fields: str) -> str:
    """Save a filter and return the address of its forms."""
    ada.sent(f"{project}/filters", name=name, **{"filter": "?label=pump&when=week", **fields})
    found = re.search(
        r'id="filter-(\d+)"(?:(?!id="filter-).)*?<strong>' + re.escape(name), page(ada, project), re.DOTALL
    )
    assert found is not None
    return f"/web/filters/{found[1]}"


def page(ada: Browser, project: str) -> str:
    return ada.text(f"{project}/filters")


def chips(text: str) -> list[tuple[str, bool]]:
    """Return the addresses of the chips above a list, and which of them it is."""
    part = text.partition('id="saved"')[2].partition("</nav>")[0]
    found = re.findall(r'class="chip" href="([^"]*)"( aria-current)?', part)
    return [(address.replace("&amp;", "&"), bool(here)) for address, here in found]


def test_a_chosen_filter_is_offered_to_be_saved_and_then_a_chip(ada: Browser, project: str) -> None:
    assert "Save this filter" not in ada.text(project)
    chosen = ada.text(f"{project}?when=week&label=pump")
    kept = re.search(r'name="filter" value="([^"]*)"', chosen.partition('class="save-filter"')[2])
    assert kept is not None
    where = ada.sent(f"{project}/filters", name="Pumps", filter=kept[1].replace("&amp;", "&"))
    assert where == f"{project}?label=pump&when=week"
    text = ada.text(where)
    assert "The filter “Pumps” is saved." in text
    assert chips(text) == [(where, True)]
    assert "Save this filter" not in text
    assert chips(ada.text(project)) == [(where, False)]


def test_through_htmx_the_chips_come_with_the_list(ada: Browser, project: str) -> None:
    save(ada, project)
    part = ada.get(f"{project}?when=week&label=pump", headers={"HX-Request": "true"}).text
    assert 'id="tasks"' in part
    assert 'hx-swap-oob="morph"' in part
    assert chips(part) == [(f"{project}?label=pump&when=week", True)]
    alone = ada.text(f"{project}/filters/chips?status=done")
    assert chips(alone) == [(f"{project}?label=pump&when=week", False)]
    assert "Save this filter" in alone
    assert "hx-swap-oob" not in alone


def test_the_default_filter_is_what_a_list_begins_with(ada: Browser, project: str) -> None:
    saved = save(ada, project)
    ada.sent(f"{saved}/default", default="true")
    answer = ada.get(project)
    assert (answer.status_code, answer.headers["location"]) == (303, f"{project}?label=pump&when=week")
    assert f'href="{project}?status=open"' in ada.text(answer.headers["location"])
    everything = ada.text(f"{project}?status=open")
    assert "Your default:" in everything
    part = ada.get(project, headers={"HX-Request": "true"})
    assert (part.status_code, part.headers["hx-push-url"]) == (200, f"{project}?status=open")
    ada.sent(f"{saved}/default", default="false")
    assert ada.get(project).status_code == 200


def test_filters_are_renamed_shared_and_explained(ada: Browser, site: Site, project: str) -> None:
    ben = site.person("Ben")
    ada.sent(f"{project}/members", email=ben.email, role="viewer")
    saved = save(ada, project, filter=f"?assignee={ben.id}&q=valve&status=all&when=overdue")
    assert ada.sent(saved, name="<Ben's>", shared="true") == f"{project}/filters"
    words = visible(page(ada, project))
    assert "<Ben's> “valve” All Ben Overdue Yours, shared" in words
    seen = ben.client.get(f"{project}/filters").text
    assert "&lt;Ben&#39;s&gt;" in seen
    forms = re.findall(r'action="(/web/filters/[^"]*)"', seen)
    assert forms == [f"{saved}/default"]
    ada.sent(saved, name="Mine")
    assert "Mine" not in ben.client.get(f"{project}/filters").text


def test_a_removal_can_be_undone(ada: Browser, project: str) -> None:
    saved = save(ada, project)
    where = ada.sent(f"{saved}/delete")
    text = ada.text(where)
    assert "“Pumps” is removed." in visible(text)
    undo = re.search(r'action="([^"]*/restore)"', text)
    assert undo is not None
    assert ada.sent(undo[1]) == f"{project}/filters"
    assert "“Pumps” is there again." in ada.text(f"{project}/filters")
    assert "is removed" not in ada.text(where)
    assert "is removed" not in ada.text(f"{project}/filters?removed=99")


def test_what_cannot_be_saved_keeps_what_was_typed(ada: Browser, project: str) -> None:
    save(ada, project)
    answer = ada.send(f"{project}/filters", name="Pumps", filter="?status=done", default="true")
    assert answer.status_code == 409
    assert "choose another name" in visible(answer.text)
    assert 'value="Pumps"' in answer.text
    assert 'name="filter" value="?status=done"' in answer.text
    assert re.search(r'name="default" value="true" checked', answer.text)
    assert ada.send(f"{project}/filters", name=" ", filter="?status=done").status_code == 422
    assert ada.send(f"{project}/filters", name="x", filter="?status=finished").status_code == 422


def test_a_stale_default_is_not_applied_and_says_so(ada: Browser, site: Site, project: str) -> None:
    saved = save(ada, project)
    ada.sent(f"{saved}/default", default="true")
    with site.database.write() as session:
        session.execute(update(SavedFilter).values(filter={"status": "postponed"}))
    text = ada.text(project)
    assert "Your default filter “Pumps” is not applied." in visible(text)
    assert chips(text) == [(f"{project}/filters", False)]
    assert "save it again" in visible(page(ada, project))
    ada.sent(f"{saved}/default", default="false")
    assert "is not applied" not in ada.text(project)


def test_filters_of_others_are_not_there(ada: Browser, site: Site, project: str) -> None:
    saved = save(ada, project)
    cleo = site.person("Cleo")
    for path in (f"{project}/filters", f"{project}/filters/chips"):
        assert cleo.client.get(path).status_code == 404
    ada.sent(f"{project}/members", email=cleo.email, role="manager")
    assert "Pumps" not in cleo.client.get(f"{project}/filters").text
    assert ok(cleo.client.get(f"{project.removeprefix('/web')}/filters"))["items"] == []
    assert ada.send(f"{saved}/delete").status_code == 303
