"""What a table to export consists of: a SELECT, the key that it is paged by, and columns of known kinds."""

from collections.abc import Sequence
from dataclasses import dataclass
from enum import Enum, auto
from typing import Any, Literal

from sqlalchemy import BindParameter, Case, Join, Label, Select, SQLColumnExpression, case, func, literal, types
from sqlalchemy import Column as TableColumn
from sqlalchemy.sql.elements import ColumnElement
from sqlalchemy.sql.selectable import FromClause

Format = Literal["csv", "jsonl"]
FORMULA_STARTS = ("=", "+", "-", "@", "\t", "\r")


@dataclass(frozen=True, slots=True)
class TableQuery:
    """What to export: `select`, whose labelled columns are the table's, without an order of its own.

    `key` is a unique integer column of it, the order of the rows and what the export is paged by. `parts`, if any, are
    conditions of which each row fulfils exactly one; they are exported one after the other, so that with an index on
    condition and key the first rows are found at once, however many others there are.
    """

    select: Select[*tuple[Any, ...]]
    key: SQLColumnExpression[int]
    parts: Sequence[ColumnElement[bool]] = ()

    @property
    def names(self) -> list[str]:
        """The names of the columns."""
        return [_name(element) for element in self.select.selected_columns]

    def part_selects(self) -> list[Select[*tuple[Any, ...]]]:
        """Return the SELECTs of the parts in turn."""
        return [self.select.where(part) for part in self.parts] or [self.select]


class Kind(Enum):
    """What decides how the values of a column are encoded."""

    INTEGER = auto()
    REAL = auto()
    BOOLEAN = auto()
    DATE = auto()
    DATETIME = auto()
    JSON = auto()
    TEXT = auto()


_KINDS: tuple[tuple[type[types.TypeEngine[Any]], Kind], ...] = (
    (types.Boolean, Kind.BOOLEAN),
    (types.Integer, Kind.INTEGER),
    (types.Numeric, Kind.REAL),
    (types.Float, Kind.REAL),
    (types.DateTime, Kind.DATETIME),
    (types.Date, Kind.DATE),
    (types.JSON, Kind.JSON),
    (types.String, Kind.TEXT),
)


@dataclass(frozen=True, slots=True)
class Column:
    """One column of the table: its name, what it holds, and where that comes from."""

    name: str
    kind: Kind
    value: ColumnElement[Any]
    nullable: bool


def columns_of(select: Select[Any]) -> list[Column]:
    """Return the columns of a SELECT; raises ValueError for a type that has no text form, such as bytes."""
    # An outer join makes NULL of columns that are declared NOT NULL.
    outer = any(_has_outer_join(source) for source in select.get_final_froms())
    return [_column(element, outer=outer) for element in select.selected_columns]


def _column(element: ColumnElement[Any], *, outer: bool) -> Column:
    value = element.element if isinstance(element, Label) else element
    name = _name(element)
    return Column(name, _kind(name, element.type), value, outer or _may_be_null(value))


def _name(element: ColumnElement[Any]) -> str:
    return str(getattr(element, "name", element))


def _may_be_null(value: ColumnElement[Any]) -> bool:
    if isinstance(value, Case):
        results = [result for _, result in value.whens]
        return value.else_ is None or any(_may_be_null(result) for result in (*results, value.else_))
    if isinstance(value, BindParameter):
        return value.value is None
    return not isinstance(value, TableColumn) or bool(value.nullable)


def _has_outer_join(source: FromClause) -> bool:
    if not isinstance(source, Join):
        return False
    return source.isouter or source.full or _has_outer_join(source.left) or _has_outer_join(source.right)


def _kind(name: str, column_type: types.TypeEngine[Any]) -> Kind:
    plain = column_type.impl_instance if isinstance(column_type, types.TypeDecorator) else column_type
    for known, kind in _KINDS:
        if isinstance(plain, known):
            return kind
    raise ValueError(f"Column {name!r} of type {column_type!r} cannot be written as text.")


def guarded(value: ColumnElement[str]) -> ColumnElement[str]:
    """Return a text with an apostrophe before it where a spreadsheet would run it as a formula."""
    begins = func.substr(value, 1, 1)
    return case((begins.in_(FORMULA_STARTS), literal("'").op("||")(value)), else_=value)
