"""The log file is written by several processes, rotated by one, and loses nothing."""

import json
import logging
import multiprocessing
import subprocess
import sys
from pathlib import Path

import pytest

from tailrace import logging_setup
from tailrace.logging_setup import ConsoleFormatter, JsonFormatter, SharedFileHandler


def _record(message: str, **extra: object) -> logging.LogRecord:
    return logging.makeLogRecord({"msg": message, "levelname": "INFO", "name": "test", **extra})


def _handler(path: Path, *, rotates: bool) -> SharedFileHandler:
    handler = SharedFileHandler(path, rotates=rotates)
    handler.setFormatter(JsonFormatter())
    return handler


def test_a_line_is_json_with_everything_that_was_said() -> None:
    line = json.loads(JsonFormatter().format(_record("%s is\nready", args=("it",), status=200)))
    assert line["message"] == "it is\nready"
    assert line["level"] == "info"
    assert line["status"] == 200
    assert line["at"].endswith("+00:00")


def test_an_exception_is_part_of_its_line() -> None:
    try:
        raise ValueError("wrong")
    except ValueError as error:
        formatted = JsonFormatter().format(_record("failed", exc_info=(ValueError, error, error.__traceback__)))
    assert "\n" not in formatted
    assert "ValueError: wrong" in json.loads(formatted)["exception"]


def test_the_console_shows_the_job() -> None:
    assert ConsoleFormatter(colour=False).format(_record("done", job_id="j1")).endswith("done job_id=j1")


def test_the_owner_rotates_and_the_others_follow(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(logging_setup, "MAX_BYTES", 1000)
    path = tmp_path / "tailrace.log"
    owner, other = _handler(path, rotates=True), _handler(path, rotates=False)
    try:
        for number in range(40):
            owner.emit(_record(f"owner {number}"))
            other.emit(_record(f"other {number}"))
    finally:
        owner.close()
        other.close()
    files = sorted(tmp_path.iterdir())
    assert len(files) == 1 + logging_setup.KEPT_FILES
    newest = [json.loads(line)["message"] for line in path.read_text().splitlines()]
    assert newest[-1] == "other 39"
    everything = [json.loads(line)["message"] for file in files for line in file.read_text().splitlines()]
    assert len(everything) == len(set(everything))


def _write_lines(path: Path, name: str) -> None:
    handler = _handler(path, rotates=name == "0")
    for number in range(300):
        handler.emit(_record(f"{name} {number} " + "x" * 500))
    handler.close()


def test_lines_of_several_processes_stay_whole(tmp_path: Path) -> None:
    path = tmp_path / "tailrace.log"
    context = multiprocessing.get_context("spawn")
    writers = [context.Process(target=_write_lines, args=(path, str(name))) for name in range(3)]
    for writer in writers:
        writer.start()
    for writer in writers:
        writer.join()
    messages = {json.loads(line)["message"].rsplit(" ", 1)[0] for line in path.read_text().splitlines()}
    assert messages == {f"{name} {number}" for name in range(3) for number in range(300)}


def test_nobody_else_may_read_the_log(tmp_path: Path) -> None:
    file = tmp_path / "logs" / "tailrace.log"
    program = "import sys, pathlib; from tailrace.logging_setup import configure_logging as configure;"
    call = "configure(level='info', style='json', file=pathlib.Path(sys.argv[1]))"
    subprocess.run([sys.executable, "-c", program + call, str(file)], check=True)
    assert file.parent.stat().st_mode & 0o777 == 0o700
