"""The caller, as every other part of Tailrace knows them."""

from dataclasses import dataclass
from typing import Literal


@dataclass(frozen=True, slots=True)
class Principal:
    """A person who was recognised, and by what."""

    user_id: int
    email: str
    name: str
    is_admin: bool
    via: Literal["session", "token"]
