"""What a copy tells while it runs."""

from typing import Protocol


class Progress(Protocol):
    """Is told how far a copy is."""

    def begin(self, what: str, total: int) -> None:
        """A table of `total` rows, or the `total` objects, are next."""

    def advance(self, done: int) -> None:
        """So many of them are copied, or compared."""

    def verified(self, what: str, count: int, digest: str) -> None:
        """So many rows or objects of `what` are the same on both sides; `digest` is that of their contents."""

    def note(self, sentence: str) -> None:
        """Something a person should know."""
