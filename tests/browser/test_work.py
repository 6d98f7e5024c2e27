"""People at work: two windows, the keyboard alone, no scripts."""

import re

from playwright.sync_api import Response, Route, expect

from tests.browser.site import ADDRESS, PASSWORD, LiveSite, connected

#: Makes a page follow further channels, as one with a part for each would.
FOLLOW = """channels => {
  document.getElementById('tasks').dataset.channel += ' ' + channels
  document.dispatchEvent(new Event('htmx:afterSettle', { bubbles: true }))
}"""


def test_two_windows_see_one_change(live: LiveSite) -> None:
    project = live.project("Two windows")
    here = live.page(f"/web/projects/{project}")
    there = live.page(f"/web/projects/{project}")
    connected(there)
    here.get_by_label("New task").fill("paint !hgih")
    expect(here.locator("#quick-preview")).to_contain_text("no priority or person here: !hgih")
    here.get_by_label("New task").fill("replace valve !high @me #pump tomorrow")
    expect(here.locator("#quick-preview")).to_contain_text("Tomorrow")
    here.get_by_role("button", name="Add", exact=True).click()
    expect(there.get_by_role("link", name="replace valve")).to_be_visible()
    expect(there.locator(".task")).to_contain_text(["pump"])
    here.context.close()
    there.context.close()


def test_tabs_of_one_browser_share_a_connection_which_another_takes_over(live: LiveSite) -> None:
    project = live.project("Two tabs")
    other = live.project("Another")
    context = live.context()
    asked: list[str] = []
    context.on("request", lambda request: asked.append(request.url) if "/events?" in request.url else None)
    first, second = context.new_page(), context.new_page()
    first.goto(f"/web/projects/{project}")
    connected(first)
    second.goto(f"/web/projects/{project}")
    connected(second)
    assert len(asked) == 1
    live.task(project, "for both")
    expect(second.get_by_role("link", name="for both")).to_be_visible()
    expect(first.get_by_role("link", name="for both")).to_be_visible()
    first.close()
    live.task(project, "for the one that stays")
    expect(second.get_by_role("link", name="for the one that stays")).to_be_visible()
    third = context.new_page()
    third.goto(f"/web/projects/{other}")
    connected(third)
    live.task(other, "elsewhere")
    expect(third.get_by_role("link", name="elsewhere")).to_be_visible()
    context.close()


def test_tabs_that_follow_more_than_the_service_takes_stay_connected(live: LiveSite) -> None:
    many = [live.project(f"Followed {number}") for number in range(60)]
    context = live.context()
    refused: list[int] = []
    context.on("response", lambda answer: refused.append(answer.status) if is_refused_stream(answer) else None)
    pages = [context.new_page() for _ in range(2)]
    for page, projects in zip(pages, (many[:30], many[30:]), strict=True):
        page.goto(f"/web/projects/{projects[0]}")
        connected(page)
        page.evaluate(FOLLOW, " ".join(f"project:{each}" for each in projects))
    live.task(many[30], "seen by the newest")
    expect(pages[1].get_by_role("link", name="seen by the newest")).to_be_visible()
    connected(pages[0])
    assert refused == []
    context.close()


def is_refused_stream(answer: Response) -> bool:
    return "/events?" in answer.url and answer.status != 200


def test_what_was_missed_without_a_network_arrives_after_it(live: LiveSite) -> None:
    project = live.project("Offline")
    page = live.page(f"/web/projects/{project}")
    connected(page)
    page.context.set_offline(True)
    expect(page.locator("#connection")).to_be_visible()
    live.task(project, "made meanwhile")
    page.context.set_offline(False)
    expect(page.get_by_role("link", name="made meanwhile")).to_be_visible()
    expect(page.locator("#connection")).to_be_hidden()
    page.context.close()


def test_what_happened_between_rendering_and_connecting_is_not_missed(live: LiveSite) -> None:
    project = live.project("Early")
    context = live.context()
    page = context.new_page()

    def late(route: Route) -> None:
        live.task(project, "made in between")
        route.continue_()

    page.route(re.compile(r"/page\.js$"), late)
    page.goto(f"/web/projects/{project}")
    expect(page.get_by_role("link", name="made in between")).to_be_visible()
    context.close()


def test_marks_and_typing_stay_when_others_change_the_list(live: LiveSite) -> None:
    project = live.project("Steady")
    live.task(project, "first")
    page = live.page(f"/web/projects/{project}")
    connected(page)
    page.get_by_label("Mark “first”").check()
    page.get_by_label("New task").fill("half a tas")
    live.task(project, "second")
    expect(page.get_by_role("link", name="second")).to_be_visible()
    expect(page.get_by_label("Mark “first”")).to_be_checked()
    expect(page.get_by_label("New task")).to_have_value("half a tas")
    expect(page.locator(".bulk-count")).to_have_text("1 marked")
    page.context.close()


def test_the_keyboard_is_enough(live: LiveSite) -> None:
    project = live.project("Keys")
    page = live.page(f"/web/projects/{project}")
    page.keyboard.press("c")
    page.keyboard.type("pour the slab !u")
    page.keyboard.press("Enter")
    link = page.get_by_role("link", name="pour the slab")
    expect(link).to_be_visible()
    expect(page.get_by_label("New task")).to_be_focused()
    for _ in range(2):
        page.keyboard.press("Tab")
    page.locator("#filter-q").press("Shift+Tab")
    page.keyboard.press("j")
    expect(link).to_be_focused()
    page.keyboard.press("x")
    expect(page.locator(".bulk-count")).to_have_text("1 marked")
    page.context.close()


def test_a_card_is_moved_by_keyboard_and_keeps_the_focus(live: LiveSite) -> None:
    project = live.project("Keyboard")
    task = live.task(project, "pour the slab")
    page = live.page(f"/web/projects/{project}/board")
    card = page.get_by_role("link", name="pour the slab")
    card.focus()
    with page.expect_response(re.compile(rf"/web/tasks/{task}$")):
        page.keyboard.press("Shift+ArrowRight")
    doing = page.locator("[data-status=doing] .board-card")
    expect(doing).to_contain_text(["pour the slab"])
    expect(page.locator("#board-said")).to_have_text("pour the slab: Doing")
    expect(card).to_be_focused()
    page.reload()
    expect(doing).to_contain_text(["pour the slab"])
    page.context.close()


def test_the_palette_leads_to_a_task(live: LiveSite) -> None:
    live.task(live.project("Palette"), "strip the formwork")
    page = live.page("/")
    page.keyboard.press("Control+k")
    page.keyboard.type("formwork")
    expect(page.get_by_role("option", name="strip the formwork")).to_have_attribute("aria-selected", "true")
    page.keyboard.press("Enter")
    expect(page.get_by_role("heading", name="strip the formwork")).to_be_visible()
    connected(page)
    page.keyboard.press("e")
    expect(page.get_by_label("Title")).to_be_focused()
    page.keyboard.press("Escape")
    page.context.close()


def test_the_first_page_follows_all_projects(live: LiveSite) -> None:
    first, second = live.project("First"), live.project("Second")
    page = live.page("/")
    connected(page)
    for project in (first, second):
        live.task(project, f"mine in {project}", assignee="me")
        expect(page.get_by_role("link", name=f"mine in {project}").first).to_be_visible()
    page.context.close()


def test_a_card_is_dragged_to_another_column(live: LiveSite) -> None:
    project = live.project("Drag")
    task = live.task(project, "move me")
    page = live.page(f"/web/projects/{project}/board")
    with page.expect_response(re.compile(rf"/web/tasks/{task}$")):
        page.locator(f"#task-{task}").drag_to(page.locator("[data-status=done]"))
    expect(page.locator("[data-status=done] .board-card")).to_have_count(1)
    assert live.call("GET", f"/tasks/{task}")["status"] == "done"
    page.context.close()


def test_a_task_is_edited_in_place_and_seen_by_another(live: LiveSite) -> None:
    task = live.task(live.project("Place"), "one")
    here, there = live.page(f"/web/tasks/{task}"), live.page(f"/web/tasks/{task}")
    connected(there)
    here.get_by_label("Status").select_option("Blocked")
    expect(there.get_by_label("Status")).to_have_value("blocked")
    expect(there.locator("#timeline")).to_contain_text("set the status to Blocked")
    here.get_by_placeholder("Add a step").fill("Order it")
    here.get_by_placeholder("Add a step").press("Enter")
    expect(there.locator("#checklist").get_by_text("Order it")).to_be_visible()
    expect(here.get_by_placeholder("Add a step")).to_be_focused()
    here.get_by_role("textbox", name="Comment").fill("It is **here**.")
    there.get_by_role("textbox", name="Comment").fill("I am still typ")
    here.get_by_role("button", name="Comment").click()
    expect(there.locator(".comment")).to_contain_text(["It is here."])
    expect(there.get_by_role("textbox", name="Comment")).to_have_value("I am still typ")
    expect(here.get_by_role("textbox", name="Comment")).to_have_value("")
    here.context.close()
    there.context.close()


def test_a_comment_that_is_edited_keeps_its_typing_while_others_comment(live: LiveSite) -> None:
    task = live.task(live.project("Edited"), "one")
    live.call("POST", f"/tasks/{task}/comments", body="As it was")
    page = live.page(f"/web/tasks/{task}")
    connected(page)
    page.get_by_role("link", name="Edit your comment").click()
    field = page.get_by_role("textbox", name="Your comment")
    expect(field).to_be_focused()
    field.fill("As it shall be")
    page.get_by_role("textbox", name="Comment", exact=True).fill("And more")
    live.call("POST", f"/tasks/{task}/comments", body="Said meanwhile")
    expect(page.locator(".comment")).to_contain_text(["", "Said meanwhile"])
    expect(field).to_have_value("As it shall be")
    expect(page.get_by_role("textbox", name="Comment", exact=True)).to_be_focused()
    page.get_by_role("button", name="Save").locator("visible=true").click()
    expect(page.locator(".comment").first).to_contain_text("As it shall be")
    expect(field).to_have_count(0)
    page.context.close()


def test_everything_works_without_scripts(live: LiveSite) -> None:
    project = live.project("Plain")
    page = live.page(f"/web/projects/{project}", java_script_enabled=False)
    page.get_by_label("New task").fill("plain task @me")
    page.get_by_role("button", name="Add", exact=True).click()
    page.get_by_role("link", name="plain task").click()
    page.get_by_label("Status").select_option("Doing")
    page.locator("form", has=page.get_by_label("Status")).get_by_role("button", name="Save").click()
    expect(page.locator("#timeline")).to_contain_text("set the status to Doing")
    page.get_by_role("textbox", name="Comment").fill("Said plainly")
    page.get_by_role("button", name="Comment").click()
    expect(page.locator(".comment")).to_contain_text(["Said plainly"])
    page.context.close()


def test_signing_in_leads_to_where_one_wanted_to_go_and_signing_out_ends_it(live: LiveSite) -> None:
    context = live.browser.new_context(base_url=live.service.url)
    page = context.new_page()
    page.goto("/web/projects")
    page.get_by_label("E-mail address").fill(ADDRESS)
    page.get_by_label("Password").fill(PASSWORD)
    page.get_by_role("button", name="Sign in").click()
    expect(page.get_by_role("heading", name="Projects", level=1)).to_be_visible()
    other = context.new_page()
    other.goto("/web/projects")
    connected(other)
    page.goto("/web/account")
    page.get_by_role("button", name="Sign out").click()
    expect(page.get_by_role("heading", name="Sign in")).to_be_visible()
    expect(other.get_by_role("heading", name="Sign in")).to_be_visible(timeout=15_000)
    context.close()
