"""Makes a photo ready: decoded apart, its placeholder known early, its renditions in storage before it is said.

    uploaded ──▶ processing ──▶ ready
        ▲            └────────▶ failed ──┐
        └──────────── retry ─────────────┘

Each step is fenced by the run's claim and can be done twice: a run that was taken for dead writes under its own keys
and can commit nothing. What it leaves in storage is removed by the upkeep. The original stays as it came.
"""

import hashlib
import logging
from collections.abc import Iterator
from contextlib import closing, suppress
from datetime import UTC, datetime, timedelta
from zoneinfo import ZoneInfo

from sqlalchemy import delete
from sqlalchemy.orm import Session

from tailrace.accounts import service as accounts
from tailrace.errors import sentence_of
from tailrace.jobs import DoNotRetry, JobContext, State
from tailrace.notifications import inbox
from tailrace.patience import still_ended
from tailrace.photos.decoding import DecoderLost, Facts, Limits, Order, Rendition, RenditionOrder, decode_apart
from tailrace.photos.keys import original_key, rendition_key
from tailrace.photos.models import Photo, PhotoLocation, PhotoRendition, PhotoState, RenditionName
from tailrace.photos.news import tell
from tailrace.photos.resources import Resources
from tailrace.photos.settings import PhotoSettings
from tailrace.projects import service as projects
from tailrace.storage import ObjectMissing, StorageError

# More effort makes the large one a tenth smaller in four times the time; of the thumb, which lists are made of, a
# little saves a sixth and takes no time to speak of.
EFFORTS = {RenditionName.THUMB: 2, RenditionName.SMALL: 0, RenditionName.LARGE: 0}
"""How much effort goes into the WebP of each rendition, from 0 to 6."""

_STEPS = 2
_CLOCK_MAY_BE_AHEAD = timedelta(days=1)
_log = logging.getLogger(__name__)


def process(ctx: JobContext[Resources], photo_id: str) -> None:
    """Make the renditions of a photo, and then say that it is ready.

    A photo that is ready, gone, or another job's by now is left alone. Raises PictureRefused for a picture that cannot
    be decoded within its limits, DoNotRetry when the original is not what was uploaded or ends every decoder, and what
    a storage or database raises.
    """
    photo = _begin(ctx, photo_id)
    if photo is None:
        return
    made: list[PhotoRendition] = []
    try:
        _make_twice(ctx, photo, made)
    except BaseException:
        _discard(ctx, made)
        raise
    if not _finish(ctx, photo_id, made):
        _discard(ctx, made)


def mark_failed(ctx: JobContext[Resources], photo_id: str, *, job_id: str, state: str, error: str) -> None:
    """Note on a photo that its job ended in `state` without making it ready; what was made meanwhile stays so."""
    with ctx.transaction() as session:
        photo = session.get(Photo, photo_id, with_for_update=True)
        if photo is None or photo.job_id != job_id or photo.state == PhotoState.READY:
            return
        if not still_ended(session, job_id, state):
            return
        photo.state, photo.error = PhotoState.FAILED, _reason(job_id, state, error)
        tell(session, photo, "failed", error=photo.error)
        _tell_uploader(session, photo)


def shown_moment(taken_at: str, time_zone: str, created_at: datetime) -> datetime:
    """Return where a photo stands in time lines: when it was taken, or when it was uploaded if that cannot be.

    A camera without an offset is taken to keep the uploader's `time_zone` (IANA); one from the future, to be wrong.
    """
    moment = datetime.fromisoformat(taken_at)
    aware = moment.replace(tzinfo=ZoneInfo(time_zone)) if moment.tzinfo is None else moment
    with suppress(OverflowError):  # At the end of the year 9999.
        if aware <= created_at + _CLOCK_MAY_BE_AHEAD:
            return aware.astimezone(UTC)
    return created_at


def _tell_uploader(session: Session, photo: Photo) -> None:
    """Put the failure into the inbox of who uploaded the photo, unless they have left its project meanwhile."""
    place, told = "", {photo.user_id}
    if photo.project_id is not None:
        place = projects.find_projects(session, {photo.project_id})[photo.project_id].name
        told = projects.hold_members(session, photo.project_id, told)
    news = inbox.News(
        inbox.Kind.PHOTO,
        photo.name,
        place=place,
        project_id=photo.project_id,
        task_id=photo.task_id,
        subject=photo.id,
    )
    inbox.notify(session, told, news)


def _begin(ctx: JobContext[Resources], photo_id: str) -> Photo | None:
    with ctx.transaction() as session:
        photo = session.get(Photo, photo_id, with_for_update=True)
        if photo is None or photo.job_id != ctx.job_id or photo.state == PhotoState.READY:
            return None
        photo.state, photo.error = PhotoState.PROCESSING, None
        tell(session, photo, "processing")
    return photo


def _make_twice(ctx: JobContext[Resources], photo: Photo, made: list[PhotoRendition]) -> None:
    try:
        _make(ctx, photo, made)
    except DecoderLost as lost:
        # It may have been killed for something else; if the next one ends too, it is the picture.
        _log.warning("%s Trying once more.", lost)
        made.clear()
        _make_again(ctx, photo, made)


def _make_again(ctx: JobContext[Resources], photo: Photo, made: list[PhotoRendition]) -> None:
    try:
        _make(ctx, photo, made)
    except DecoderLost as lost:
        sentence = f"This picture cannot be decoded. {lost} Save it again with another program, or send another one."
        raise DoNotRetry(sentence) from lost


def _make(ctx: JobContext[Resources], photo: Photo, made: list[PhotoRendition]) -> None:
    """Have the photo decoded, and keep each answer while the next one is being made."""
    settings = ctx.resources.photos
    limits = Limits(settings.decode_s, settings.decode_mb)
    answers = decode_apart(_order(photo, settings), _original(ctx, photo), limits=limits, check=ctx.check)
    with closing(answers):
        for answer in answers:
            match answer:
                case Facts():
                    _note_facts(ctx, photo.id, answer)
                    ctx.progress(1, _STEPS, "making renditions")
                case Rendition():
                    made.append(_store(ctx, photo, answer))
    ctx.progress(2, _STEPS, "done")


def _order(photo: Photo, settings: PhotoSettings) -> Order:
    renditions = tuple(
        RenditionOrder(name, longest, settings.quality, EFFORTS[name])
        for name, longest in zip(RenditionName, settings.sizes, strict=True)
    )
    return Order(photo.format, photo.bytes, settings.max_pixels, renditions)


def _original(ctx: JobContext[Resources], photo: Photo) -> Iterator[bytes]:
    """Yield the original; raises DoNotRetry, at the end at the latest, if it is not what was uploaded."""
    size, digest = 0, hashlib.sha256()
    try:
        for piece in ctx.resources.storage.read(original_key(photo.id)):
            digest.update(piece)
            size += len(piece)
            if size <= photo.bytes:
                yield piece
    except ObjectMissing as error:
        raise DoNotRetry("The original is gone from the storage: restore it from a backup, then try again.") from error
    if size != photo.bytes or digest.hexdigest() != photo.sha256:
        raise DoNotRetry("The original has changed in the storage: restore it from a backup, then try again.")


def _note_facts(ctx: JobContext[Resources], photo_id: str, facts: Facts) -> None:
    """Let the placeholder be seen, and keep what the camera wrote; the place apart from the rest."""
    camera = facts.camera
    with ctx.transaction() as session:
        photo = session.get(Photo, photo_id, with_for_update=True)
        if photo is None:
            return
        photo.placeholder, photo.taken_at, photo.camera = facts.placeholder, camera.taken_at, camera.camera
        if camera.taken_at is not None:
            zone = accounts.get_user(session, photo.user_id).time_zone
            photo.shown_at = shown_moment(camera.taken_at, zone, photo.created_at)
        if camera.location is not None:
            place = camera.location
            row = PhotoLocation(latitude=place.latitude, longitude=place.longitude, altitude=place.altitude)
            row.photo_id = photo_id
            session.merge(row)
        tell(session, photo, "processing", placeholder=photo.placeholder)


def _store(ctx: JobContext[Resources], photo: Photo, made: Rendition) -> PhotoRendition:
    key = rendition_key(photo.id, ctx.job_id, ctx.attempt, made.name)
    with ctx.resources.storage.write(key) as writer:
        writer.write(made.data)
    return PhotoRendition(
        photo_id=photo.id,
        name=made.name,
        width=made.width,
        height=made.height,
        bytes=writer.size,
        sha256=writer.sha256,
        storage_key=key,
    )


def _finish(ctx: JobContext[Resources], photo_id: str, made: list[PhotoRendition]) -> bool:
    """Say that the photo is ready; False if it is gone."""
    with ctx.transaction() as session:
        photo = session.get(Photo, photo_id, with_for_update=True)
        if photo is None:
            return False
        _replace_renditions(session, photo_id, made)
        _turn(photo, made)
        photo.state, photo.error = PhotoState.READY, None
        tell(session, photo, "ready", placeholder=photo.placeholder)
    return True


def _replace_renditions(session: Session, photo_id: str, made: list[PhotoRendition]) -> None:
    session.execute(delete(PhotoRendition).where(PhotoRendition.photo_id == photo_id))
    session.add_all(made)


def _turn(photo: Photo, made: list[PhotoRendition]) -> None:
    """Let width and height be those of the upright picture, which renditions are; the header's may be of another."""
    if any((photo.width - photo.height) * (each.width - each.height) < 0 for each in made):
        photo.width, photo.height = photo.height, photo.width


def _discard(ctx: JobContext[Resources], made: list[PhotoRendition]) -> None:
    # What cannot be removed now is removed by the upkeep, for no row knows it.
    with suppress(StorageError):
        for rendition in made:
            ctx.resources.storage.delete(rendition.storage_key)


def _reason(job_id: str, state: str, error: str) -> str:
    """Return, in sentences a person can act on, why a job ended in `state` with `error`."""
    if state == State.CANCELLED:
        return "Processing was cancelled."
    if state == State.QUARANTINED:
        return f"Its worker process was ended from outside several times; an administrator finds more in job {job_id}."
    hidden = f"It could not be processed because of an error in Tailrace; an administrator finds it in job {job_id}."
    return sentence_of(error) or hidden
