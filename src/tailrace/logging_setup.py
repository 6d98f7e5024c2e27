"""The service's log: on the terminal as the operator likes it, and always as JSON lines in `logs/tailrace.log`.

Every process of a service appends whole lines to that one file. Those that live as long as the service (the API,
`tailrace worker`) rotate it, by rename; the others see that the name means another file now and open that. A line that
crosses a rename lands at the end of the old file, so none is lost.
"""

import fcntl
import json
import logging
import logging.handlers
import os
import sys
import traceback
from contextvars import ContextVar
from datetime import UTC, datetime
from pathlib import Path
from typing import Any, ClassVar

from tailrace.jobs.context import current_job_id

request_id: ContextVar[str | None] = ContextVar("tailrace_request_id", default=None)

MAX_BYTES = 10 * 1024 * 1024
KEPT_FILES = 5
_STANDARD = frozenset(vars(logging.makeLogRecord({}))) | {"message", "asctime", "taskName", "color_message"}
_QUIET = ("uvicorn.access", "uvicorn.error", "httpx2", "httpcore2", "alembic")


def log_file(data: Path) -> Path:
    """Return the path of the service's log in the data folder."""
    return data / "logs" / "tailrace.log"


def configure_logging(*, level: str, style: str, file: Path | None = None, rotates: bool = False) -> None:
    """Send every log record of this process to the terminal (`style` is console or json) and to `file`.

    Processes that live as long as the service are told that they rotate the file (`rotates`). Raises OSError if it
    cannot be opened.
    """
    terminal = logging.StreamHandler(sys.stderr)
    terminal.setFormatter(JsonFormatter() if style == "json" else ConsoleFormatter(colour=sys.stderr.isatty()))
    handlers: list[logging.Handler] = [terminal]
    if file is not None:
        file.parent.mkdir(mode=0o700, parents=True, exist_ok=True)
        kept = SharedFileHandler(file, rotates=rotates)
        kept.setFormatter(JsonFormatter())
        handlers.append(kept)
    for handler in handlers:
        handler.addFilter(_add_context)
    logging.basicConfig(level=level.upper(), handlers=handlers, force=True)
    logging.captureWarnings(True)
    for name in _QUIET:
        logging.getLogger(name).setLevel(logging.WARNING)


class SharedFileHandler(logging.handlers.WatchedFileHandler):
    """Appends to a file that other processes append to, and that some of them rotate."""

    def __init__(self, path: Path, *, rotates: bool) -> None:
        """Open `path`; `rotates` makes this process rename it once it is over 10 MiB."""
        super().__init__(path, encoding="utf-8")
        self._rotates = rotates

    def emit(self, record: logging.LogRecord) -> None:
        if self._rotates and self.stream is not None and self.stream.tell() > MAX_BYTES:
            self._rotate()
        super().emit(record)

    def _rotate(self) -> None:
        folder = os.open(os.path.dirname(self.baseFilename), os.O_RDONLY)
        try:
            fcntl.flock(folder, fcntl.LOCK_EX)
            if os.path.getsize(self.baseFilename) > MAX_BYTES:  # Else another process was faster.
                self._shift()
        finally:
            os.close(folder)

    def _shift(self) -> None:
        for number in range(KEPT_FILES - 1, 0, -1):
            older = f"{self.baseFilename}.{number}"
            if os.path.exists(older):
                os.replace(older, f"{self.baseFilename}.{number + 1}")
        os.replace(self.baseFilename, f"{self.baseFilename}.1")


class JsonFormatter(logging.Formatter):
    """One record as one line of JSON, with whatever the caller gave as `extra`."""

    def format(self, record: logging.LogRecord) -> str:
        moment = datetime.fromtimestamp(record.created, UTC).isoformat(timespec="milliseconds")
        line: dict[str, Any] = {"at": moment, "level": record.levelname.lower(), "logger": record.name}
        line["message"] = record.getMessage()
        line.update(
            {name: value for name, value in vars(record).items() if name not in _STANDARD and value is not None}
        )
        if record.exc_info:
            line["exception"] = "".join(traceback.format_exception(*record.exc_info))
        line["pid"] = record.process
        return json.dumps(line, default=str)


class ConsoleFormatter(logging.Formatter):
    """One record as a line for a person: time, level, message, and where it belongs."""

    _COLOURS: ClassVar = {"DEBUG": "2", "WARNING": "33", "ERROR": "31", "CRITICAL": "31"}

    def __init__(self, *, colour: bool) -> None:
        """Make a formatter; `colour` is for terminals."""
        super().__init__()
        self._colour = colour

    def format(self, record: logging.LogRecord) -> str:
        moment = datetime.fromtimestamp(record.created, UTC).strftime("%H:%M:%S.%f")[:-3]
        marks = [f"{name}={getattr(record, name)}" for name in ("job_id",) if getattr(record, name, None)]
        line = " ".join([moment, f"{record.levelname.lower():<7}", record.getMessage(), *marks])
        if record.exc_info:
            line = f"{line}\n{self.formatException(record.exc_info)}"
        code = self._COLOURS.get(record.levelname)
        return f"\x1b[{code}m{line}\x1b[0m" if self._colour and code else line


def _add_context(record: logging.LogRecord) -> bool:
    for name, variable in (("request_id", request_id), ("job_id", current_job_id)):
        if not hasattr(record, name):
            setattr(record, name, variable.get())
    return True
