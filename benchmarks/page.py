"""The list of a project with 500 tasks: rendered on the server, and how soon it can be used in Chromium.

Rendering is measured in this process, from the request to the last byte, beside the JSON API on the same tasks (three
answers, for it gives 200 at most) and beside a bare Jinja loop that only writes such lines, without a database.

python -m benchmarks.page [--quick]
"""

import argparse
import asyncio
import json
import shutil
import statistics
import tempfile
import time
from collections.abc import Awaitable, Callable, Mapping
from pathlib import Path
from typing import Any
from urllib.parse import urlsplit

import httpx2
from fastapi import FastAPI
from jinja2 import Environment
from playwright.sync_api import Browser, sync_playwright

from benchmarks.service import EMAIL, running_service, tailrace
from tailrace.app import create_app
from tailrace.bootstrap import build
from tailrace.settings import load_settings

TASKS = 500
PASSWORD = "correct horse battery"
LIST = "/web/projects/1?status=all"
GOAL_RENDER_MS = 50
GOAL_INTERACTIVE_MS = 1000
LOOP = """<ul>{% for task in tasks %}
<li id="task-{{ task.id }}"><input type="checkbox" name="task" value="{{ task.id }}">
<span class="priority-{{ task.priority }}"></span><span class="status-{{ task.status }}"></span>
<a href="/web/tasks/{{ task.id }}">{{ task.title }}</a>
{% for name in task.labels %}<a class="chip" href="?label={{ name|urlencode }}">{{ name }}</a>{% endfor %}
{% if task.due %}<span class="due">{{ task.due }}</span>{% endif %}
{% if task.assignee %}<span class="avatar">{{ task.assignee.name }}</span>{% endif %}
</li>{% endfor %}</ul>"""
# When, in milliseconds from the beginning of the navigation, the page followed its events and answered its first key.
WATCH = """
addEventListener('DOMContentLoaded', () => {
  window.loadedAt = performance.now()
  const note = () => { if (document.body.dataset.connected === 'true') window.connectedAt ??= performance.now() }
  new MutationObserver(note).observe(document.body, { attributes: true })
  note()
  document.addEventListener('focusin', ({ target }) => {
    if (target.id === 'quick-text') window.answeredAt ??= performance.now()
  })
})
"""

Send = Callable[[str], Awaitable[bytes]]
Call = Callable[[], Awaitable[object]]


def main() -> None:
    """Fill a service with tasks, and measure."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--quick", action="store_true", help="a small run, to see that it works")
    repeat, visits = (5, 1) if parser.parse_args().quick else (60, 9)
    with tempfile.TemporaryDirectory() as folder:
        data = Path(folder, "data")
        with running_service(data) as (url, _):
            tailrace(data, "user", "create", EMAIL, "--admin", "--password-stdin", stdin=PASSWORD)
            tailrace(data, "demo", "--tasks", str(TASKS), "--user", EMAIL)
            cookie = sign_in(url)
            asyncio.run(measure_rendering(data, cookie, repeat))
            measure_chromium(url, cookie, visits)


def sign_in(url: str) -> str:
    """Return the secret of a new session."""
    answer = httpx2.post(f"{url}/session", json={"email": EMAIL, "password": PASSWORD})
    return str(answer.cookies["tailrace_session"])


async def measure_rendering(data: Path, cookie: str, repeat: int) -> None:
    """Measure the page, the same tasks as JSON, and the loop."""
    service = build(load_settings(data=data))
    send = sender(create_app(service), cookie)
    tasks = await read_tasks(send)
    assert len(tasks) == TASKS
    assert (await send(LIST)).count(b'class="task"') == TASKS
    loop = Environment(autoescape=True).from_string(LOOP)

    async def render_loop() -> object:
        return loop.render(tasks=tasks).encode()

    calls: dict[str, Call] = {
        "page": lambda: send(LIST),
        "JSON": lambda: read_tasks(send),
        "bare Jinja loop": render_loop,
    }
    page, *peers = (await measure(calls, repeat)).values()
    times = " and ".join(f"{page / each:.1f}" for each in peers)
    print(f"{'':17} goal {GOAL_RENDER_MS}; the page takes the processor {times} times as long")
    service.database.dispose()


async def measure(calls: Mapping[str, Call], repeat: int) -> dict[str, float]:
    """Print how long each call takes, and return the median of its processor time, in milliseconds.

    They take turns, so that whatever else the machine does concerns them alike.
    """
    took: dict[str, list[float]] = {name: [] for name in calls}
    spent: dict[str, list[float]] = {name: [] for name in calls}
    for _ in range(repeat):
        for name, call in calls.items():
            began, used = time.perf_counter(), time.process_time()
            await call()
            took[name].append((time.perf_counter() - began) * 1000)
            spent[name].append((time.process_time() - used) * 1000)
    for name, times in took.items():
        used = statistics.median(spent[name])
        best, median = min(times), statistics.median(times)
        print(f"{name:17} {median:8.1f} ms, at best {best:.1f}; processor {used:.1f}", flush=True)
    return {name: statistics.median(values) for name, values in spent.items()}


async def read_tasks(send: Send) -> list[dict[str, Any]]:
    """Return all tasks of the project, as the API gives them."""
    found: list[dict[str, Any]] = []
    after = ""
    while True:
        answer = json.loads(await send(f"/projects/1/tasks?limit=200{after}"))
        found += answer["items"]
        if answer["next"] is None:
            return found
        after = f"&after={answer['next']}"


def sender(app: FastAPI, cookie: str) -> Send:
    """Return what sends a request to the application in this process and returns the body of its answer."""

    async def send(path: str) -> bytes:
        parts = urlsplit(path)
        scope = {
            "type": "http",
            "asgi": {"version": "3.0"},
            "http_version": "1.1",
            "method": "GET",
            "scheme": "http",
            "path": parts.path,
            "raw_path": parts.path.encode(),
            "root_path": "",
            "query_string": parts.query.encode(),
            "headers": [(b"host", b"localhost"), (b"cookie", f"tailrace_session={cookie}".encode())],
            "client": ("127.0.0.1", 1),
            "server": ("127.0.0.1", 80),
        }
        told: list[Any] = []

        async def receive() -> dict[str, Any]:
            return {"type": "http.request", "body": b"", "more_body": False}

        async def take(message: Any) -> None:
            told.append(message)

        await app(scope, receive, take)
        assert told[0]["status"] == 200, told
        return b"".join(message.get("body", b"") for message in told[1:])

    return send


def measure_chromium(url: str, cookie: str, visits: int) -> None:
    """Measure visits with an empty cache, each in a profile of its own."""
    program = shutil.which("chromium")
    if program is None:
        print("no Chromium: not measured")
        return
    flags = ["--headless=new", "--no-sandbox", "--disable-gpu"]
    with sync_playwright() as playwright:
        browser = playwright.chromium.launch(executable_path=program, args=flags)
        seen = [visit(browser, url, cookie) for _ in range(visits + 1)][1:]
        browser.close()
    for name, values in zip(("DOMContentLoaded", "live", "first key"), zip(*seen, strict=True), strict=True):
        print(f"{name:17} {statistics.median(values):8.0f} ms, at best {min(values):.0f}")
    print(f"{'':17} goal {GOAL_INTERACTIVE_MS}: all of them")


def visit(browser: Browser, url: str, cookie: str) -> tuple[float, float, float]:
    """Open the page, press a key, and return when it was loaded, live, and answered."""
    context = browser.new_context(base_url=url)
    context.add_cookies([{"name": "tailrace_session", "value": cookie, "url": url}])
    context.add_init_script(WATCH)
    page = context.new_page()
    page.goto(LIST, wait_until="commit")
    page.wait_for_function("() => window.connectedAt", polling=5)
    page.keyboard.press("c")
    page.wait_for_function("() => window.answeredAt", polling=5)
    loaded, live, answered = page.evaluate("[loadedAt, connectedAt, answeredAt]")
    context.close()
    return float(loaded), float(live), float(answered)


if __name__ == "__main__":
    main()
