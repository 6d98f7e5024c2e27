"""What wakes the supervisor besides its workers: the database's bell, a signal to stop, the end of its parent."""

import contextlib
import logging
import os
import selectors
import signal
import socket
from collections.abc import Iterator
from contextlib import contextmanager
from typing import Any

from tailrace.database import Database, Listener

_PATIENCE_S = 1.0
logger = logging.getLogger(__name__)


class Bell:
    """The bell of a database on a selector; when it fails, it is hung up anew."""

    def __init__(self, selector: selectors.BaseSelector, database: Database) -> None:
        self._selector = selector
        self._database = database
        self._listener: Listener | None = None
        self._descriptor = -1
        self.rung = True
        """Whether it rang, or could have rung unheard, since this was last set to False."""
        self.hang_up()

    @property
    def patience_s(self) -> float:
        """How long to wait at most before looking into the database all the same."""
        return _PATIENCE_S if self._listener is None else self._listener.patience_s

    def hang_up(self) -> None:
        """Begin to listen, unless it does already or the database does not answer."""
        if self._listener is not None:
            return
        try:
            self._listener = self._database.listen()
        except Exception as error:  # noqa: BLE001 - whatever a driver raises: it is tried again in a second
            logger.warning("The database's bell cannot be heard: %s", error)
            return
        self._descriptor = self._listener.fileno()
        if self._descriptor >= 0:
            self._selector.register(self._descriptor, selectors.EVENT_READ, self._hear)

    def take_down(self) -> None:
        """Stop listening."""
        listener, self._listener = self._listener, None
        if listener is None:
            return
        if self._descriptor >= 0:
            self._selector.unregister(self._descriptor)
        listener.close()

    def _hear(self, _descriptor: int) -> None:
        assert self._listener is not None
        self.rung = True
        try:
            self._listener.drain()
        except Exception as error:  # noqa: BLE001 - whatever a driver raises: it hears nothing any more
            logger.warning("The database's bell fell silent, and is hung up anew: %s", error)
            self.take_down()


class Wakeups:
    """The descriptors that the supervisor waits on, and what was heard."""

    def __init__(self, selector: selectors.BaseSelector, bell: Bell | None, parent: int | None) -> None:
        """Wait on what is registered with `selector`; without a bell, the database may have changed at any time."""
        self._selector = selector
        self._bell = bell
        self.told_to_stop = False
        if parent is not None:
            selector.register(parent, selectors.EVENT_READ, self._on_parent)

    @property
    def rung(self) -> bool:
        """Whether the database may have changed since `forget_ring`."""
        return self._bell is None or self._bell.rung

    def forget_ring(self) -> None:
        """Call it before looking into the database, never after."""
        if self._bell is not None:
            self._bell.rung = False

    def wait(self, timeout_s: float) -> None:
        """Sleep until something happens, `timeout_s` seconds at most."""
        patience_s = _PATIENCE_S if self._bell is None else self._bell.patience_s
        ready = self._selector.select(max(0.0, min(timeout_s, patience_s)))
        for key, _ in ready:
            if callable(key.data):
                key.data(key.fd)
        if not ready and self._bell is not None:
            self._bell.hang_up()
            self._bell.rung = True

    def on_signal(self, *_: Any) -> None:
        """Handle SIGTERM and SIGINT."""
        self.told_to_stop = True

    def _on_parent(self, descriptor: int) -> None:
        if not os.read(descriptor, 512):
            self._selector.unregister(descriptor)
            self.told_to_stop = True


@contextmanager
def listening(selector: selectors.BaseSelector, database: Database | None, parent: int | None) -> Iterator[Wakeups]:
    """Listen to the bell of `database`, to SIGTERM and SIGINT, and to the pipe `parent`, as long as the block lasts."""
    with contextlib.ExitStack() as stack:
        bell = None
        if database is not None:
            bell = Bell(selector, database)
            stack.callback(bell.take_down)
        wakeups = Wakeups(selector, bell, parent)
        stack.enter_context(_signals_wake(selector))
        for number in (signal.SIGTERM, signal.SIGINT):
            stack.callback(signal.signal, number, signal.signal(number, wakeups.on_signal))
        yield wakeups


@contextmanager
def _signals_wake(selector: selectors.BaseSelector) -> Iterator[None]:
    # A Python signal handler alone does not end a `select`, which is simply resumed (PEP 475).
    receiver, sender = socket.socketpair()
    with receiver, sender:
        sender.setblocking(False)
        before = signal.set_wakeup_fd(sender.fileno(), warn_on_full_buffer=False)
        selector.register(receiver, selectors.EVENT_READ, lambda _: receiver.recv(64))
        try:
            yield
        finally:
            selector.unregister(receiver)
            signal.set_wakeup_fd(before)
