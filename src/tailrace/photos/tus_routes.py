"""The addresses of resumable uploads: tus 1.0.0 (https://tus.io/protocols/resumable-upload) with the extensions
creation, creation-with-upload, termination, checksum and expiration.

Before a byte of a body is read, the caller, their right to the task, the offset, the lock and the announced length have
been checked. The answer to the last bytes names the photo in the header `Tailrace-Photo`.
"""

from collections.abc import Mapping
from contextlib import suppress
from typing import Annotated, Any

from fastapi import APIRouter, Depends, Header, Request, Response
from fastapi.routing import APIRoute
from pydantic import AliasChoices, BaseModel, Field, ValidationError
from starlette.concurrency import run_in_threadpool
from starlette.datastructures import MutableHeaders
from starlette.exceptions import HTTPException
from starlette.types import Message, Receive, Scope, Send

from tailrace.accounts.dependencies import CurrentUser
from tailrace.accounts.principal import Principal
from tailrace.errors import BadRequest, Invalid, Unauthorized
from tailrace.http.dependencies import ReadSession
from tailrace.http.faults import describe
from tailrace.http.fields import Id
from tailrace.photos import resumable
from tailrace.photos.errors import BrokenPicture, PictureTooLarge
from tailrace.photos.names import clean_name
from tailrace.photos.patching import receive
from tailrace.photos.resumable import Claim, NewUpload
from tailrace.photos.schemas import Caption
from tailrace.photos.segments import remove_segments
from tailrace.photos.upload_schemas import UploadList, UploadView
from tailrace.photos.workshop import Workshop, WorkshopDep
from tailrace.streams import ClientTooSlow, ServerStopping, tus

EXTENSIONS = "creation,creation-with-upload,termination,checksum,expiration"
_NEVER_CACHED = {"Cache-Control": "no-store"}
_MAX_METADATA = 8192


def _header(name: str, *, required: bool = False, **schema: Any) -> dict[str, Any]:
    return {"name": name, "in": "header", "required": required, "schema": schema}


# What the protocol itself describes, in the words of OpenAPI.
_SPEAKING = _header("Tus-Resumable", required=True, type="string", enum=[tus.VERSION])
_CHECKSUM = _header("Upload-Checksum", type="string", examples=["sha1 Kq5sNclPz7QV2+lfQIuc6R7oRu0="])
_LENGTH = _header("Upload-Length", required=True, type="integer", minimum=1)
_METADATA = _header("Upload-Metadata", type="string", examples=["filename d2hlZWwuanBn,task NQ=="])
_OFFSET = _header("Upload-Offset", required=True, type="integer", minimum=0)
_BYTES = {"content": {tus.MEDIA_TYPE: {"schema": {"type": "string", "format": "binary"}}}}
_CREATION = {"parameters": [_SPEAKING, _LENGTH, _METADATA, _CHECKSUM], "requestBody": _BYTES}
_WRITING = {"parameters": [_SPEAKING, _OFFSET, _CHECKSUM], "requestBody": _BYTES}


class _TusRoute(APIRoute):
    """A route whose every answer says which version of the protocol is spoken, a refusal too."""

    async def handle(self, scope: Scope, receive: Receive, send: Send) -> None:
        async def speak(message: Message) -> None:
            if message["type"] == "http.response.start":
                MutableHeaders(scope=message).setdefault("Tus-Resumable", tus.VERSION)
            await send(message)

        await super().handle(scope, receive, speak)


class _Metadata(BaseModel):
    """What is understood of Upload-Metadata; clients send more, such as a file type, which counts for nothing."""

    filename: str = Field(default="", validation_alias=AliasChoices("filename", "name"))
    task: Id | None = None
    caption: Caption = ""


async def _check_version(request: Request) -> None:
    tus.check_version(request.headers)


async def _check_person(
    user: CurrentUser,
    tailrace_user: Annotated[
        int | None, Header(description="whose upload it is, by id: with anybody else's cookie it is refused")
    ] = None,
) -> None:
    # A browser keeps photos to be sent longer than a sign-in, and the next person's cookie comes by itself.
    if tailrace_user not in {None, user.user_id}:
        raise Unauthorized("Somebody else is signed in by now: sign in as the person who chose these files.")


router = APIRouter(route_class=_TusRoute)
_SPEAKS_TUS = [Depends(_check_version), Depends(_check_person)]


@router.options("/uploads", include_in_schema=False)
@router.options("/uploads/{upload_id}", include_in_schema=False)
async def describe_uploads(workshop: WorkshopDep) -> Response:
    """Tell what is spoken here; needs no sign-in."""
    headers = {
        "Tus-Version": tus.VERSION,
        "Tus-Extension": EXTENSIONS,
        "Tus-Max-Size": str(workshop.settings.max_bytes),
        "Tus-Checksum-Algorithm": ",".join(tus.ALGORITHMS),
    }
    return Response(status_code=204, headers=headers)


@router.get("/uploads")
def list_uploads(session: ReadSession, user: CurrentUser, response: Response) -> UploadList:
    """List your uploads that can go on, the newest first."""
    response.headers.update(_NEVER_CACHED)
    return UploadList(items=resumable.list_unfinished(session, user))


@router.get("/uploads/{upload_id}")
def get_upload(session: ReadSession, user: CurrentUser, response: Response, upload_id: str) -> UploadView:
    """Show where an upload stands, also one that was refused or has expired."""
    response.headers.update(_NEVER_CACHED)
    return resumable.get_upload(session, user, upload_id)


@router.post("/uploads", status_code=201, response_class=Response, dependencies=_SPEAKS_TUS, openapi_extra=_CREATION)
async def create_upload(request: Request, workshop: WorkshopDep, user: CurrentUser) -> Response:
    """Begin a resumable upload (tus 1.0.0) of `Upload-Length` bytes, of which the first may come along.

    `Upload-Metadata` may give `filename`, `task` (the id of the task that the photo is for) and `caption`.
    """
    new = _read_order(request.headers, workshop)
    has_bytes = _has_body(request.headers)
    if has_bytes:
        tus.check_media_type(request.headers)
    checksum = tus.parse_checksum(request.headers.get("upload-checksum"))
    upload = await run_in_threadpool(_create, workshop, user, new)
    if has_bytes:
        await _receive_first(workshop, user, upload.id, request, checksum)
    return await _answer(201, workshop, user, upload.id)


@router.head("/uploads/{upload_id}", include_in_schema=False, dependencies=_SPEAKS_TUS)
def inspect_upload(session: ReadSession, user: CurrentUser, upload_id: str) -> Response:
    """Tell where the client goes on."""
    upload, metadata = resumable.inspect_upload(session, user, upload_id)
    headers = {**_progress(upload), **_NEVER_CACHED, "Upload-Length": str(upload.length)}
    if metadata:
        headers["Upload-Metadata"] = metadata
    return Response(headers=headers)


@router.patch(
    "/uploads/{upload_id}", status_code=204, response_class=Response, dependencies=_SPEAKS_TUS, openapi_extra=_WRITING
)
async def write_upload(request: Request, workshop: WorkshopDep, user: CurrentUser, upload_id: str) -> Response:
    """Go on with an upload at `Upload-Offset`, which must be where it stands. With the last byte it is a photo."""
    tus.check_media_type(request.headers)
    offset = tus.parse_offset(request.headers)
    checksum = tus.parse_checksum(request.headers.get("upload-checksum"))
    claim = await run_in_threadpool(_claim, workshop, user, upload_id, offset)
    await receive(workshop, user, claim, request, checksum)
    return await _answer(204, workshop, user, upload_id)


@router.delete(
    "/uploads/{upload_id}", status_code=204, dependencies=_SPEAKS_TUS, openapi_extra={"parameters": [_SPEAKING]}
)
def delete_upload(workshop: WorkshopDep, user: CurrentUser, upload_id: str) -> None:
    """Give an upload up and remove its bytes; a photo that it has become stays."""
    _terminate(workshop, user, upload_id)


@router.post("/uploads/{upload_id}", include_in_schema=False, dependencies=_SPEAKS_TUS)
async def override_method(request: Request, workshop: WorkshopDep, user: CurrentUser, upload_id: str) -> Response:
    """Do what X-HTTP-Method-Override says, for clients behind something that lets only GET and POST pass."""
    method = request.headers.get("x-http-method-override", "POST").upper()
    if method == "PATCH":
        return await write_upload(request, workshop, user, upload_id)
    if method == "DELETE":
        await run_in_threadpool(_terminate, workshop, user, upload_id)
        return Response(status_code=204)
    raise HTTPException(405, headers={"Allow": "DELETE, GET, HEAD, OPTIONS, PATCH"})


async def _receive_first(
    workshop: Workshop, user: Principal, upload_id: str, request: Request, checksum: tus.Checksum | None
) -> None:
    """Take the bytes that came with the creation; a client that is not told of its upload shall not have one."""
    try:
        claim = await run_in_threadpool(_claim, workshop, user, upload_id, 0)
        # These are still told where the upload is and how far it has come.
        with suppress(ClientTooSlow, ServerStopping):
            await receive(workshop, user, claim, request, checksum)
    except BaseException:
        await run_in_threadpool(_terminate, workshop, user, upload_id)
        raise


async def _answer(status: int, workshop: Workshop, user: Principal, upload_id: str) -> Response:
    upload = await run_in_threadpool(_get, workshop, user, upload_id)
    headers = _progress(upload)
    if status == 201:
        headers["Location"] = upload.url
    return Response(status_code=status, headers=headers)


def _progress(upload: UploadView) -> dict[str, str]:
    headers = {"Upload-Offset": str(upload.offset)}
    if upload.offset < upload.length:
        headers["Upload-Expires"] = tus.format_expires(upload.expires_at)
    if upload.photo is not None:
        headers["Tailrace-Photo"] = upload.photo
    return headers


def _read_order(headers: Mapping[str, str], workshop: Workshop) -> NewUpload:
    length = _read_length(headers, workshop.settings.max_bytes)
    told = headers.get("upload-metadata", "")
    if len(told) > _MAX_METADATA:
        raise BadRequest(f"Upload-Metadata is longer than {_MAX_METADATA} characters.")
    metadata = _read_metadata(told)
    return NewUpload(length, clean_name(metadata.filename), metadata.task, metadata.caption, told)


def _read_length(headers: Mapping[str, str], max_bytes: int) -> int:
    if "upload-defer-length" in headers:
        raise BadRequest("The length must be known from the beginning: send Upload-Length.")
    if "upload-concat" in headers:
        raise BadRequest("A file cannot come in parallel parts: send it as one upload.")
    length = tus.parse_length(headers)
    if length == 0:
        raise BrokenPicture("This file is empty.")
    if length > max_bytes:
        sentence = f"This file has {length:,} bytes, and at most {max_bytes:,} are taken."
        raise PictureTooLarge(sentence, headers={"Tus-Max-Size": str(max_bytes)})
    return length


def _read_metadata(told: str) -> _Metadata:
    try:
        return _Metadata.model_validate(tus.parse_metadata(told))
    except ValidationError as error:
        first = error.errors()[0]
        raise Invalid(f"Upload-Metadata: {first['loc'][0]}: {describe(first)}.") from error


def _has_body(headers: Mapping[str, str]) -> bool:
    return headers.get("content-length", "0") != "0" or "transfer-encoding" in headers


def _create(workshop: Workshop, user: Principal, new: NewUpload) -> UploadView:
    with workshop.database.write() as session:
        return resumable.create_upload(session, user, new, lifetime=workshop.lifetime)


def _claim(workshop: Workshop, user: Principal, upload_id: str, offset: int) -> Claim:
    with workshop.database.write() as session:
        return resumable.claim_upload(session, user, upload_id, offset)


def _get(workshop: Workshop, user: Principal, upload_id: str) -> UploadView:
    with workshop.database.read() as session:
        return resumable.get_upload(session, user, upload_id)


def _terminate(workshop: Workshop, user: Principal, upload_id: str) -> None:
    with workshop.database.write() as session:
        resumable.terminate(session, user, upload_id)
    remove_segments(workshop.storage, upload_id)
