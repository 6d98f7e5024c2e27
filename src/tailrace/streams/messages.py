"""Server-sent events as bytes.

The format is that of the HTML standard, section 9.2 (https://html.spec.whatwg.org/multipage/server-sent-events.html).
"""

import re

from tailrace.streams.events import Event

HEARTBEAT = b":\n\n"
_LINE_ENDS = re.compile(r"\r\n|\r|\n")


def encode_event(event: Event) -> bytes:
    """Return `event` of the log as one message, its cursor as the id that clients send back.

    The field `channel` is ours: the standard has clients pass over a field that they do not know.
    """
    return f"id: {event.id}\nchannel: {event.channel}\nevent: {event.name}\ndata: {event.data}\n\n".encode()


def encode_message(
    *, data: str | None = None, name: str | None = None, message_id: str | None = None, retry_ms: int | None = None
) -> bytes:
    """Return one message; with an id and no data, clients note the id and deliver nothing.

    Raises ValueError if the name or the id spans lines.
    """
    fields = {"id": message_id, "event": name, "retry": None if retry_ms is None else str(retry_ms)}
    lines = [f"{field}: {value}" for field, value in fields.items() if value is not None]
    if any(_LINE_ENDS.search(line) for line in lines):
        raise ValueError("The name and the id of a message are one line each.")
    if data is not None:
        lines += [f"data: {line}" for line in _LINE_ENDS.split(data)]
    return ("\n".join(lines) + "\n\n").encode()
