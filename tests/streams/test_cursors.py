"""Positions in the event log."""

import pytest
from hypothesis import given
from hypothesis import strategies as st

from tailrace.streams import START, Cursor, MalformedCursor

numbers = st.integers(min_value=0, max_value=2**63 - 1)


@given(numbers, numbers)
def test_a_cursor_is_read_back_from_its_text(xid: int, number: int) -> None:
    cursor = Cursor(xid, number)
    assert Cursor.parse(str(cursor)) == cursor


def test_cursors_compare_by_transaction_first() -> None:
    assert START < Cursor(0, 7) < Cursor(1, 3) < Cursor(1, 4)


@pytest.mark.parametrize(
    "text", ["", " ", "abc", "1-2-3", "-1", "1-", "+1", "1.0", "٣", "1\n", "9223372036854775808", "1" * 5000]
)
def test_anything_else_is_malformed(text: str) -> None:
    with pytest.raises(MalformedCursor, match="position in the event log"):
        Cursor.parse(text)
