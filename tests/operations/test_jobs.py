"""Jobs over HTTP: their owner and administrators see them, nobody else learns of them."""

import json
import re

import pytest

from tests.operations.conftest import Installation


@pytest.fixture(scope="module")
def job_id(installation: Installation) -> str:
    """Return a job of Ben's that has ended."""
    asked = installation.ben.post("/reports")
    assert asked.status_code == 202, asked.text
    identifier = str(asked.json()["job"])
    assert "completed" in installation.ben.get(f"/jobs/{identifier}/events").text
    return identifier


def _messages(text: str) -> list[tuple[str, dict[str, object]]]:
    fields = [dict(line.split(": ", 1) for line in block.splitlines()) for block in text.strip().split("\n\n")]
    return [(each["event"], json.loads(each["data"])) for each in fields if "data" in each]


def test_the_owner_sees_the_job(installation: Installation, job_id: str) -> None:
    job = installation.ben.get(f"/jobs/{job_id}").json()
    assert job["kind"] == "reports.build"
    assert job["state"] == "completed"
    assert job["attempt"] == 1
    assert job["events"] == f"/jobs/{job_id}/events"
    assert job_id in [each["id"] for each in installation.ben.get("/jobs").json()["items"]]


def test_an_administrator_sees_every_job(installation: Installation, job_id: str) -> None:
    assert installation.ada.get(f"/jobs/{job_id}").status_code == 200
    kinds = {each["kind"] for each in installation.ada.get("/jobs", params={"limit": 200}).json()["items"]}
    assert {"reports.build", "operations.prune_events"} <= kinds
    assert installation.ada.get("/jobs", params={"mine": True}).json()["items"] == []


@pytest.mark.parametrize(
    ("method", "rest"), [("GET", ""), ("GET", "/events"), ("GET", "/log"), ("POST", "/cancel"), ("POST", "/retry")]
)
def test_nobody_else_learns_of_it(installation: Installation, job_id: str, method: str, rest: str) -> None:
    theirs = installation.cleo.request(method, f"/jobs/{job_id}{rest}")
    nobodys = installation.cleo.request(method, f"/jobs/{'0' * 32}{rest}")
    assert theirs.status_code == nobodys.status_code == 404
    assert theirs.json()["detail"] == nobodys.json()["detail"]
    assert installation.anonymous.request(method, f"/jobs/{job_id}{rest}").status_code == 401


def test_filters_and_pages_hold(installation: Installation, job_id: str) -> None:
    for _ in range(2):
        installation.ben.post("/reports")
    first = installation.ben.get("/jobs", params={"kind": "reports.build", "limit": 2}).json()
    rest = installation.ben.get("/jobs", params={"kind": "reports.build", "limit": 2, "after": first["next"]}).json()
    identifiers = [each["id"] for each in first["items"] + rest["items"]]
    assert len(first["items"]) == 2
    assert identifiers == sorted(set(identifiers), reverse=True)
    assert job_id in identifiers
    assert installation.ben.get("/jobs", params={"state": "quarantined"}).json()["items"] == []


@pytest.mark.parametrize("query", ["state=done", "limit=0", "limit=201", "after=x", "unknown=1", "kind=a%0Ab"])
def test_a_wrong_filter_is_refused(installation: Installation, query: str) -> None:
    assert installation.ben.get(f"/jobs?{query}").status_code == 422


@pytest.mark.parametrize("action", ["cancel", "retry"])
def test_a_job_that_completed_can_be_neither_cancelled_nor_retried(
    installation: Installation, job_id: str, action: str
) -> None:
    answer = installation.ben.post(f"/jobs/{job_id}/{action}")
    assert answer.status_code == 409
    assert "completed" in answer.json()["detail"]


def test_its_events_are_told_from_the_first_to_the_last(installation: Installation, job_id: str) -> None:
    messages = _messages(installation.ben.get(f"/jobs/{job_id}/events").text)
    states = [data["state"] for name, data in messages if name == "state"]
    assert states == ["available", "running", "completed"]
    assert {"state", "progress", "log"} <= {name for name, _ in messages}


def test_a_client_that_has_seen_the_last_event_is_told_to_stay_away(installation: Installation, job_id: str) -> None:
    text = installation.ben.get(f"/jobs/{job_id}/events").text
    last = [line.removeprefix("id: ") for line in text.splitlines() if line.startswith("id: ")][-1]
    again = installation.ben.get(f"/jobs/{job_id}/events", headers={"Last-Event-ID": last})
    assert again.status_code == 204
    assert installation.ben.get(f"/jobs/{job_id}/events", params={"last_event_id": last}).status_code == 204


@pytest.mark.parametrize("position", ["x", "-1", "1-2-3", "9" * 40])
def test_a_position_that_is_none_is_refused(installation: Installation, job_id: str, position: str) -> None:
    answer = installation.ben.get(f"/jobs/{job_id}/events", headers={"Last-Event-ID": position})
    assert answer.status_code == 400
    assert answer.headers["content-type"] == "application/problem+json"


@pytest.mark.parametrize("follow", ["0", "1"])
def test_its_log_is_text_that_ends_with_the_job(installation: Installation, job_id: str, follow: str) -> None:
    answer = installation.ben.get(f"/jobs/{job_id}/log", params={"follow": follow})
    assert answer.headers["content-type"] == "text/plain; charset=utf-8"
    assert " info " in answer.text
    assert re.search(r"Stored \d+ entries", answer.text)


def test_its_log_is_followed_while_it_runs(installation: Installation) -> None:
    identifier = installation.ben.post("/reports").json()["job"]
    with installation.ben.stream("GET", f"/jobs/{identifier}/log", params={"follow": 1}) as answer:
        assert "rows" in "".join(answer.iter_text())
    assert installation.ben.get(f"/jobs/{identifier}").json()["finished_at"] is not None
