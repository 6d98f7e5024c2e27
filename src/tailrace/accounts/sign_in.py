"""Signing in by password: slowly for whoever guesses, and without holding the database while the hash is made."""

import ipaddress
import math
import time
from threading import Lock
from typing import Annotated

from fastapi import Depends
from limits import RateLimitItemPerMinute
from limits.storage import MemoryStorage
from limits.strategies import MovingWindowRateLimiter
from starlette.requests import HTTPConnection

from tailrace.accounts import service
from tailrace.accounts.passwords import decoy_hash, verify_password
from tailrace.database import Database
from tailrace.errors import Invalid, NotFound, TooManyRequests, Unauthorized

PER_ACCOUNT = RateLimitItemPerMinute(10, 5)
PER_ADDRESS = RateLimitItemPerMinute(50, 5)
_creation = Lock()
_NOBODY = 0
_WRONG = "The e-mail address or the password is wrong."


class SignInLimits:
    """Counts attempts in this process: 10 in 5 minutes for an account, 50 for an address.

    A success forgets the account's attempts. Sessions and tokens are not touched: whoever keeps guessing somebody's
    password keeps them from a new sign-in for minutes, not from their work.
    """

    def __init__(self) -> None:
        self._limiter = MovingWindowRateLimiter(MemoryStorage())

    def attempt(self, account: str, address: str) -> None:
        """Count one attempt; raises TooManyRequests if there were too many."""
        for limit, key in ((PER_ADDRESS, _network(address)), (PER_ACCOUNT, account)):
            if not self._limiter.hit(limit, key):
                wait_s = self._limiter.get_window_stats(limit, key).reset_time - time.time()
                raise TooManyRequests(
                    "Too many attempts to sign in; wait a few minutes.", retry_after_s=max(1, math.ceil(wait_s))
                )

    def succeeded(self, account: str) -> None:
        """Forget the attempts for an account."""
        self._limiter.clear(PER_ACCOUNT, account)


def get_sign_in_limits(connection: HTTPConnection) -> SignInLimits:
    """Return the limits of this application, made when first needed."""
    state = connection.app.state
    with _creation:
        if not hasattr(state, "sign_in_limits"):
            state.sign_in_limits = SignInLimits()
    limits: SignInLimits = state.sign_in_limits
    return limits


SignInLimitsDep = Annotated[SignInLimits, Depends(get_sign_in_limits)]


def sign_in(database: Database, limits: SignInLimits, *, email: str, password: str, address: str) -> str:
    """Return the secret of a new session for the person with this normalised address.

    Raises Unauthorized, which does not tell a wrong password from an unknown address, nor does the time it takes; and
    TooManyRequests.
    """
    limits.attempt(email, address)
    user_id, password_hash = _find(database, email)
    if not verify_password(password, password_hash) or user_id == _NOBODY:
        raise Unauthorized(_WRONG)
    limits.succeeded(email)
    with database.write() as session:
        # The check may have waited for seconds: a session for a password that was changed meanwhile would outlive it.
        if not service.holds_password_hash(session, user_id, password_hash):
            raise Unauthorized(_WRONG)
        return service.open_session(session, user_id)


def check_own_password(database: Database, limits: SignInLimits, *, email: str, password: str, address: str) -> str:
    """Return the hash of the person's present password; raises Invalid if this is another, or TooManyRequests."""
    limits.attempt(email, address)
    user_id, password_hash = _find(database, email)
    if not verify_password(password, password_hash) or user_id == _NOBODY:
        raise Invalid("current_password is not your present password.")
    limits.succeeded(email)
    return password_hash


def _find(database: Database, email: str) -> tuple[int, str]:
    decoy = decoy_hash()
    try:
        with database.read() as session:
            return service.find_password_hash(session, email)
    except NotFound:
        return _NOBODY, decoy


def _network(address: str) -> str:
    # One customer of an internet provider holds 2^64 addresses of IPv6 at least.
    try:
        parsed = ipaddress.ip_address(address)
    except ValueError:
        return address
    return str(ipaddress.ip_network((parsed, 64), strict=False)) if parsed.version == 6 else str(parsed)
