"""The addresses that take photos in by a form, each whole or not at all; resumable uploads are in `tus_routes`.

Before a byte of a body is read, the caller, their right to the task, and the announced length have been checked, and
who sent an Idempotency-Key before has been given that answer again.
"""

from collections.abc import AsyncGenerator, Mapping, Sequence
from contextlib import suppress
from typing import Any

from fastapi import APIRouter, Request, Response
from sqlalchemy.orm import Session
from starlette.concurrency import run_in_threadpool
from starlette.responses import JSONResponse

from tailrace.accounts.dependencies import CurrentUser
from tailrace.accounts.principal import Principal
from tailrace.errors import Conflict, Invalid
from tailrace.http.fields import Id, IdempotencyKey
from tailrace.http.limits import open_body
from tailrace.http.problems import explain
from tailrace.photos.access import check_upload
from tailrace.photos.forms import FILES, FORM_BYTES, Refused, receive_many, receive_one
from tailrace.photos.models import Photo, PhotoState
from tailrace.photos.receipts import AnsweredMeanwhile, Receipt, find_receipt, keep_receipt
from tailrace.photos.receiving import NewPhoto, finish
from tailrace.photos.schemas import PhotoStarted
from tailrace.photos.upload_schemas import FormTaken, PhotoRefused
from tailrace.photos.workshop import Workshop, WorkshopDep
from tailrace.streams import Drain, Intake, TextStream, in_upload_thread

router = APIRouter()
_FILE = {"type": "string", "format": "binary"}
_CAPTION = {"type": "string", "maxLength": 2000}


def _form(properties: Mapping[str, Any], required: Sequence[str]) -> dict[str, Any]:
    schema = {"type": "object", "properties": properties, "required": required}
    return {"requestBody": {"required": True, "content": {"multipart/form-data": {"schema": schema}}}}


@router.post(
    "/tasks/{task_id}/photos",
    status_code=202,
    response_model=FormTaken,
    openapi_extra=_form({"caption": _CAPTION, "file": {"type": "array", "items": _FILE}}, ["file"]),
)
async def upload_photos(
    *, request: Request, workshop: WorkshopDep, user: CurrentUser, task_id: Id, idempotency_key: IdempotencyKey = None
) -> Response:
    """Add pictures to a task: a form of up to 100 files. A file that is refused does not keep the others out.

    The answer has an entry for each file, in order. Where no file is taken it is the problem of the first, with all
    entries in `files`.
    """
    path = f"/tasks/{task_id}/photos"
    earlier = await run_in_threadpool(_admit, workshop, user, task_id, idempotency_key, path)
    incoming = open_body(request, Intake(FILES * workshop.settings.max_bytes + FORM_BYTES))
    if earlier is not None:
        return _again(earlier)
    outcome = await receive_many(workshop, user, task_id, incoming, request.headers.get("content-type"))
    entries = [_entry(result) for result in outcome.results]
    if len(outcome.refusals) == len(entries):
        return explain(outcome.refusals[0].error, files=entries)
    receipt = Receipt(path, 202, {"photos": entries})
    if idempotency_key is not None and outcome.is_final:
        await in_upload_thread(_keep, workshop, user, idempotency_key, receipt)
    return _again(receipt)


@router.post(
    "/photos/async",
    status_code=202,
    response_class=Response,
    responses={202: {"description": "The photo is safe; `Location` is its address.", "content": {"text/plain": {}}}},
    openapi_extra=_form({"task": {"type": "integer"}, "caption": _CAPTION, "file": _FILE}, ["file"]),
)
async def upload_photo(
    *, request: Request, workshop: WorkshopDep, user: CurrentUser, idempotency_key: IdempotencyKey = None
) -> Response:
    """Add one picture, to the task in the field `task` or to your own photos: for scripts and `curl -F file=@…`."""
    path = "/photos/async"
    drain = request.app.state.drain
    earlier = await run_in_threadpool(_admit, workshop, user, None, idempotency_key, path)
    incoming = open_body(request, Intake(workshop.settings.max_bytes + FORM_BYTES))
    if earlier is not None:
        return _tell(earlier, drain)
    new = await receive_one(workshop, user, incoming, request.headers.get("content-type"))
    return _tell(await in_upload_thread(_finish, workshop, user, new, idempotency_key, path), drain)


def _admit(
    workshop: Workshop, user: Principal, task_id: int | None, idempotency_key: str | None, path: str
) -> Receipt | None:
    """Return what this request was answered before, if it was; raises what keeps the caller from uploading."""
    with workshop.database.read() as session:
        check_upload(session, user, task_id)
        return None if idempotency_key is None else find_receipt(session, user, idempotency_key, path)


def _keep(workshop: Workshop, user: Principal, idempotency_key: str, receipt: Receipt) -> None:
    """Keep an answer, unless another request with the same key was faster, wherever to: then that one's stays.

    The photos are there by now, so this request is told of its own all the same; were the answer lost between the two,
    the same bytes would find them.
    """
    with suppress(AnsweredMeanwhile, Invalid), workshop.database.write() as session:
        keep_receipt(session, user, idempotency_key, receipt)


def _finish(workshop: Workshop, user: Principal, new: NewPhoto, idempotency_key: str | None, path: str) -> Receipt:
    def keep(session: Session, started: PhotoStarted) -> None:
        if idempotency_key is not None:
            keep_receipt(session, user, idempotency_key, _receipt(path, started, new.bytes))

    try:
        started = finish(workshop.database, workshop.storage, user, new, keep=keep)
    except AnsweredMeanwhile as meanwhile:
        _check_same(workshop, meanwhile.receipt, new)
        return meanwhile.receipt
    return _receipt(path, started, new.bytes)


def _check_same(workshop: Workshop, receipt: Receipt, new: NewPhoto) -> None:
    """Raise Conflict unless the photo of a receipt has the bytes of this one, which was not kept."""
    photo_id = (receipt.location or "").rpartition("/")[2]
    with workshop.database.read() as session:
        photo = session.get(Photo, photo_id)
    if photo is None or photo.sha256 != new.sha256:
        raise Conflict("This Idempotency-Key was used for another picture just now; send this one with a new key.")


def _receipt(path: str, started: PhotoStarted, size: int) -> Receipt:
    pending = started.state in {PhotoState.UPLOADED, PhotoState.PROCESSING}
    lines = [
        f"Upload received: {started.name}, {size} bytes",
        "Upload complete, thumbnail pending…" if pending else f"Upload complete, the same photo is {started.state}",
        f"Photo: {started.url}",
        f"Events: {started.events}",
    ]
    return Receipt(path, 202, {"lines": lines}, started.url)


def _entry(result: PhotoStarted | Refused) -> dict[str, Any]:
    if isinstance(result, PhotoStarted):
        return result.model_dump(mode="json")
    return PhotoRefused(name=result.name, error=explain(result.error).document).model_dump(mode="json")


def _again(receipt: Receipt) -> Response:
    return JSONResponse(receipt.body, receipt.status)


def _tell(receipt: Receipt, drain: Drain) -> Response:
    lines = [f"{line}\n".encode() for line in receipt.body["lines"]]

    async def pieces() -> AsyncGenerator[bytes]:
        for line in lines:
            yield line

    # With its length known, a client that still sends sees where the answer ends.
    headers = {"Location": receipt.location or "", "Content-Length": str(len(b"".join(lines)))}
    stream = TextStream(pieces(), headers=headers, drain=drain)
    stream.status_code = receipt.status
    return stream
