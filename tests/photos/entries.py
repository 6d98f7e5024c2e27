"""What an entry of the corpus is."""

import functools
from collections.abc import Callable
from dataclasses import dataclass
from typing import Literal

Outcome = Literal["ready", "failed", "refused"]


@dataclass(frozen=True)
class Entry:
    """A file, and what has to become of it.

    `refused` is answered with `status` while it arrives; `failed` comes in and fails when it is decoded; `ready` gets
    its renditions. The sentence that a person is given has `says` in it. `size` and `frames` are what the inspector
    has to find in what comes in; `on_its_side` is a picture that is upright when its sides are exchanged.
    """

    name: str
    make: Callable[[], bytes]
    outcome: Outcome
    status: int = 0
    says: str = ""
    format: str = ""
    size: tuple[int, int] = (0, 0)
    frames: int = 1
    on_its_side: bool = False

    @functools.cached_property
    def data(self) -> bytes:
        return self.make()

    def __str__(self) -> str:
        return self.name


def ready(
    name: str,
    make: Callable[[], bytes],
    size: tuple[int, int] = (96, 64),
    *,
    frames: int = 1,
    on_its_side: bool = False,
) -> Entry:
    """Return an entry that becomes a photo; its format is what its name begins with."""
    form = name.partition(",")[0]
    return Entry(name, make, "ready", format=form, size=size, frames=frames, on_its_side=on_its_side)


def failed(
    name: str, make: Callable[[], bytes], size: tuple[int, int] = (96, 64), *, frames: int = 1, says: str = ""
) -> Entry:
    """Return an entry that looks whole and cannot be decoded; its format is what its name begins with."""
    return Entry(name, make, "failed", says=says, format=name.partition(",")[0], size=size, frames=frames)


def refused(name: str, make: Callable[[], bytes], status: int, says: str) -> Entry:
    return Entry(name, make, "refused", status, says)
