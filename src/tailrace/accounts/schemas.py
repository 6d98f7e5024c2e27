"""What requests about accounts carry, and what is answered."""

from datetime import datetime
from functools import cache
from typing import Annotated
from zoneinfo import available_timezones

from pydantic import AfterValidator, Field

from tailrace.http.fields import Email, Input, Line, Text, View


@cache
def _time_zones() -> frozenset[str]:
    return frozenset(available_timezones() | {"UTC"})


def _known_time_zone(value: str) -> str:
    if value not in _time_zones():
        raise ValueError("this is no time zone of the IANA database, such as Europe/Zurich")
    return value


Name = Annotated[Line, Field(min_length=1, max_length=200)]
NewPassword = Annotated[Text, Field(min_length=10, max_length=1000)]
GivenPassword = Annotated[Text, Field(max_length=1000)]
TimeZone = Annotated[str, AfterValidator(_known_time_zone)]


class SetupInput(Input):
    """The first administrator."""

    token: str = Field(max_length=200)
    email: Email
    name: Name
    password: NewPassword


class SignInInput(Input):
    """An address and its password."""

    email: Email
    password: GivenPassword


class UserInput(Input):
    """A new person."""

    email: Email
    name: Name
    password: NewPassword
    is_admin: bool = False
    time_zone: TimeZone = "UTC"


class UserChanges(Input):
    """What may change of a person; a member that is left out stays as it is."""

    name: Name | None = None
    time_zone: TimeZone | None = None
    password: NewPassword | None = None
    current_password: GivenPassword | None = Field(default=None, description="needed to change your own password")
    is_admin: bool | None = None
    disabled: bool | None = None


class UserView(View):
    """A person."""

    id: int
    email: str
    name: str
    is_admin: bool
    disabled: bool
    time_zone: str
    created_at: datetime


class Person(View):
    """A person as others see them."""

    id: int
    email: str
    name: str


class SessionView(View):
    """Who is signed in, and by what."""

    user: UserView
    via: str


class TokenInput(Input):
    """A new API token; without `days` it never expires."""

    name: Name = "API token"
    days: int | None = Field(default=None, ge=1, le=3650)


class TokenView(View):
    """An API token without its secret."""

    id: int
    name: str
    created_at: datetime
    expires_at: datetime | None
    last_used_at: datetime | None


class NewTokenView(TokenView):
    """An API token with its secret, which is shown this once."""

    token: str


class UserPage(View):
    """A page of people; `next` goes into `after` of the next request."""

    items: list[UserView]
    next: int | None


class TokenList(View):
    """All API tokens of one person."""

    items: list[TokenView]


class UserQuery(Input):
    """Which page of people."""

    after: Annotated[int, Field(ge=0, le=2**31 - 1)] = 0
    limit: Annotated[int, Field(ge=1, le=200)] = 50
