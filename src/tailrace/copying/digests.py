"""A digest of many rows that does not depend on their order, for two databases sort texts differently.

It is the sum of the SHA-256 of each row, as numbers of 256 bits: rows of a table differ at least by their keys, so none
can stand in for another, and what is wanted is proof against accidents, not against an attacker.
"""

import hashlib
import json
from collections.abc import Iterable, Sequence
from typing import Any

_MODULUS = 1 << 256


class ContentDigest:
    """The number of rows so far, and the digest of their contents."""

    def __init__(self) -> None:
        self.rows = 0
        self._sum = 0

    def add(self, rows: Iterable[Sequence[Any]]) -> None:
        """Take in `rows`: values as both databases give them to Python."""
        for row in rows:
            encoded = json.dumps(list(row), default=str, sort_keys=True, separators=(",", ":")).encode()
            self._sum += int.from_bytes(hashlib.sha256(encoded).digest())
            self.rows += 1

    @property
    def hexdigest(self) -> str:
        """The digest as 64 hexadecimal digits."""
        return f"{self._sum % _MODULUS:064x}"

    def __eq__(self, other: object) -> bool:
        return isinstance(other, ContentDigest) and (self.rows, self.hexdigest) == (other.rows, other.hexdigest)

    __hash__ = None  # type: ignore[assignment] # it changes while rows are added
