"""The values that tasks and their filters are made of."""

from datetime import UTC, date, datetime
from typing import Annotated, Any

from pydantic import AfterValidator, BeforeValidator, Field

from tailrace.http.fields import Line, clean_line, normalize_email

ID_MAX = 2**31 - 1


def _label(value: str) -> str:
    if "," in value:
        raise ValueError("a label cannot contain a comma; send several labels instead")
    return value


def _date(value: Any) -> Any:
    if value is None or type(value) is date:
        return value
    try:
        return date.fromisoformat(value)
    except (TypeError, ValueError):
        raise ValueError("this is no date; write it as 2025-12-31") from None


def _moment(value: Any) -> Any:
    if value is None or isinstance(value, datetime):
        return value
    try:
        moment = datetime.fromisoformat(value)
        return moment.replace(tzinfo=UTC) if moment.tzinfo is None else moment.astimezone(UTC)
    except (TypeError, ValueError, OverflowError):
        raise ValueError("this is no moment; write it as 2025-12-31 or 2025-12-31T18:00:00Z") from None


def _person(value: Any) -> int | str:
    """Return `me`, `none`, an id or a normalised address."""
    if isinstance(value, bool) or not isinstance(value, int | str):
        raise ValueError("name a person as me, by id, or by e-mail address")
    if value in {"me", "none"}:
        return value
    if isinstance(value, int) or (value.isascii() and value.isdigit()):
        number = int(value) if len(str(value)) <= len(str(ID_MAX)) else 0
        if not 1 <= number <= ID_MAX:
            raise ValueError("there is nobody with such an id")
        return number
    return normalize_email(clean_line(value)[:400])


Label = Annotated[Line, Field(min_length=1, max_length=50), AfterValidator(_label)]
# Pydantic by itself also takes numbers for dates and moments, as seconds since 1970: never what a person meant.
Date = Annotated[date, BeforeValidator(_date)]
Moment = Annotated[datetime, BeforeValidator(_moment)]
PersonRef = Annotated[int | str, BeforeValidator(_person)]
