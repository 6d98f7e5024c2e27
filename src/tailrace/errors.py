"""Every expected refusal, and the HTTP status each is answered with.

    TailraceError
    ├── BadRequest       400   the request itself cannot be understood
    ├── Unauthorized     401   sign in, or send a token
    ├── Forbidden        403   signed in, but this role may not
    ├── NotFound         404   it does not exist, or the caller may not know that it does
    ├── Conflict         409   not in this state
    ├── Gone             410   it was there
    ├── TooLarge         413   more than the limit
    ├── Invalid          422   understood, but a value is wrong
    ├── TooManyRequests  429   later
    └── Unavailable      503   a part of the service cannot answer now

Raise one with a sentence that tells the person what to do. `tailrace.http.problems` renders them as RFC 9457 problems.
"""

import re
from collections.abc import Mapping
from typing import Any, ClassVar

_OUR_ERRORS = re.compile(r"tailrace\.(?:storage|errors|database)[\w.]*: ")
_EXCEPTION = re.compile(r"[\w.]*(?:: |$)")


def sentence_of(error: str) -> str | None:
    """Return what of a job's error is meant for people; None if it is the text of some exception.

    Our own refusals, DoNotRetry and the engine speak in sentences; other exceptions are for the job's log.
    """
    ours = _OUR_ERRORS.sub("", error, count=1)
    return ours if ours != error or not _EXCEPTION.match(error) else None


class TailraceError(Exception):
    """Something went wrong."""

    status: ClassVar[int] = 500
    title: ClassVar[str] = "Internal error"

    def __init__(self, detail: str | None = None, *, headers: Mapping[str, str] | None = None, **members: Any) -> None:
        """Make an error with the sentence `detail`, response headers, and further members of the problem document."""
        self.detail = detail or self.__doc__ or self.title
        self.headers = dict(headers or {})
        self.members = members
        super().__init__(self.detail)


class BadRequest(TailraceError):
    """The request could not be understood."""

    status = 400
    title = "Bad request"


class Unauthorized(TailraceError):
    """Sign in, or send an API token as `Authorization: Bearer …`."""

    status = 401
    title = "Not signed in"

    def __init__(self, detail: str | None = None) -> None:
        super().__init__(detail, headers={"WWW-Authenticate": "Bearer"})


class Forbidden(TailraceError):
    """Your role does not allow this."""

    status = 403
    title = "Not allowed"


class NotFound(TailraceError):
    """There is nothing here, or nothing that you may see."""

    status = 404
    title = "Not found"


class Conflict(TailraceError):
    """This is not possible in the present state."""

    status = 409
    title = "Conflict"


class Gone(TailraceError):
    """This was here and has been removed."""

    status = 410
    title = "Gone"


class TooLarge(TailraceError):
    """The request is larger than allowed."""

    status = 413
    title = "Too large"


class Invalid(TailraceError):
    """A value is not acceptable."""

    status = 422
    title = "Invalid value"


class TooManyRequests(TailraceError):
    """Too many requests: wait a little."""

    status = 429
    title = "Too many requests"

    def __init__(self, detail: str | None = None, *, retry_after_s: int) -> None:
        super().__init__(detail, headers={"Retry-After": str(retry_after_s)})


class Unavailable(TailraceError):
    """A part of the service cannot answer at the moment."""

    status = 503
    title = "Unavailable"
