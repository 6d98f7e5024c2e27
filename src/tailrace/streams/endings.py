"""When a stream of events that has an end has reached it."""

from collections.abc import Callable, Iterable

from tailrace.streams.events import Event


class Ending:
    """Looks for the final event of a stream.

    A later event of the same name on the same channel takes a final one back: a job that has ended and is tried again
    has a final state among its older events.
    """

    def __init__(self, until: Callable[[Event], bool] | None) -> None:
        self._until = until
        self._final: Event | None = None

    @property
    def awaited(self) -> bool:
        """Whether the stream has an end at all."""
        return self._until is not None

    @property
    def reached(self) -> bool:
        """Whether the last event of its kind was final."""
        return self._final is not None

    def look_at(self, events: Iterable[Event]) -> None:
        """Take note of events, in order."""
        if self._until is None:
            return
        for event in events:
            if self._until(event):
                self._final = event
            elif self._final and (event.channel, event.name) == (self._final.channel, self._final.name):
                self._final = None
