"""Whatever is sent to the API, in or out of its schema, the answer is never a server error.

Streams without an end are left out here; their own tests know how to read them.
"""

from collections.abc import Iterator
from typing import Any

import pytest
import schemathesis
from hypothesis import HealthCheck, given, settings
from hypothesis.errors import Unsatisfiable
from schemathesis import Case, GenerationMode
from schemathesis.core.result import Ok
from schemathesis.schemas import APIOperation

from tailrace.streams import tus
from tests.service import Service

AnyOperation = APIOperation[Any, Any, Any, Any]
_PROBLEM = "#/components/schemas/Problem"
schemathesis.serializer.alias(tus.MEDIA_TYPE, "application/octet-stream")
_ENDLESS = "^/(events|logs|stream|jobs/[^/]+/(events|log))$"


@pytest.fixture(scope="module")
def fuzzed(tmp_path_factory: pytest.TempPathFactory) -> Iterator[tuple[Service, str]]:
    """Give a service that only this file ruins, and an administrator's token."""
    with Service(tmp_path_factory.mktemp("fuzzed") / "data") as service:
        service.create_user("ada@example.org", admin=True)
        yield service, service.create_token("ada@example.org")


@pytest.mark.parametrize("mode", list(GenerationMode))
def test_no_request_makes_the_server_fail(fuzzed: tuple[Service, str], mode: GenerationMode) -> None:
    service, token = fuzzed
    schema = schemathesis.openapi.from_url(f"{service.url}/openapi.json").exclude(path_regex=_ENDLESS)
    statuses = [status for found in schema.get_all_operations() for status in _try(_operation(found), mode, token)]
    assert any(status < 300 for status in statuses)
    assert any(status >= 400 for status in statuses)


def test_refusals_are_described_as_they_are_answered(fuzzed: tuple[Service, str]) -> None:
    service, _ = fuzzed
    with service.client() as client:
        description = client.get("/openapi.json").json()
        refused = client.get("/stream?limit=0")
    assert "HTTPValidationError" not in str(description)
    problem = description["components"]["schemas"]["Problem"]
    assert set(problem["required"]) <= refused.json().keys() <= problem["properties"].keys()
    operations = [operation for path in description["paths"].values() for operation in path.values()]
    declared = [answer for each in operations for code, answer in each["responses"].items() if code[0] in "4d"]
    assert len(declared) > len(operations)
    media_type = refused.headers["content-type"]
    assert all(answer["content"][media_type]["schema"] == {"$ref": _PROBLEM} for answer in declared)


def _operation(found: object) -> AnyOperation:
    assert isinstance(found, Ok)
    operation: AnyOperation = found.ok()
    return operation


def _try(operation: AnyOperation, mode: GenerationMode, token: str) -> list[int]:
    statuses: list[int] = []

    @given(case=operation.as_strategy(generation_mode=mode))
    @settings(max_examples=6, deadline=None, derandomize=True, suppress_health_check=list(HealthCheck))
    def holds(case: Case[Any]) -> None:
        answer = case.call(headers={"Authorization": f"Bearer {token}"})
        statuses.append(answer.status_code)
        assert answer.status_code < 500, f"{case.as_curl_command()}\n{answer.text}"
        if answer.status_code >= 400:
            assert answer.headers["content-type"] == ["application/problem+json"]

    try:
        holds()
    except Unsatisfiable:
        # An operation without parameters or body cannot be called in any wrong way.
        assert mode is GenerationMode.NEGATIVE
    return statuses
