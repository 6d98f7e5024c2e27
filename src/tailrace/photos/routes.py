"""The addresses of photos; sending them in is in `upload_routes` and `tus_routes`."""

from typing import Annotated, Literal

from fastapi import APIRouter, Query, Request, Response

from tailrace.accounts.dependencies import CurrentUser
from tailrace.http.dependencies import ReadSession, WriteSession
from tailrace.http.fields import Id
from tailrace.http.stored_files import StorageDep, stored_file
from tailrace.photos import service
from tailrace.photos.schemas import PairInput, PhotoChanges, PhotoPage, PhotoQuery, PhotoView, TrashedPhoto
from tailrace.photos.tus_routes import router as tus_router
from tailrace.photos.upload_routes import router as upload_router
from tailrace.streams import FileDownload

router = APIRouter(tags=["photos"])
router.include_router(tus_router)
router.include_router(upload_router)

# The address of a file never means other bytes, and what it holds came from outside: nothing of it may run.
_FILE_HEADERS = {
    "Cache-Control": "private, max-age=31536000, immutable",
    # What one person's browser keeps is not for who signs in there next.
    "Vary": "Cookie, Authorization",
    "Content-Security-Policy": "sandbox; default-src 'none'",
}


@router.get("/photos")
def list_own_photos(query: Annotated[PhotoQuery, Query()], user: CurrentUser, session: ReadSession) -> PhotoPage:
    """List your photos that are in no task, the newest first."""
    return service.list_own_photos(session, user, query)


@router.get("/tasks/{task_id}/photos")
def list_task_photos(
    task_id: Id, query: Annotated[PhotoQuery, Query()], user: CurrentUser, session: ReadSession
) -> PhotoPage:
    """List the photos of a task, the newest first."""
    return service.list_task_photos(session, user, task_id, query)


@router.get("/projects/{project_id}/photos")
def list_project_photos(
    project_id: Id, query: Annotated[PhotoQuery, Query()], user: CurrentUser, session: ReadSession
) -> PhotoPage:
    """List the photos of a project as a time line, the newest first, by when they were taken if that is known."""
    return service.list_project_photos(session, user, project_id, query)


@router.get("/photos/trash")
def list_own_trash(user: CurrentUser, session: ReadSession) -> list[TrashedPhoto]:
    """List your deleted photos that were in no task, up to 200, the last deleted first."""
    return service.list_trash(session, user, None)


@router.get("/projects/{project_id}/photos/trash")
def list_trash(project_id: Id, user: CurrentUser, session: ReadSession) -> list[TrashedPhoto]:
    """List the deleted photos of a project that you may restore, up to 200, the last deleted first."""
    return service.list_trash(session, user, project_id)


@router.get("/photos/{photo_id}")
def show_photo(photo_id: str, user: CurrentUser, session: ReadSession) -> PhotoView:
    """Show a photo, with where it was taken if the camera told."""
    return service.get_photo(session, user, photo_id)


@router.patch("/photos/{photo_id}")
def update_photo(photo_id: str, body: PhotoChanges, user: CurrentUser, session: WriteSession) -> PhotoView:
    """Write a photo's caption."""
    return service.change_caption(session, user, photo_id, body.caption)


@router.delete("/photos/{photo_id}", status_code=204)
def delete_photo(photo_id: str, user: CurrentUser, session: WriteSession) -> None:
    """Put a photo into the trash (its uploader and managers)."""
    service.delete_photo(session, user, photo_id)


@router.post("/photos/{photo_id}/restore")
def restore_photo(photo_id: str, user: CurrentUser, session: WriteSession) -> PhotoView:
    """Take a photo out of the trash."""
    return service.restore_photo(session, user, photo_id)


@router.post("/photos/{photo_id}/retry", status_code=202)
def retry_photo(photo_id: str, user: CurrentUser, session: WriteSession) -> PhotoView:
    """Process a photo that failed again."""
    return service.retry_photo(session, user, photo_id)


@router.put("/photos/{photo_id}/pair")
def pair_photo(photo_id: str, body: PairInput, user: CurrentUser, session: WriteSession) -> PhotoView:
    """Make a photo and another of its task a pair: the same thing before and after the work."""
    return service.pair_photo(session, user, photo_id, body)


@router.delete("/photos/{photo_id}/pair", status_code=204)
def unpair_photo(photo_id: str, user: CurrentUser, session: WriteSession) -> None:
    """Take a photo out of its pair; both photos stay."""
    service.unpair_photo(session, user, photo_id)


@router.head("/photos/{photo_id}/{version}", include_in_schema=False)
@router.get(
    "/photos/{photo_id}/{version}",
    response_class=Response,
    responses={
        200: {"description": "the file, or with a Range header a part of it as 206", "content": {"image/*": {}}},
        409: {"description": "The photo is still being processed, or could not be."},
        410: {"description": "The photo is in the trash."},
    },
)
def download_photo(
    *,
    request: Request,
    user: CurrentUser,
    session: ReadSession,
    storage: StorageDep,
    photo_id: str,
    version: Literal["thumb", "small", "large", "original"],
) -> Response:
    """Download a photo as it came, or one of its renditions, which are WebP."""
    if version == "original":
        file = service.open_original(session, user, photo_id)
    else:
        file = service.open_rendition(session, user, photo_id, service.RenditionName(version))
    return FileDownload(
        stored_file(storage, file.key, size=file.size, sha256=file.sha256),
        filename=file.name,
        media_type=file.media_type,
        last_modified=file.made_at,
        inline=file.inline,
        headers=_FILE_HEADERS,
        drain=request.app.state.drain,
        holder=user.user_id,
    )
