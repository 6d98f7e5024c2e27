"""The filters of a kind of report as fields of a form, and as words, made from the kind's own model."""

from collections.abc import Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass
from datetime import UTC, datetime, time
from typing import Any, Literal, get_origin
from zoneinfo import ZoneInfo

from pydantic import BaseModel

from tailrace.web.forms import Form
from tailrace.web.wording import PRIORITY_NAMES, STATUS_NAMES, day

Options = Sequence[tuple[str, str]]
_LABELS = {
    "q": "Words",
    "created_by": "Made by",
    "due": "Due day",
    "due_after": "Due from",
    "created_after": "Made from",
    "created_before": "Made before",
    "updated_after": "Changed from",
    "updated_before": "Changed before",
    "taken_after": "Taken from",
    "taken_before": "Taken before",
}
_HINTS = {"label": "Several apart by commas; all must be there.", "task": "Its number; several apart by commas."}
_MARKS: Mapping[str, Options] = {
    "status": [(status.value, name) for status, name in STATUS_NAMES.items()],
    "priority": [(priority.value, name) for priority, name in PRIORITY_NAMES.items()],
}
_RARE = {"created_by", "due", "due_after", "created_after", "created_before", "updated_after", "updated_before"}
_DUE: Options = (("", "Any, or none"), ("set", "Has one"), ("none", "Has none"))


@dataclass(frozen=True, slots=True)
class FilterField:
    """One filter as a form shows it; `marks` is a group of check boxes. One that is `rare` is folded away."""

    name: str
    label: str
    widget: Literal["choice", "marks", "date", "text"]
    options: Options = ()
    hint: str = ""

    @property
    def rare(self) -> bool:
        """Whether few want it."""
        return self.name in _RARE


@dataclass(frozen=True, slots=True)
class Known:
    """What a reader may choose among: projects and people by their ids as text, and their time zone."""

    projects: Options
    people: Options
    zone: ZoneInfo


def fields(model: type[BaseModel], known: Known) -> list[FilterField]:
    """Return a field for each filter of the model, in its order."""
    return [_field(model, name, known) for name in model.model_fields]


def filled(given: Mapping[str, Any], known: Known) -> Form:
    """Return the form as it is with the filters `given`, as a report keeps them."""
    return Form((name, text) for name, value in given.items() for text in _typed(name, value, known))


def cleaned(form: Form, model: type[BaseModel], known: Known) -> Form:
    """Return what was sent as the model reads it: without empty fields, lists apart, days as the moments they begin."""
    return Form(_pairs(form, model, known))


def words(given: Mapping[str, Any], known: Known) -> list[str]:
    """Return the filters of a report, each as a few words."""
    return [_word(name, value, known) for name, value in given.items()]


def _field(model: type[BaseModel], name: str, known: Known) -> FilterField:
    label = _label(name)
    if name in _MARKS:
        return FilterField(name, label, "marks", _MARKS[name])
    if name == "project":
        return FilterField(name, label, "choice", [("", "All of them"), *known.projects])
    if name in {"assignee", "created_by"}:
        options = [("", "Anybody"), ("me", "Me"), *([("none", "Nobody")] if name == "assignee" else []), *known.people]
        return FilterField(name, label, "choice", options)
    if name == "due":
        return FilterField(name, label, "choice", _DUE)
    widget: Literal["date", "text"] = "date" if _time_format(model, name) else "text"
    return FilterField(name, label, widget, hint=_HINTS.get(name, ""))


def _time_format(model: type[BaseModel], name: str) -> str:
    """Return `date` or `date-time` for a filter that is a day or a moment, else nothing."""
    described = model.model_json_schema()["properties"][name]
    formats = [choice.get("format", "") for choice in described.get("anyOf", [described])]
    return next((each for each in formats if each in {"date", "date-time"}), "")


def _pairs(form: Form, model: type[BaseModel], known: Known) -> Iterator[tuple[str, str]]:
    for name, about in model.model_fields.items():
        for text in form.all(name):
            parts = text.split(",") if get_origin(about.annotation) is list else [text]
            for part in filter(None, map(str.strip, parts)):
                yield name, _beginning(part, known.zone) if _time_format(model, name) == "date-time" else part


def _beginning(text: str, zone: ZoneInfo) -> str:
    """Return the moment at which a day begins; what is no day stays, for the model to refuse."""
    try:
        first = datetime.combine(datetime.fromisoformat(text).date(), time(), zone)
        return first.astimezone(UTC).isoformat()
    except (ValueError, OverflowError):
        return text


def _typed(name: str, value: Any, known: Known) -> Iterable[str]:
    if name in {"label", "task"} and isinstance(value, list):
        return [", ".join(map(str, value))]
    values = value if isinstance(value, list) else [value]
    return [_as_day(str(each), known.zone) if name.endswith(("_after", "_before")) else str(each) for each in values]


def _as_day(text: str, zone: ZoneInfo) -> str:
    try:
        moment = datetime.fromisoformat(text)
    except ValueError:
        return text
    return str(moment.date() if moment.tzinfo is None else moment.astimezone(zone).date())


def _word(name: str, value: Any, known: Known) -> str:
    options = dict(_MARKS.get(name, known.projects if name == "project" else known.people))
    own = {"me": "me", "none": "nobody" if name == "assignee" else "none", "set": "set"}
    texts = [own.get(text) or options.get(text, text) for text in _typed(name, value, known)]
    if name in {"project", "status", "priority"}:
        return " or ".join(texts)
    if name.endswith(("_after", "_before")):
        texts = [day(datetime.fromisoformat(text).date()) for text in texts]
        return f"{_label(name).lower()} {texts[0]}"
    return f"{_label(name).lower()}: {' or '.join(texts)}"


def _label(name: str) -> str:
    return _LABELS.get(name, name.replace("_", " ").capitalize())
