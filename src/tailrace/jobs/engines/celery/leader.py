"""The leader: of all engines of a database, the one that publishes available jobs and does the upkeep of all.

Who holds the lock leads. The others ask for it every two seconds; it is free when the leader's process has died, and a
leader that hangs or is cut off loses it within seven seconds (see `Database.hold`). Two leaders at once, for a moment,
do no harm: each of their writes is fenced, and what they publish twice is claimed once.
"""

import logging
import math
import selectors
import socket
import threading
import time

from sqlalchemy.exc import SQLAlchemyError

from tailrace.database import Database, DatabaseBusy, Hold, LockHeld, LockLost
from tailrace.jobs import runs
from tailrace.jobs.engines.celery.outbox import Outbox
from tailrace.jobs.engines.upkeep import Upkeep
from tailrace.jobs.engines.wakeups import Bell

_ASK_EVERY_S = 2.0
_CHECK_EVERY_S = 2.0
_LOOK_EVERY_S = 0.2
_DATABASE_PAUSE_S = 1.0

logger = logging.getLogger(__name__)


class Leader:
    """Competes for the lead in a thread of its own, and leads while it has it."""

    def __init__(self, database: Database, upkeep: Upkeep, outbox: Outbox) -> None:
        """Prepare to do `upkeep` and to open the `outbox` while this engine leads."""
        self.leads = False
        self._database = database
        self._upkeep = upkeep
        self._outbox = outbox
        self._stopping = threading.Event()
        self._hears, self._rings = socket.socketpair()
        self._thread = threading.Thread(target=self._compete, name="leader", daemon=True)

    def start(self) -> None:
        """Begin to compete."""
        self._thread.start()

    def stop(self) -> None:
        """Lead no more, without waiting."""
        self._stopping.set()
        self._rings.send(b"!")

    def join(self, timeout_s: float) -> None:
        """Wait for the end of the thread, `timeout_s` seconds at most."""
        self._thread.join(timeout_s)

    def _compete(self) -> None:
        while not self._stopping.is_set():
            try:
                with self._database.hold("leader") as hold:
                    self._lead(hold)
            except LockHeld:
                self._stopping.wait(_ASK_EVERY_S)
            except (LockLost, SQLAlchemyError, DatabaseBusy) as error:
                logger.warning("This engine cannot lead at the moment: %s", error)
                self._stopping.wait(_DATABASE_PAUSE_S)
            except Exception:
                # Others lead meanwhile; were this thread to end, one engine fewer could.
                logger.exception("This engine failed at leading; trying again")
                self._stopping.wait(_ASK_EVERY_S)

    def _lead(self, hold: Hold) -> None:
        logger.info("This engine leads")
        with selectors.DefaultSelector() as selector:
            selector.register(self._hears, selectors.EVENT_READ, lambda _: None)
            bell = Bell(selector, self._database)
            self.leads = True
            self._outbox.open()
            try:
                while not self._stopping.is_set():
                    hold.check()
                    due_in_s = min(self._promote(), self._attend(), _CHECK_EVERY_S)
                    self._listen(selector, bell, due_in_s)
            finally:
                self.leads = False
                self._outbox.close()
                bell.take_down()

    def _promote(self) -> float:
        """Make available what is due; return in how many seconds more will be."""
        with self._database.read() as session:
            due_in_s = runs.next_due_in_s(session)
        if due_in_s is None:
            return math.inf
        if due_in_s <= 0:
            with self._database.write() as session:
                runs.promote_due(session)
        return due_in_s

    def _attend(self) -> float:
        self._upkeep.attend()
        return self._upkeep.due_in_s

    def _listen(self, selector: selectors.BaseSelector, bell: Bell, due_in_s: float) -> None:
        """Pass rings on to the outbox; return when something may be due, and not much sooner."""
        now = time.monotonic()
        soonest, latest = now + min(due_in_s, _LOOK_EVERY_S), now + due_in_s
        bell.rung = False
        while not self._stopping.is_set() and now < (soonest if bell.rung else latest):
            ready = selector.select(min((soonest if bell.rung else latest) - now, bell.patience_s))
            for key, _ in ready:
                key.data(key.fd)
            if ready:
                self._outbox.ring()
            else:
                bell.hang_up()
            now = time.monotonic()
