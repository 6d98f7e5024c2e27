"""For tests of applications that stream."""

import json
from collections.abc import Iterable, Iterator
from dataclasses import dataclass
from typing import Any


@dataclass(frozen=True, slots=True)
class Message:
    """One message as a browser would deliver it: `id` is the last event id at that moment."""

    id: str
    name: str
    data: str

    def json(self) -> Any:
        """Return the data as the JSON value that it is."""
        return json.loads(self.data)


def parse_messages(pieces: Iterable[bytes]) -> Iterator[Message]:
    """Yield the messages in a stream of server-sent events, as they become complete; an unfinished one is dropped.

    Follows the HTML standard, section 9.2.6, for streams whose lines end in LF or CRLF.
    """
    fields: dict[str, list[str]] = {}
    last_id = ""
    for line in _lines(pieces):
        if line:
            field, _, value = line.partition(":")
            fields.setdefault(field, []).append(value.removeprefix(" "))
            continue
        last_id = fields.get("id", [last_id])[-1]
        if "data" in fields:
            yield Message(last_id, fields.get("event", ["message"])[-1], "\n".join(fields["data"]))
        fields = {}


def _lines(pieces: Iterable[bytes]) -> Iterator[str]:
    rest = b""
    for piece in pieces:
        *lines, rest = (rest + piece).split(b"\n")
        for line in lines:
            yield line.removesuffix(b"\r").decode()
