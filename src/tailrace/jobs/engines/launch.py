"""Starting an engine as a process of its own, so that it shares neither the application's interpreter nor its fate."""

import importlib
import subprocess
import sys
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from typing import Any

from tailrace.jobs.worker import JobApp

_STOP_WITHIN_S = 10.0


def load_app(spec: str) -> JobApp[Any]:
    """Return what `MODULE:NAME` names: a JobApp, or a function without arguments that makes one.

    Raises ValueError if it is neither.
    """
    module, _, name = spec.partition(":")
    found = getattr(importlib.import_module(module), name)
    app = found() if callable(found) else found
    if not isinstance(app, JobApp):
        raise ValueError(f"{spec} is {type(app).__name__}, not a JobApp or a function that makes one.")
    return app


class EngineProcess:
    """The supervisor as a child process. It holds one end of a pipe, and stops when the other end closes with us."""

    def __init__(
        self,
        spec: str,
        *,
        adapter: str = "local",
        workers: int = 2,
        keep_days: float = 7,
        options: Sequence[str] = (),
    ) -> None:
        """Start an engine with that many worker processes for the JobApp that `spec` (`MODULE:NAME`) names.

        `adapter` is `local` or `celery`, and `options` are further ones of its command. Finished jobs are kept for
        `keep_days` days.
        """
        command = [sys.executable, "-m", f"tailrace.jobs.engines.{adapter}", spec, "--workers", str(workers)]
        command += ["--keep-days", str(keep_days), *options]
        # A session of its own keeps the terminal's Ctrl-C from it: its parent decides when it stops.
        self._process = subprocess.Popen([*command, "--with-parent"], stdin=subprocess.PIPE, start_new_session=True)

    @property
    def pid(self) -> int:
        """The process id of the supervisor."""
        return self._process.pid

    @property
    def exit_code(self) -> int | None:
        """How the supervisor ended, or None while it runs."""
        return self._process.poll()

    def stop(self, *, within_s: float = _STOP_WITHIN_S) -> None:
        """Ask the engine to give its jobs back and end; kill it if it has not after `within_s` seconds."""
        if self._process.stdin is not None:
            self._process.stdin.close()
        try:
            self._process.wait(within_s)
        except subprocess.TimeoutExpired:
            self._process.kill()
            self._process.wait()


@contextmanager
def running_engine(spec: str, *, workers: int = 2) -> Iterator[EngineProcess]:
    """Run the engine for as long as the block lasts; for the lifespan of an application."""
    engine = EngineProcess(spec, workers=workers)
    try:
        yield engine
    finally:
        engine.stop()
