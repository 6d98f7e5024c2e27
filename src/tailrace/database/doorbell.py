"""Tells other processes that something was committed, so that nobody needs to poll.

A ring carries nothing: whoever hears it looks into the database. It may also get lost, so a listener looks every
`patience_s` seconds all the same. On PostgreSQL it is NOTIFY. SQLite has nothing of the kind, and polling its
`data_version` often enough to start a job within 10 ms costs over 1 % of a core, so there every listener binds a
datagram socket in a folder beside the database, and a commit sends one byte to each. See
`docs/decisions/0002-doorbell.md`.
"""

import contextlib
import errno
import logging
import os
import secrets
import selectors
import socket
import sys
from collections.abc import Iterator, Sequence
from pathlib import Path
from typing import Any, Protocol

from sqlalchemy import Engine, text
from sqlalchemy.orm import Session

_CHANNEL = "tailrace"
_logger = logging.getLogger(__name__)
_LONGEST_FOLDER = 80
_DEAD = {errno.ECONNREFUSED, errno.ENOENT}


class Listener(Protocol):
    """Hears rings: a file descriptor to wait on, and how long to wait at most."""

    patience_s: float

    def fileno(self) -> int:
        """Return a descriptor that becomes readable when the bell has rung, or -1 if there is none to wait on."""

    def drain(self) -> None:
        """Forget the rings heard so far. Call it before looking into the database, never after."""

    def close(self) -> None:
        """Stop listening."""


class Doorbell(Protocol):
    """Rings on commit and makes listeners."""

    def announce(self, session: Session) -> None:
        """Called inside a transaction, just before its commit."""

    def ring(self) -> None:
        """Called just after a commit."""

    def listen(self) -> Listener:
        """Return a new listener."""


def wait(listener: Listener, timeout_s: float) -> None:
    """Block until the bell rings, for `timeout_s` seconds at most, and forget the ring."""
    with selectors.DefaultSelector() as selector:
        if listener.fileno() >= 0:
            selector.register(listener.fileno(), selectors.EVENT_READ)
        selector.select(min(timeout_s, listener.patience_s))
    listener.drain()


class SocketDoorbell:
    """The bell of a SQLite database: datagram sockets in the folder `NAME.bells` beside it."""

    def __init__(self, database: Path) -> None:
        self._folder = database.with_name(database.name + ".bells")

    def announce(self, session: Session) -> None:
        """Nothing to do inside the transaction."""

    def ring(self) -> None:
        """Send one datagram to every listener; one whose process died is removed, one that is behind needs no more."""
        try:
            names = os.listdir(self._folder)
            if names:
                with _reachable(self._folder) as folder:
                    self._ring_at([f"{folder}/{name}" for name in names])
        except FileNotFoundError:
            return  # Nobody has ever listened.
        except OSError as error:
            # The transaction is committed; that nobody hears of it for a second must not look like its failure.
            _logger.warning("The bell of the database cannot be rung: %s", error)

    def _ring_at(self, addresses: Sequence[str]) -> None:
        with socket.socket(socket.AF_UNIX, socket.SOCK_DGRAM) as sender:
            sender.setblocking(False)
            for address in addresses:
                self._send(sender, address)

    @staticmethod
    def _send(sender: socket.socket, address: str) -> None:
        try:
            sender.sendto(b"!", address)
        except OSError as error:
            if error.errno in _DEAD:
                with contextlib.suppress(OSError):
                    os.unlink(address)

    def listen(self) -> Listener:
        """Bind a socket; where the system refuses (it has no such sockets), listen by looking often."""
        try:
            return _SocketListener(self._folder)
        except (OSError, AttributeError):
            return _Poller()


class _SocketListener:
    patience_s = 1.0

    def __init__(self, folder: Path) -> None:
        folder.mkdir(mode=0o700, exist_ok=True)
        self._address = folder / f"{os.getpid()}-{secrets.token_hex(3)}"
        self._socket = socket.socket(socket.AF_UNIX, socket.SOCK_DGRAM)
        try:
            with _reachable(folder) as short:
                self._socket.bind(f"{short}/{self._address.name}")
        except OSError:
            self._socket.close()
            raise
        self._socket.setblocking(False)

    def fileno(self) -> int:
        return self._socket.fileno()

    def drain(self) -> None:
        with contextlib.suppress(BlockingIOError):
            while True:
                self._socket.recv(32)

    def close(self) -> None:
        self._socket.close()
        self._address.unlink(missing_ok=True)


@contextlib.contextmanager
def _reachable(folder: Path) -> Iterator[str]:
    """Give a name of `folder` that leaves room for a socket's in the 107 bytes that an address may have (unix(7))."""
    if len(os.fsencode(folder)) <= _LONGEST_FOLDER or sys.platform != "linux":
        yield str(folder)
        return
    descriptor = os.open(folder, os.O_PATH | os.O_DIRECTORY)
    try:
        yield f"/proc/self/fd/{descriptor}"
    finally:
        os.close(descriptor)


class _Poller:
    patience_s = 0.05

    def fileno(self) -> int:
        return -1

    def drain(self) -> None:
        pass

    def close(self) -> None:
        pass


class NotifyDoorbell:
    """The bell of a PostgreSQL database: NOTIFY inside the transaction, delivered by its commit."""

    def __init__(self, engine: Engine) -> None:
        self._engine = engine

    def announce(self, session: Session) -> None:
        """Queue the notification; the server folds equal ones of a transaction into one."""
        session.execute(text(f"NOTIFY {_CHANNEL}"))

    def ring(self) -> None:
        """Nothing to do after the commit."""

    def listen(self) -> Listener:
        """Return a listener on a connection of its own."""
        return _NotifyListener(self._engine)


class _NotifyListener:
    patience_s = 1.0

    def __init__(self, engine: Engine) -> None:
        pooled = engine.raw_connection()
        connection: Any = pooled.driver_connection
        pooled.detach()
        self._connection = connection
        self._connection.autocommit = True
        self._connection.execute(f"LISTEN {_CHANNEL}")

    def fileno(self) -> int:
        return int(self._connection.fileno())

    def drain(self) -> None:
        list(self._connection.notifies(timeout=0))

    def close(self) -> None:
        self._connection.close()
