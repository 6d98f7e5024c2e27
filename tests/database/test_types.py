"""Identifiers and moments."""

from datetime import UTC, datetime, timedelta, timezone
from uuid import UUID

import pytest
from hypothesis import given
from hypothesis import strategies as st
from sqlalchemy.dialects import sqlite

from tailrace.database import UTCDateTime, new_id, utcnow


def test_identifiers_are_of_version_7_and_sort_by_age() -> None:
    ids = [new_id() for _ in range(2000)]
    assert len(set(ids)) == 2000
    assert {UUID(hex=each).version for each in ids} == {7}
    prefixes = [each[:12] for each in ids]
    assert prefixes == sorted(prefixes)


@given(st.datetimes(timezones=st.sampled_from([UTC, timezone(timedelta(hours=-9)), timezone(timedelta(hours=5.5))])))
def test_a_moment_comes_back_the_same_in_utc(moment: datetime) -> None:
    if (
        not timedelta(days=1)
        < moment.replace(tzinfo=UTC) - datetime.min.replace(tzinfo=UTC)
        < timedelta(days=3_600_000)
    ):
        return
    column = UTCDateTime()
    stored = column.process_bind_param(moment, sqlite.dialect())
    back = column.process_result_value(stored, sqlite.dialect())
    assert back == moment
    assert back is not None
    assert back.tzinfo is UTC


def test_a_moment_without_zone_is_refused() -> None:
    with pytest.raises(ValueError, match="time zone"):
        UTCDateTime().process_bind_param(utcnow().replace(tzinfo=None), sqlite.dialect())
