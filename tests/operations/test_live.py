"""Live events: who may follow which channel, what arrives, and what a sign-out does."""

import json
from collections.abc import Iterator

import httpx2
import pytest

from tests.operations.conftest import Installation


@pytest.fixture(scope="module")
def project(installation: Installation) -> int:
    """Return a project of Ben's."""
    made = installation.ben.post("/projects", json={"name": "Harbour"})
    assert made.status_code == 201, made.text
    return int(made.json()["id"])


def _messages(lines: Iterator[str]) -> Iterator[dict[str, str]]:
    message: dict[str, str] = {}
    for line in lines:
        if line:
            name, _, value = line.partition(": ")
            message[name] = value
        else:
            yield message
            message = {}


def test_a_change_arrives_with_an_id(installation: Installation, project: int) -> None:
    with installation.ben.stream("GET", "/events", params={"channel": f"project:{project}"}) as answer:
        assert answer.status_code == 200
        messages = _messages(answer.iter_lines())
        position = next(messages)["id"]
        made = installation.ada.post(f"/projects/{project}/tasks", json={"title": "Pour the slab"})
        assert made.status_code == 201, made.text
        event = next(message for message in messages if "event" in message)
    assert event["event"].startswith("task.")
    assert int(event["id"]) > int(position)
    assert isinstance(json.loads(event["data"]), dict)


def test_a_client_that_comes_back_gets_what_it_missed(installation: Installation, project: int) -> None:
    query = {"channel": f"project:{project}"}
    with installation.ben.stream("GET", "/events", params=query) as answer:
        position = next(_messages(answer.iter_lines()))["id"]
    titles = [f"Task {number}" for number in range(5)]
    for title in titles:
        installation.ada.post(f"/projects/{project}/tasks", json={"title": title})
    with installation.ben.stream("GET", "/events", params=query, headers={"Last-Event-ID": position}) as answer:
        messages = (message for message in _messages(answer.iter_lines()) if "event" in message)
        events = [next(messages) for _ in titles]
    identifiers = [int(event["id"]) for event in events]
    assert identifiers == sorted(set(identifiers))
    assert min(identifiers) > int(position)


@pytest.mark.parametrize("channel", ["project:{project}", "project:999999", "user:1", f"job:{'0' * 32}"])
def test_a_channel_of_others_is_as_unknown_as_one_that_is_not_there(
    installation: Installation, project: int, channel: str
) -> None:
    answer = installation.cleo.get("/events", params={"channel": channel.format(project=project)})
    assert answer.status_code == 404


def test_one_forbidden_channel_among_several_refuses_all(installation: Installation, project: int) -> None:
    mine = installation.cleo.get("/session").json()["user"]["id"]
    channels = [f"user:{mine}", f"project:{project}"]
    assert installation.cleo.get("/events", params={"channel": channels}).status_code == 404


@pytest.mark.parametrize(
    "channel", ["", "project", "project:", "project:x", "project:-1", "room:1", "job:XYZ", "user:1 "]
)
def test_what_is_no_channel_is_refused(installation: Installation, channel: str) -> None:
    assert installation.ben.get("/events", params={"channel": channel}).status_code == 422


def test_no_channel_at_all_is_refused(installation: Installation) -> None:
    assert installation.ben.get("/events").status_code == 422
    assert installation.anonymous.get("/events", params={"channel": "user:1"}).status_code == 401


def test_a_sign_out_ends_the_stream(installation: Installation) -> None:
    credentials = {"email": "cleo@example.org", "password": "correct horse battery"}
    with httpx2.Client(base_url=installation.service.url, timeout=30) as browser:
        assert browser.post("/session", json=credentials).status_code in {200, 201}
        mine = browser.get("/session").json()["user"]["id"]
        with browser.stream("GET", "/events", params={"channel": f"user:{mine}"}) as answer:
            messages = _messages(answer.iter_lines())
            next(messages)
            cookie = dict(browser.cookies)
            assert httpx2.delete(f"{installation.service.url}/session", cookies=cookie).status_code == 204
            assert [message["event"] for message in messages if "event" in message] == ["denied"]


def test_the_services_log_is_for_administrators(installation: Installation) -> None:
    assert installation.ben.get("/logs").status_code == 403
    assert installation.anonymous.get("/logs").status_code == 401
    lines = [json.loads(line) for line in installation.ada.get("/logs", params={"lines": 3}).text.splitlines()]
    assert len(lines) == 3
    assert all({"at", "level", "message"} <= line.keys() for line in lines)


def test_the_services_log_is_tailed_live(installation: Installation) -> None:
    with installation.ada.stream("GET", "/logs", params={"follow": 1, "lines": 0}) as answer:
        assert installation.ben.get("/nowhere", headers={"X-Request-ID": "find-me"}).status_code == 404
        line = next(line for line in answer.iter_lines() if "find-me" in line)
    assert json.loads(line)["status"] == 404
