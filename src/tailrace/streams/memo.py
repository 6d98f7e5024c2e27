"""Remembers what was worked out for a statement, by what the statement says and the values in it.

To compile the SELECT of an export takes milliseconds, half of what its first byte may take, and a service has few
shapes of exports. SQLAlchemy's own cache remembers statements by shape alone; these texts have the values written out.
"""

from collections.abc import Callable, Hashable
from dataclasses import dataclass, field
from functools import lru_cache
from typing import Any, Generic, TypeVar

from sqlalchemy.sql.cache_key import HasCacheKey

T = TypeVar("T")
_REMEMBERED = 256


class StatementMemo(Generic[T]):
    """The last 256 results, each by the statement and the other values that it was made of."""

    def __init__(self) -> None:
        self._make = lru_cache(maxsize=_REMEMBERED)(_Order[T].make)

    def get(self, statement: HasCacheKey, *others: Hashable, make: Callable[[], T]) -> T:
        """Return what `make` made for the same statement and values before, or makes now."""
        identity = _identity(statement)
        return make() if identity is None else self._make(_Order((identity, *others), make))


@dataclass(frozen=True, slots=True)
class _Order(Generic[T]):
    key: tuple[Hashable, ...]
    make_result: Callable[[], T] = field(compare=False)

    def make(self) -> T:
        return self.make_result()


def _identity(statement: HasCacheKey) -> Hashable | None:
    # The one way to a statement's identity; SQLAlchemy's own example of a cache, dogpile_caching, takes it too.
    found: Any = statement._generate_cache_key()
    return None if found is None else (found.key, tuple(repr(bound.effective_value) for bound in found.bindparams))
