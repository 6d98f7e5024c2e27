"""The lock that makes an engine the only one of its database."""

import contextlib
import time

from tailrace.database import Database, Hold, LockHeld, LockLost
from tailrace.jobs.errors import EngineRunning

LOCK_WITHIN_S = 10.0
_CHECK_EVERY_S = 2.0


class SoleEngine:
    """Holds the lock, and holds it again when the server that kept it was restarted; a duty of the engine."""

    def __init__(self, database: Database) -> None:
        self._database = database
        self._holding = contextlib.ExitStack()
        self._hold: Hold | None = None
        self._check_at = 0.0

    @property
    def due_in_s(self) -> float:
        return self._check_at - time.monotonic()

    def acquire(self) -> None:
        """Take the lock; an engine that is just ending gets 10 s to do so. Raises EngineRunning."""
        deadline = time.monotonic() + LOCK_WITHIN_S
        while True:
            try:
                self._hold = self._holding.enter_context(self._database.hold("engine"))
                return
            except LockHeld as error:
                if time.monotonic() > deadline:
                    raise EngineRunning from error
                time.sleep(0.1)

    def release(self) -> None:
        """Free the lock."""
        self._holding.close()
        self._hold = None

    def attend(self) -> None:
        """Make sure of the lock. Raises EngineRunning if another engine has it now."""
        if self.due_in_s > 0:
            return
        try:
            if self._hold is not None:
                self._hold.check()
        except LockLost:
            self.release()
        if self._hold is None:
            self.acquire()
        self._check_at = time.monotonic() + _CHECK_EVERY_S
