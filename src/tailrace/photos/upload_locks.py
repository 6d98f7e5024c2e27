"""The token that a request holds while it writes to an upload: unique, and it tells which process holds it.

A lock ends with its lease; that is what keeps an upload whole. The process in the token only saves the wait: a client
that comes back after the service was killed need not sit out the lease of a request that died with it.
"""

import os
import secrets
import socket
from zlib import crc32

# Distinguishes this process from an earlier one of the same number, which in a container is the rule.
_LIFE = secrets.token_hex(4)


def new_token() -> str:
    """Return a new token of this process, 32 hexadecimal digits."""
    return f"{_host()}{os.getpid():08x}{_LIFE}{secrets.token_hex(4)}"


def is_abandoned(token: str) -> bool:
    """Return whether the process that made `token` is known to be dead; one on another machine never is."""
    host, process, life = token[:8], int(token[8:16], 16), token[16:24]
    if host != _host():
        return False
    if process == os.getpid():
        return life != _LIFE
    try:
        os.kill(process, 0)
    except ProcessLookupError:
        return True
    except PermissionError:
        return False
    return False


def _host() -> str:
    return f"{crc32(socket.gethostname().encode()):08x}"
