"""Keeps the engine running beside the API: starts it, starts it again when it died, and stops it in time."""

import logging
import threading

from tailrace.jobs.engines.local import EngineProcess

_LOOK_EVERY_S = 0.25
_FIRST_PAUSE_S = 0.25
_LONGEST_PAUSE_S = 30.0
_STOP_WITHIN_S = 2.5
_log = logging.getLogger(__name__)


class EngineKeeper:
    """An engine in a child process, watched from a thread."""

    def __init__(self, spec: str, *, workers: int, keep_days: int) -> None:
        """Prepare an engine for the JobApp that `spec` names."""
        self._spec = spec
        self._workers = workers
        self._keep_days = keep_days
        self._stopping = threading.Event()
        self._thread = threading.Thread(target=self._keep, name="engine-keeper")

    def start(self) -> None:
        """Start the engine, and watch it."""
        self._thread.start()

    def stop(self) -> None:
        """Have the engine stopped, without waiting; harmless a second time, and within a signal handler."""
        self._stopping.set()

    def join(self) -> None:
        """Wait until the engine has stopped."""
        self._thread.join()

    def _keep(self) -> None:
        pause_s = _FIRST_PAUSE_S
        while not self._stopping.is_set():
            engine = EngineProcess(self._spec, workers=self._workers, keep_days=self._keep_days)
            lasted = self._watch(engine)
            if not self._stopping.is_set():
                _log.error("the engine ended by itself with exit code %s; starting it again", engine.exit_code)
                pause_s = _FIRST_PAUSE_S if lasted else min(pause_s * 2, _LONGEST_PAUSE_S)
                self._stopping.wait(pause_s)
            else:
                engine.stop(within_s=_STOP_WITHIN_S)

    def _watch(self, engine: EngineProcess) -> bool:
        """Return when the engine ended or is to be stopped: whether it lasted long enough to count as having worked."""
        looks = 0
        while engine.exit_code is None and not self._stopping.wait(_LOOK_EVERY_S):
            looks += 1
        return looks * _LOOK_EVERY_S > _LONGEST_PAUSE_S
