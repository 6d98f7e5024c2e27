"""The service's log: its last lines, then each new one as it is written, which `log.js` fetches from `/logs`."""

import json
from dataclasses import dataclass
from typing import Any

from starlette.responses import Response

from tailrace.operations.tail import last_lines
from tailrace.web.admin.visiting import AdminVisiting
from tailrace.web.routing import page_router

router = page_router()
_LINES = 1000
_SHOWN = 300
LEVELS = ("debug", "info", "warning", "error", "critical")
LEVEL_CHOICES = (("debug", "All levels"), ("info", "Info and above"), ("warning", "Warnings"), ("error", "Errors"))


@dataclass(frozen=True, slots=True)
class LogLine:
    """One line of the log: `at` as in RFC 3339, and `more` is what else it carries, such as a traceback."""

    at: str
    level: str
    logger: str
    message: str
    more: str


@router.get("/web/admin/log")
def show_log(visit: AdminVisiting, level: str = "debug", q: str = "") -> Response:
    """Show the last lines that are of a level or above, and hold a text."""
    least = LEVELS.index(level) if level in LEVELS else 0
    raw = [line.decode(errors="replace") for line in last_lines(visit.request.app.state.log_file, _LINES)]
    lines = [_line(text) for text in raw if q.casefold() in text.casefold()]
    wanted = [line for line in lines if line.level not in LEVELS or LEVELS.index(line.level) >= least]
    with visit.shell() as (_, shell):
        return visit.page("admin/log", shell, lines=wanted[-_SHOWN:], levels=LEVEL_CHOICES, level=LEVELS[least], q=q)


def _line(text: str) -> LogLine:
    try:
        told: dict[str, Any] = json.loads(text)
    except ValueError:
        return LogLine("", "", "", text, "")
    head = [str(told.pop(name, "")) for name in ("at", "level", "logger", "message")]
    more = "\n".join(f"{name}: {value}" for name, value in told.items())
    return LogLine(head[0], head[1], head[2], head[3], more)
