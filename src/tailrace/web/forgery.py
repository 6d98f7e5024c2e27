"""The token that every form of a signed-in person carries.

Browsers already say which site a request comes from, and `tailrace.http.forgery` refuses the others. This is the second
lock: a form of ours holds what nobody can know who cannot read our pages. It is made from the session's own secret, so
there is nothing to store, and it ends with the session.
"""

import hashlib
import hmac

FIELD = "forgery_token"
HEADER = "X-Forgery-Token"


def token_for(secret: bytes, session_secret: str) -> str:
    """Return the token of the forms of one session; `secret` is the service's signing key."""
    return hmac.new(secret, b"form:" + session_secret.encode(), hashlib.sha256).hexdigest()


def is_genuine(secret: bytes, session_secret: str, given: str) -> bool:
    """Return whether a form that carries the token `given` was made for this session."""
    return hmac.compare_digest(token_for(secret, session_secret).encode(), given.encode())
