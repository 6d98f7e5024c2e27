"""A form that was sent: what was typed, what is wrong with it, and where to say so.

    form = visit.form
    try:
        given = form.read(ProjectInput)
        ...
    except TailraceError as error:
        return visit.page("projects/new", form=form.refused(error), status=error.status)

The template's macro `field` then shows every value again as it was typed, each with its fault beside it.
"""

from collections.abc import Iterable, Mapping
from typing import Any, TypeVar, get_origin

from pydantic import BaseModel, ValidationError

from tailrace.errors import Invalid, TailraceError
from tailrace.http.faults import describe

M = TypeVar("M", bound=BaseModel)
_LONG = 20


class Form:
    """The fields of a form by name, and sentences about those that are wrong; the fault of "" is the whole form's."""

    def __init__(self, pairs: Iterable[tuple[str, str]] = (), *, faults: Mapping[str, str] | None = None) -> None:
        self._values: dict[str, list[str]] = {}
        for name, value in pairs:
            self._values.setdefault(name, []).append(value)
        self.faults = dict(faults or {})

    @classmethod
    def of(cls, **values: str) -> "Form":
        """Return a form as it is before anybody typed, filled in with `values`."""
        return cls(values.items())

    def __contains__(self, name: str) -> bool:
        return name in self._values

    def text(self, name: str, default: str = "") -> str:
        """Return the last value of a field; browsers send lines apart by CR LF, which become plain line ends."""
        return self._values.get(name, [default])[-1].replace("\r\n", "\n")

    def all(self, name: str) -> list[str]:
        """Return all values of a field, such as of check boxes."""
        return self._values.get(name, [])

    def written(self) -> list[str]:
        """Return what would be a pity to lose: every longer text, but passwords and what was there before."""
        before = {self.text(name) for name in self._values if name.startswith("seen")}
        secret = {name for name in self._values if "password" in name or "token" in name}
        texts = (self.text(name) for name in self._values if name not in secret)
        # Japanese has no spaces, nor has a long address.
        return [text for text in texts if (len(text) > _LONG or len(text.split()) > 1) and text not in before]

    def read(self, model: type[M], **given: Any) -> M:
        """Return the form as `model`, from the fields of its names; `given` values come before those of the form.

        Raises Invalid with a fault noted for each field that is wrong.
        """
        values = {name: self._value(model, name) for name in model.model_fields if name in self._values} | given
        try:
            return model.model_validate(values)
        except ValidationError as error:
            for entry in error.errors():
                self.faults.setdefault(_place(entry), _sentence(entry))
            raise Invalid("Look at the marked fields.") from error

    def refused(self, error: TailraceError, field: str = "") -> "Form":
        """Return the form with the sentence of `error` beside `field`, unless faults of its fields were noted."""
        if not self.faults:
            self.faults[field] = error.detail
        return self

    def _value(self, model: type[BaseModel], name: str) -> str | list[str]:
        if get_origin(model.model_fields[name].annotation) is list:
            return self.all(name)
        return self.text(name)


def _place(entry: Mapping[str, Any]) -> str:
    return str(entry["loc"][0]) if entry["loc"] else ""


def _sentence(entry: Mapping[str, Any]) -> str:
    clause = describe(entry)
    return f"{clause[:1].upper()}{clause[1:]}."
