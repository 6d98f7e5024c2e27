"""Every error as an RFC 9457 problem document, with a sentence that says what to do.

What nobody expected is answered as 500 without a word of its inside, and raised on, so that the server logs it. An
error after the first byte of an answer is never turned into anything: the transfer breaks, and the client sees it.
"""

import json
import logging
from collections.abc import Mapping
from http import HTTPStatus
from typing import Any

from fastapi import FastAPI
from fastapi.exceptions import RequestValidationError
from sqlalchemy.exc import DataError, InterfaceError, OperationalError
from sqlalchemy.exc import TimeoutError as PoolTimeout
from starlette.exceptions import HTTPException
from starlette.requests import Request
from starlette.responses import Response

from tailrace.database import DatabaseBusy
from tailrace.errors import TailraceError
from tailrace.http.faults import describe
from tailrace.storage import StorageError, StorageFull
from tailrace.streams import MalformedCursor, TooManyStreams, UploadRefused

MEDIA_TYPE = "application/problem+json"
Refusal = TailraceError | UploadRefused | StorageError
_log = logging.getLogger(__name__)
_SENTENCES = {
    404: "There is nothing at this address.",
    405: "This address does not answer that method; the Allow header lists those it does.",
}


class Problem(Response):
    """A problem document as a response; also what middleware sends, which stands outside the handlers."""

    media_type = MEDIA_TYPE

    def __init__(
        self,
        status: int,
        detail: str,
        *,
        title: str | None = None,
        headers: Mapping[str, str] | None = None,
        **members: Any,
    ) -> None:
        """Make the document from the sentence `detail`; `title` is the status phrase unless given."""
        title = title or _phrase(status)
        self.document = {"type": "about:blank", "title": title, "status": status, "detail": detail, **members}
        # Escaped to ASCII: a detail may quote a lone surrogate, which has no UTF-8 form.
        super().__init__(json.dumps(self.document).encode(), status_code=status, headers=dict(headers or {}))


def explain(error: Refusal, **members: Any) -> Problem:
    """Return what an expected error is answered with, and `members` besides its own."""
    if isinstance(error, TailraceError):
        return Problem(error.status, error.detail, title=error.title, headers=error.headers, **error.members, **members)
    if isinstance(error, UploadRefused):
        return Problem(error.status, str(error), title=error.title, headers=error.headers, **members)
    # The error's own sentence is for the person who runs the service: it names folders.
    _log.error("the storage did not work: %s", error)
    if isinstance(error, StorageFull):
        sentence = "There is no room for more files here; whoever runs this service must make some."
        return Problem(507, sentence, title="Storage full", headers={"Retry-After": "60"}, **members)
    sentence = "The storage cannot take or give files at the moment; try again later."
    return Problem(503, sentence, title="Unavailable", headers={"Retry-After": "30"}, **members)


def install(app: FastAPI) -> None:
    """Make `app` answer every error with a problem document."""
    for expected in (TailraceError, UploadRefused, StorageError):
        app.add_exception_handler(expected, _expected)
    app.add_exception_handler(RequestValidationError, _invalid)
    app.add_exception_handler(HTTPException, _http)
    for kind in (DatabaseBusy, OperationalError, InterfaceError, PoolTimeout):
        app.add_exception_handler(kind, _database)
    app.add_exception_handler(MalformedCursor, _malformed)
    app.add_exception_handler(TooManyStreams, _busy)
    app.add_exception_handler(DataError, _unstorable)
    app.add_exception_handler(UnicodeEncodeError, _unencodable)
    app.add_exception_handler(Exception, _unexpected)


def _expected(_request: Request, error: Exception) -> Response:
    assert isinstance(error, Refusal)
    return explain(error)


def _invalid(_request: Request, error: Exception) -> Response:
    assert isinstance(error, RequestValidationError)
    faults = [_fault(entry) for entry in error.errors()]
    malformed = any(entry["type"] == "json_invalid" for entry in error.errors())
    detail = "; ".join(f"{fault['location']}: {fault['message']}" for fault in faults[:3]) + "."
    return Problem(400 if malformed else 422, detail, title="Invalid request", errors=faults)


def _fault(entry: Mapping[str, Any]) -> dict[str, str]:
    return {"location": ".".join(str(part)[:100] for part in entry["loc"]), "message": describe(entry)}


def _http(_request: Request, error: Exception) -> Response:
    assert isinstance(error, HTTPException)
    own = error.detail if error.detail != _phrase(error.status_code) else None
    return Problem(error.status_code, own or _SENTENCES.get(error.status_code, error.detail), headers=error.headers)


def _database(_request: Request, error: Exception) -> Response:
    _log.warning("the database did not answer: %s", error)
    detail = "The database cannot answer at the moment. Nothing was changed; try again in a few seconds."
    return Problem(503, detail, title="Unavailable", headers={"Retry-After": "2"})


def _malformed(_request: Request, error: Exception) -> Response:
    return Problem(400, str(error), title="Malformed position")


def _busy(_request: Request, error: Exception) -> Response:
    return Problem(503, str(error), title="Unavailable", headers={"Retry-After": "2"})


def _unstorable(_request: Request, error: Exception) -> Response:
    _log.warning("the database refused a value: %s", getattr(error, "orig", error))
    return Problem(422, "A value does not fit what the database can store.", title="Invalid value")


def _unencodable(_request: Request, error: Exception) -> Response:
    assert isinstance(error, UnicodeEncodeError)
    if error.reason != "surrogates not allowed":
        raise error
    # Only JSON from outside can bring half of a surrogate pair; most fields refuse it by name, and this is the rest.
    return Problem(422, "The request holds half of a surrogate pair, which is no character.", title="Invalid value")


def _unexpected(_request: Request, _error: Exception) -> Response:
    return Problem(500, "Something went wrong here; the service's log has the details, under this X-Request-ID.")


def _phrase(status: int) -> str:
    try:
        return HTTPStatus(status).phrase
    except ValueError:
        return "Error"
