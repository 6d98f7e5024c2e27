"""Everything for which a request with a body is refused, and the HTTP status each is answered with.

    UploadRefused
    ├── MalformedBody           400   the body, or what the headers say of it, cannot be understood
    │   └── MalformedMultipart  400   the body is no form (RFC 7578)
    ├── ClientTooSlow           408   the bytes come too slowly, or not at all
    ├── BodyTooLarge            413   more than the limit, as declared or as counted
    ├── NotMultipart            415   a form was expected
    ├── ClientGone              499   the connection is lost: nobody reads the answer
    ├── ServerStopping          503   the server is about to stop
    └── tus.TusRefused                see `tailrace.streams.tus`

Each carries a sentence for whoever sent the request. One handler can render them all: it takes `status`, `str(error)`
and `headers`.
"""

from collections.abc import Mapping
from typing import ClassVar


class UploadRefused(Exception):
    """The request's body was not accepted."""

    status: ClassVar[int] = 400
    title: ClassVar[str] = "Upload refused"
    #: Headers that belong to the answer.
    headers: Mapping[str, str] = {}

    def __init__(self, detail: str | None = None) -> None:
        """Make an error with the sentence `detail`, or that of its class."""
        super().__init__(detail or self.__doc__)


class MalformedBody(UploadRefused):
    """The body of the request cannot be understood."""

    title = "Malformed body"


class MalformedMultipart(MalformedBody):
    """The body is no multipart form."""

    title = "Malformed form"


class ClientTooSlow(UploadRefused):
    """The bytes came too slowly; try again on a better connection."""

    status = 408
    title = "Too slow"
    headers: Mapping[str, str] = {"Connection": "close"}


class BodyTooLarge(UploadRefused):
    """The request body is larger than the limit."""

    status = 413
    title = "Too large"


class NotMultipart(UploadRefused):
    """Send a form: the Content-Type must be multipart/form-data with a boundary."""

    status = 415
    title = "Unsupported media type"


class ClientGone(UploadRefused):
    """The client went away before the body was complete."""

    status = 499  # nginx's number; HTTP has none, for nobody is there to read it
    title = "Client gone"


class ServerStopping(UploadRefused):
    """The server is about to stop; send the rest, or the whole again, in a few seconds."""

    status = 503
    title = "Unavailable"
    headers: Mapping[str, str] = {"Retry-After": "5"}
