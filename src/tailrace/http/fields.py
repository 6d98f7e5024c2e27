"""The kinds of text and number that requests carry, checked once for every feature.

Neither database stores a NUL byte or half of a surrogate pair in a text, though JSON can carry both; they are refused
here, where the person who sent them can still be told.
"""

from typing import Annotated

import email_validator
from fastapi import Header
from pydantic import AfterValidator, BaseModel, ConfigDict, Field, StringConstraints

# A company's own network often ends in `.local`, and examples in `.test`; mail to either is the mail server's matter.
for _name in {"local", "test"} & set(email_validator.SPECIAL_USE_DOMAIN_NAMES):
    email_validator.SPECIAL_USE_DOMAIN_NAMES.remove(_name)


def clean_text(value: str) -> str:
    """Return `value` as it is; raises ValueError if it holds a NUL byte or half of a surrogate pair."""
    if "\0" in value:
        raise ValueError("a NUL character cannot be stored; remove it")
    try:
        value.encode()
    except UnicodeEncodeError:
        raise ValueError("half of a surrogate pair is no character; send valid Unicode") from None
    return value


def clean_line(value: str) -> str:
    """Return `value` as it is; raises ValueError if it is more than one line, or no text as in `clean_text`."""
    if any(ord(character) < 32 or character in "\x7f\x85\u2028\u2029" for character in value):
        raise ValueError("must be one line without control characters")
    return clean_text(value)


def normalize_email(value: str) -> str:
    """Return the one form of an e-mail address that is stored and compared: normalised, in lower case.

    Raises ValueError if it is no address. No name server is asked: a machine without a network works too.
    """
    try:
        return email_validator.validate_email(value, check_deliverability=False).normalized.lower()
    except email_validator.EmailNotValidError as error:
        reason = ascii(str(error))[1:-1].rstrip(".")
        raise ValueError(f"this is no e-mail address: {reason}") from None


# Every identifier fits PostgreSQL's integer, so a larger number is refused before it reaches a database.
Id = Annotated[int, Field(ge=1, le=2**31 - 1)]
Text = Annotated[str, AfterValidator(clean_text)]
Line = Annotated[str, StringConstraints(strip_whitespace=True), AfterValidator(clean_line)]
Email = Annotated[str, Field(max_length=320), AfterValidator(normalize_email)]
IdempotencyKey = Annotated[
    str | None,
    Header(
        min_length=1,
        max_length=200,
        pattern=r"^[\x20-\x7e]+$",
        description="a new value for each thing you want made; a retry with the same one returns the first answer",
    ),
]


class Input(BaseModel):
    """What a request carries: a member that nobody knows is a mistake that the sender should hear of."""

    model_config = ConfigDict(extra="forbid")


class View(BaseModel):
    """What an answer carries, read from a row's attributes."""

    model_config = ConfigDict(from_attributes=True, frozen=True)
