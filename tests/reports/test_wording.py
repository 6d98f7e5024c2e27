"""What people are told is what they would say."""

from datetime import UTC, datetime

import pytest

from tailrace.reports import wording


@pytest.mark.parametrize(
    ("count", "text"),
    [
        (0, "0 bytes"),
        (999, "999 bytes"),
        (1000, "1.0 kB"),
        (1560, "1.6 kB"),
        (25_000, "25 kB"),
        (999_999, "1.0 MB"),
        (3_200_000_000, "3.2 GB"),
        (10**16, "10000 TB"),
    ],
)
def test_sizes_are_in_the_unit_that_suits(count: int, text: str) -> None:
    assert wording.size(count) == text


def test_moments_are_in_the_readers_own_time() -> None:
    moment = datetime(2026, 7, 3, 12, 5, tzinfo=UTC)
    assert wording.moment(moment, "Europe/Zurich") == "3 July 2026, 14:05 CEST"
    assert wording.moment(moment, "UTC") == "3 July 2026, 12:05 UTC"


@pytest.mark.parametrize(
    ("state", "error", "expected"),
    [
        ("quarantined", "killed by signal 9", "want of memory"),
        ("discarded", "tailrace.storage.contract.StorageFull: The disk is full.", "The disk is full."),
        ("discarded", "Narrow the filters: there are too many rows.", "Narrow the filters: there are too many rows."),
        ("discarded", "ValueError: secret inside", "because of an error in Tailrace"),
        ("discarded", "RuntimeError", "because of an error in Tailrace"),
        ("discarded", "", "because of an error in Tailrace"),
    ],
)
def test_a_failure_is_told_in_sentences(state: str, error: str, expected: str) -> None:
    told = wording.failure("j1", state, error)
    assert expected in told
    assert "secret inside" not in told
