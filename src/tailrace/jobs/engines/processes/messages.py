"""What supervisor and worker say to each other over their socket: JSON, one message a line.

    supervisor → worker   ["run", {"id", "attempt", "kind", "args"}]   ["stop", job_id, attempt, reason, sentence]
                          ["recall", job_ids]   ["lease", until when, on the monotonic clock]
    worker → supervisor   ["ready"]   ["began", job_id]   ["recalled", job_ids]
                          ["progress", job_id, done, total, note]   ["log", job_id, line]
                          ["ended", job_id, ending, error, delay_s]

Closing the socket ends the other side.
"""

import json
import socket
from collections.abc import Iterator
from typing import Any

Message = list[Any]


def encode(message: Message) -> bytes:
    """Return a message as a line."""
    return json.dumps(message, separators=(",", ":")).encode() + b"\n"


class LineReader:
    """Reads messages from a socket without waiting."""

    def __init__(self, source: socket.socket) -> None:
        self._source = source
        self._rest = b""

    def read(self) -> Iterator[Message]:
        """Yield the whole messages that have arrived; raises EOFError, after them, when the other side is gone."""
        ended = False
        try:
            while data := self._source.recv(1 << 16, socket.MSG_DONTWAIT):
                self._rest += data
            ended = True
        except BlockingIOError:
            pass
        except OSError:
            ended = True
        *lines, self._rest = self._rest.split(b"\n")
        yield from (json.loads(line) for line in lines)
        if ended:
            raise EOFError
