"""Hashing and checking passwords with Argon2, a few at a time.

One hash takes 64 MiB and a tenth of a second on purpose, so a crowd that signs in at once must queue rather than take
the machine's memory. Never call these while a write transaction is open: nobody else could write meanwhile.
"""

import secrets
from collections.abc import Iterator
from contextlib import contextmanager
from functools import cache
from threading import BoundedSemaphore

from pwdlib import PasswordHash
from pwdlib.exceptions import UnknownHashError

from tailrace.errors import Unavailable

AT_ONCE = 2
QUEUE_TIMEOUT_S = 10.0
_turns = BoundedSemaphore(AT_ONCE)
_hasher = PasswordHash.recommended()


def hash_password(password: str) -> str:
    """Return the hash of `password`, with a salt of its own; raises Unavailable if too many wait for theirs."""
    with _turn():
        return _hasher.hash(password)


def verify_password(password: str, password_hash: str) -> bool:
    """Return whether `password` has this hash; raises Unavailable if too many wait for theirs."""
    with _turn():
        try:
            return _hasher.verify(password, password_hash)
        except UnknownHashError:
            return False


@cache
def decoy_hash() -> str:
    """Return the hash of a password that nobody knows, so that an unknown address costs as long as a known one."""
    return hash_password(secrets.token_urlsafe(32))


@contextmanager
def _turn() -> Iterator[None]:
    if not _turns.acquire(timeout=QUEUE_TIMEOUT_S):
        raise Unavailable("Too many people are signing in at this moment; try again in a few seconds.")
    try:
        yield
    finally:
        _turns.release()
