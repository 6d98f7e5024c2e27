"""A wrong value is told in words that a person understands."""

from typing import Annotated, Any, Literal

import pytest
from pydantic import BaseModel, Field, ValidationError

from tailrace.accounts.schemas import NewPassword
from tailrace.http.faults import describe
from tailrace.http.fields import Input
from tailrace.tasks.models import Status


class Order(Input):
    name: Annotated[str, Field(min_length=1, max_length=5)] = "x"
    password: NewPassword = "long enough"
    count: Annotated[int, Field(ge=1, le=9)] = 1
    status: Status = Status.TODO
    due: Literal["set", "none"] = "set"
    tags: Annotated[list[str], Field(max_length=2)] = Field(default_factory=list)
    sure: bool = True


@pytest.mark.parametrize(
    ("given", "told"),
    [
        ({"colour": "red"}, "there is nothing of this name here; check the spelling"),
        ({"name": ""}, "this is needed"),
        ({"name": "abcdef"}, "must have 5 characters or fewer"),
        ({"name": 1}, "must be text"),
        ({"password": "short"}, "must have 10 characters or more"),
        ({"count": 0}, "must be 1 or more"),
        ({"count": 10}, "must be 9 or less"),
        ({"count": "many"}, "must be a whole number"),
        ({"due": "soon"}, "must be 'set' or 'none'"),
        ({"tags": ["a", "b", "c"]}, "must have 2 values or fewer"),
        ({"sure": "perhaps"}, "must be true or false"),
    ],
)
def test_each_fault_is_a_clause_for_people(given: dict[str, Any], told: str) -> None:
    with pytest.raises(ValidationError) as caught:
        Order.model_validate(given)
    assert [describe(entry) for entry in caught.value.errors()] == [told]


def test_the_values_that_are_possible_are_listed() -> None:
    with pytest.raises(ValidationError) as caught:
        Order.model_validate({"status": "lost"})
    told = describe(caught.value.errors()[0])
    assert told.startswith("must be 'todo'")
    assert all(str(status) in told for status in Status)


def test_our_own_sentences_stay_as_they_are() -> None:
    class Own(BaseModel):
        password: NewPassword

    with pytest.raises(ValidationError) as caught:
        Own.model_validate({"password": "with a \0 in it"})
    assert describe(caught.value.errors()[0]) == "a NUL character cannot be stored; remove it"
