from datetime import timedelta

import pytest

from tailrace.database import utcnow
from tailrace.web import wording

SECOND, MINUTE, HOUR, DAY = (timedelta(seconds=count) for count in (1, 60, 3600, 86_400))


@pytest.mark.parametrize(
    ("away", "told"),
    [
        (30 * DAY - SECOND, "in 30 days"),
        (29 * DAY + 11 * HOUR, "in 29 days"),
        (DAY - MINUTE, "in 1 day"),
        (100 * MINUTE, "in 2 hours"),
        (59 * MINUTE + 40 * SECOND, "in 1 hour"),
        (30 * SECOND, "in a moment"),
        (-30 * SECOND, "just now"),
        (-90 * MINUTE - SECOND, "2 hours ago"),
        (-23 * HOUR, "23 hours ago"),
    ],
)
def test_how_long_ago_is_rounded_as_people_do(away: timedelta, told: str) -> None:
    # Half a second for the test itself.
    assert wording.ago(utcnow() + away + timedelta(seconds=0.5)) == told


def test_what_is_more_than_a_month_away_is_a_date() -> None:
    then = utcnow() + 31 * DAY
    assert wording.ago(then) == f"{then:%-d %b %Y}"
