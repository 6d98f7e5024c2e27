"""The counter by which an operator tells whether something on the way buffers."""

import pytest

from tests.operations.conftest import Installation


def test_it_counts_and_ends(installation: Installation) -> None:
    answer = installation.anonymous.get("/stream", params={"limit": 3})
    assert answer.headers["content-type"].startswith("text/event-stream")
    assert answer.headers["x-accel-buffering"] == "no"
    assert answer.text == "id: 1\ndata: 1\n\nid: 2\ndata: 2\n\nid: 3\ndata: 3\n\n"


@pytest.mark.parametrize(
    "query",
    [
        "limit=0",
        "limit=-1",
        "limit=10001",
        "limit=many",
        "limit=1e3",
        "interval=-1",
        "interval=61",
        "interval=nan",
        "interval=inf",
        "limit=10000&interval=60",
        "count=5",
    ],
)
def test_what_is_out_of_bounds_is_refused(installation: Installation, query: str) -> None:
    answer = installation.anonymous.get(f"/stream?{query}")
    assert answer.status_code == 422
    assert answer.headers["content-type"] == "application/problem+json"
