"""Health, metrics, and the page that shows the API."""

import re

import pytest

from tests.operations.conftest import Installation


def test_health_needs_nobody_to_sign_in(installation: Installation) -> None:
    answer = installation.anonymous.get("/healthz")
    assert answer.status_code == 200
    assert answer.json()["status"] == "ok"


def test_readiness_names_each_part(installation: Installation) -> None:
    answer = installation.anonymous.get("/readyz")
    assert answer.status_code == 200
    assert {part["part"]: part["state"] for part in answer.json()["parts"]} == dict.fromkeys(
        ("database", "migrations", "storage", "engine", "shutdown"), "ok"
    )


@pytest.mark.parametrize(
    "line",
    [
        r'tailrace_http_requests_total\{method="GET",route="/healthz",status="200"\} [1-9]',
        r'tailrace_http_request_duration_seconds_count\{route="/healthz"\} [1-9]',
        r"tailrace_open_streams 0",
        r"tailrace_event_log_rows [1-9]",
        r'tailrace_jobs\{kind="operations.prune_events",queue="default",state="\w+"\} 1',
        r'tailrace_jobs_oldest_due_age_seconds\{queue="default"\} \d',
        r'tailrace_jobs_waiting\{queue="default"\} \d',
        r'tailrace_job_slots\{queue="default"\} 2',
    ],
)
def test_metrics_tell_of_requests_streams_and_jobs(installation: Installation, line: str) -> None:
    installation.anonymous.get("/healthz")
    answer = installation.anonymous.get("/metrics")
    assert answer.headers["content-type"].startswith("text/plain; version=0.0.4")
    assert re.search(line, answer.text), answer.text


def test_metrics_group_addresses_by_their_pattern(installation: Installation) -> None:
    installation.ben.get("/jobs/0123456789abcdef0123456789abcdef")
    figures = installation.anonymous.get("/metrics").text
    assert 'route="/jobs/{job_id}",status="404"' in figures
    assert "0123456789abcdef" not in figures


def test_the_page_of_the_api_comes_whole_from_here(installation: Installation) -> None:
    page = installation.anonymous.get("/docs")
    assert page.status_code == 200
    assert "https://" not in page.text
    assert "script-src" not in page.headers["content-security-policy"]
    assert "default-src 'self'" in page.headers["content-security-policy"]
    for address in re.findall(r'(?:src|href)="(docs/[^"]+)"', page.text):
        answer = installation.anonymous.get(f"/{address}")
        assert answer.status_code == 200, address
        assert answer.content, address
    assert installation.anonymous.get("/openapi.json").json()["info"]["title"] == "Tailrace"


def test_operation_ids_are_unique(installation: Installation) -> None:
    paths = installation.anonymous.get("/openapi.json").json()["paths"]
    names = [operation["operationId"] for path in paths.values() for operation in path.values()]
    assert len(names) == len(set(names))
