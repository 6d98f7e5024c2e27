"""Every page that there is, with something on it; axe and the screenshots go through them all."""

import time
from datetime import timedelta

from tailrace.database import utcnow
from tests.browser.pictures import hang, picture
from tests.browser.site import ADDRESS, LiveSite

#: Pages of people who are not signed in.
OPEN_PLACES = {"sign-in": "/sign-in"}
_WORK: tuple[tuple[str, str, str, list[str], int | None], ...] = (
    ("Replace the valve of the drinking water pump", "doing", "high", ["plumbing", "pump"], 1),
    ("Close the gap in the guard rail, plant room", "todo", "urgent", ["safety"], -2),
    ("Test the smoke detectors, stairwell A", "todo", "medium", ["fire protection"], 0),
    ("Fix the leaking trap, kitchen", "blocked", "high", ["plumbing"], 6),
    ("Flush the heating circuit", "todo", "low", ["heating"], 30),
    ("Update the as-built drawing, server room", "doing", "none", ["drawing"], None),
    ("Weld the membrane at the upstand", "done", "medium", ["roof"], -10),
    ("Set the shower tray level", "cancelled", "none", [], None),
)
_COLLEAGUE = "priya@example.org"
_TEXT = "Needs two people. **Power must be off**:\n\n- tell the foreman\n- lock the breaker\n\n> Not on a Friday."


def furnish(site: LiveSite) -> dict[str, str]:
    """Fill a project and return the address of each page, by name."""
    project, empty = site.project(), site.project("Old Brewery")
    today = utcnow().date()
    ids = []
    for title, status, priority, labels, days in _WORK:
        due = None if days is None else str(today + timedelta(days=days))
        fields = {"status": status, "priority": priority, "labels": labels, "due": due}
        ids.append(site.task(project, title, assignee="me", description=_TEXT, **fields))
    for step, done in (("Order the material", True), ("Block the area off", False), ("Have it accepted", False)):
        site.call("POST", f"/tasks/{ids[0]}/checklist", title=step, done=done)
    site.call("PATCH", f"/tasks/{ids[0]}", priority="urgent")
    site.call("POST", f"/tasks/{ids[0]}/comments", body="The part has not come yet; the supplier says **Thursday**.")
    photo = _photos(site, ids[0])
    saved = {"assignee": "me", "when": "week"}
    site.call("POST", f"/projects/{project}/filters", name="Mine this week", filter=saved, shared=True)
    job = _report(site, project)
    _news(site, project, ids[0])
    return {
        "my-tasks": "/",
        "inbox": "/web/inbox",
        "welcome": "/web/welcome",
        "projects": "/web/projects",
        "new-project": "/web/projects/new",
        "list": f"/web/projects/{project}",
        "list-empty": f"/web/projects/{empty}",
        "filters": f"/web/projects/{project}/filters",
        "board": f"/web/projects/{project}/board",
        "photos": f"/web/projects/{project}/photos",
        "photos-empty": f"/web/projects/{empty}/photos",
        "photos-own": "/web/photos",
        "photos-deleted": f"/web/projects/{project}/photos?trash=1",
        "photo": f"/web/photos/{photo}",
        "settings": f"/web/projects/{project}/settings",
        "task": f"/web/tasks/{ids[0]}",
        "task-edited": f"/web/tasks/{ids[0]}?edit=text",
        "upload": f"/web/photos/upload?task={ids[0]}",
        "account": "/web/account",
        "search": "/web/search?q=the",
        "reports": "/web/reports",
        "new-report": f"/web/reports/new?project={project}&status=doing",
        "health": "/web/admin",
        "jobs": "/web/admin/jobs",
        "job": f"/web/admin/jobs/{job}",
        "log": "/web/admin/log",
        "mail": "/web/admin/mail",
        "people": "/web/admin/people",
        "person": "/web/admin/people/1",
        "not-found": "/web/nowhere",
    }


def _photos(site: LiveSite, task: int) -> str:
    """Add photos of some days: a pair, one that fails, one in the trash; return the id of one of the pair."""
    whole = picture(0)
    broken = whole[: len(whole) // 2] + b"\xff\xd9"
    upright = [
        picture(number, (900, 1200) if number % 4 == 1 else (1200, 900), days_ago=number // 3) for number in range(13)
    ]
    ids = hang(site, task, *upright, broken)
    site.call("PATCH", f"/photos/{ids[0]}", caption="The valve, before it was replaced")
    site.call("PATCH", f"/photos/{ids[1]}", caption="The new valve, tested at 10 bar")
    site.call("PUT", f"/photos/{ids[1]}/pair", before=ids[0])
    site.call("DELETE", f"/photos/{ids[-2]}")
    return ids[0]


def _news(site: LiveSite, project: int, task: int) -> None:
    """Have a colleague do what is told in the inbox, of which some is read."""
    token = site.service.create_user(_COLLEAGUE)
    site.call("POST", f"/projects/{project}/members", email=_COLLEAGUE)
    with site.service.client(token) as colleague:
        for text in ("Is the pump off?", "The supplier called."):
            assert colleague.post(f"/tasks/{task}/comments", json={"body": text}).is_success
        site.call("POST", "/inbox/read", all=True)
        new = {"title": "Order the gasket", "assignee": ADDRESS, "description": "@ada"}
        assert colleague.post(f"/projects/{project}/tasks", json=new).is_success
        assert colleague.patch(f"/tasks/{task}", json={"status": "blocked"}).is_success


def _report(site: LiveSite, project: int) -> str:
    """Have reports made, one of them with a mail, and wait for that; return the id of its job."""
    site.call("POST", "/reports", format="xlsx", filters={"project": [project], "status": ["todo", "doing"]})
    site.call("POST", "/reports", kind="photos")
    last = site.call("POST", "/reports", format="csv", email=ADDRESS)
    deadline = time.monotonic() + 30
    while site.call("GET", f"/reports/{last['id']}")["mail"] != "sent":
        assert time.monotonic() < deadline
        time.sleep(0.1)
    return str(last["job"])
