"""What is wrong with a value, in words for the person who sent it; pydantic's own are for programmers."""

from collections.abc import Callable, Mapping
from typing import Any

_WORDING: Mapping[str, Callable[[Mapping[str, Any], Any], str]] = {
    "extra_forbidden": lambda _, __: "there is nothing of this name here; check the spelling",
    "missing": lambda _, __: "this is needed",
    "string_too_short": lambda limits, _: _at_least(limits["min_length"], "character"),
    "string_too_long": lambda limits, _: _at_most(limits["max_length"], "character"),
    "too_short": lambda limits, given: _at_least(limits["min_length"], _unit(given)),
    "too_long": lambda limits, given: _at_most(limits["max_length"], _unit(given)),
    "greater_than_equal": lambda limits, _: f"must be {limits['ge']} or more",
    "less_than_equal": lambda limits, _: f"must be {limits['le']} or less",
    "greater_than": lambda limits, _: f"must be more than {limits['gt']}",
    "less_than": lambda limits, _: f"must be less than {limits['lt']}",
    "int_parsing": lambda _, __: "must be a whole number",
    "int_type": lambda _, __: "must be a whole number",
    "int_from_float": lambda _, __: "must be a whole number",
    "float_parsing": lambda _, __: "must be a number",
    "float_type": lambda _, __: "must be a number",
    "bool_parsing": lambda _, __: "must be true or false",
    "bool_type": lambda _, __: "must be true or false",
    "string_type": lambda _, __: "must be text",
    "list_type": lambda _, __: "must be a list",
    "dict_type": lambda _, __: "must be an object of names and values",
    "model_attributes_type": lambda _, __: "must be an object of names and values",
    "enum": lambda limits, _: f"must be {limits['expected']}",
    "literal_error": lambda limits, _: f"must be {limits['expected']}",
}


def describe(entry: Mapping[str, Any]) -> str:
    """Return what one entry of a ValidationError's `errors()` says, as a clause without a full stop.

    The value itself is not repeated: it may be a password, or megabytes.
    """
    own = _WORDING.get(entry["type"])
    if own is not None:
        return own(entry.get("ctx", {}), entry.get("input"))
    message = str(entry["msg"]).removeprefix("Value error, ").rstrip(".")
    return message[:1].lower() + message[1:] if message.startswith(("Input ", "Value ")) else message


def _unit(given: Any) -> str:
    return "character" if isinstance(given, str) else "value"


def _at_least(count: int, unit: str) -> str:
    return "this is needed" if count == 1 else f"must have {count} {unit}s or more"


def _at_most(count: int, unit: str) -> str:
    return f"must have {count} {unit}{'' if count == 1 else 's'} or fewer"
