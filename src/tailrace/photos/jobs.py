"""The jobs of photos: making one ready, answering a failure, removing files, and the upkeep."""

from datetime import timedelta
from typing import Any

from tailrace.jobs import DoNotRetry, JobContext, job
from tailrace.patience import FOR_A_DAY, patient
from tailrace.photos import processing, upkeep
from tailrace.photos.errors import PictureRefused
from tailrace.photos.resources import Resources


@job("photos.process_failed")
def processing_failed(ctx: JobContext[Resources], job_id: str, state: str, error: str, args: dict[str, Any]) -> None:
    """Mark a photo as failed, with the reason."""
    processing.mark_failed(ctx, args["photo_id"], job_id=job_id, state=state, error=error)


# A picture is decoded twice at most, each time within a limit of its own, a minute by default.
@job("photos.process", queue="photos", max_attempts=FOR_A_DAY, timeout_s=300, on_failure=processing_failed)
def process_photo(ctx: JobContext[Resources], photo_id: str) -> None:
    """Make a photo's renditions; a picture that cannot be decoded is not tried again."""
    with patient(ctx):
        try:
            processing.process(ctx, photo_id)
        except PictureRefused as refusal:
            raise DoNotRetry(refusal.detail) from refusal


@job("photos.remove_files", max_attempts=FOR_A_DAY)
def remove_files(ctx: JobContext[Resources], photo_ids: list[str]) -> None:
    """Remove every file of photos that are gone for good."""
    for done, photo_id in enumerate(photo_ids):
        upkeep.remove_files(ctx.resources.storage, photo_id)
        ctx.progress(done + 1, len(photo_ids))


@job("photos.upkeep", schedule="*/20 * * * *", priority=90)
def keep_photos(ctx: JobContext[Resources]) -> None:
    """Remove what nobody can want any more, and take up what was left lying."""
    upkeep.empty_trash(ctx, older_than=timedelta(days=ctx.resources.photos.trash_days))
    upkeep.end_uploads(ctx)
    upkeep.remove_orphans(ctx)
    upkeep.take_up_stuck(ctx, process_photo)
    upkeep.forget_answers(ctx)
    ctx.resources.storage.sweep()
