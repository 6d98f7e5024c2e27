import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st
from sqlalchemy import text

from tailrace.tasks.search import WORDS_MAX, words_of
from tests.features import Person, Site, ok


@pytest.fixture
def ada(site: Site) -> Person:
    return site.person("Ada")


@pytest.fixture
def project(site: Site, ada: Person) -> int:
    return site.project(ada)


def add(ada: Person, project: int, title: str, description: str = "") -> int:
    body = {"title": title, "description": description}
    return int(ok(ada.client.post(f"/projects/{project}/tasks", json=body), 201)["id"])


def find(ada: Person, query: str) -> set[int]:
    return {task["id"] for task in ok(ada.client.get("/tasks", params={"q": query, "limit": 200}))["items"]}


def test_words_and_their_beginnings_are_found_in_title_and_description(ada: Person, project: int) -> None:
    window = add(ada, project, "Seal the window", "Use *black* sealant, level 4")
    door = add(ada, project, "Adjust the fire door", "Tür im Café, level 4")
    assert find(ada, "window") == find(ada, "WIND seal") == find(ada, "black") == {window}
    assert find(ada, "cafe") == find(ada, "tür café") == {door}
    assert find(ada, "level") == find(ada, "  ") == find(ada, "") == {window, door}
    assert find(ada, "window door") == find(ada, "indow") == find(ada, "***") == set()


def test_the_search_follows_changes_and_deletions(site: Site, ada: Person, project: int) -> None:
    task = add(ada, project, "Seal the window")
    ok(ada.client.patch(f"/tasks/{task}", json={"title": "Paint the wall", "status": "done"}))
    assert (find(ada, "window"), find(ada, "wall")) == (set(), {task})
    ok(ada.client.patch(f"/tasks/{task}", json={"description": "with care"}))
    assert find(ada, "care wall") == {task}
    assert ada.client.delete(f"/tasks/{task}").status_code == 204
    assert find(ada, "wall") == set()
    with site.database.write() as session:
        session.execute(text("INSERT INTO task_search(task_search) VALUES ('integrity-check')"))


def test_a_search_goes_with_filters_orders_and_pages(site: Site, ada: Person, project: int) -> None:
    elsewhere = site.project(ada)
    made = [add(ada, number, f"Wall {letter}") for number, letter in ((project, "a"), (elsewhere, "b"), (project, "c"))]
    page = ok(ada.client.get("/tasks", params={"q": "wall", "sort": "-title", "limit": 2}))
    rest = ok(ada.client.get("/tasks", params={"q": "wall", "sort": "-title", "limit": 2, "after": page["next"]}))
    assert [task["id"] for task in page["items"] + rest["items"]] == made[::-1]
    only = ok(ada.client.get(f"/projects/{elsewhere}/tasks", params={"q": "wall"}))["items"]
    assert [task["id"] for task in only] == [made[1]]
    assert find(site.person("Bob"), "wall") == set()


OPERATORS = st.sampled_from(
    [
        '"',
        "*",
        "^",
        "(",
        ")",
        ":",
        "-",
        "+",
        "AND",
        "OR",
        "NOT",
        "NEAR(",
        "title:",
        "{",
        "'",
        "\\",
        "&",
        "|",
        "!",
        "<->",
    ]
)
TEXTS = st.text(st.characters(exclude_characters="\0", exclude_categories=["Cs"]), max_size=40)


@settings(max_examples=150, deadline=None, suppress_health_check=[HealthCheck.function_scoped_fixture])
@given(query=st.one_of(TEXTS, st.lists(OPERATORS, max_size=8).map(" ".join)))
def test_no_query_is_an_error(ada: Person, project: int, query: str) -> None:
    ok(ada.client.get("/tasks", params={"q": query}))


def test_a_query_of_very_many_words_uses_the_first() -> None:
    assert words_of("one-two_three " * 20) == (["one", "two", "three"] * 20)[:WORDS_MAX]
