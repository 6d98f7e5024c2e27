"""The originals of every photo that the person may see, as they came, with a manifest that tells of each."""

from collections.abc import Iterator
from contextlib import closing

from tailrace.jobs import DoNotRetry
from tailrace.photos.filters import PhotoFilters
from tailrace.photos.service import ArchivedPhoto, archived_photos, count_photos, is_known
from tailrace.reports.archives import MANIFEST, Archive, FileLost, csv_line
from tailrace.reports.formats import Format
from tailrace.reports.kinds import Making, MomentPassed, ReportKind

_COLUMNS = "project task file name caption taken camera bytes sha256 uploader uploaded id state error"
_HEADER = csv_line(_COLUMNS.split())


def _write(making: Making, filters: PhotoFilters) -> int:
    archive = Archive(making.write)
    done, manifest_size = 0, len(_HEADER)
    with closing(archived_photos(making.session, making.principal, filters)) as photos:
        for photo in photos:
            _add(archive, making, photo)
            done, manifest_size = done + 1, manifest_size + len(_line(photo))
            making.on_done(done)
    # Walked anew rather than kept, for a hundred thousand lines are no longer small.
    with closing(archived_photos(making.session, making.principal, filters)) as photos:
        archive.add_lines(MANIFEST, _lines(photos), size=manifest_size)
    archive.finish()
    return done


def _add(archive: Archive, making: Making, photo: ArchivedPhoto) -> None:
    try:
        archive.add_stored(photo.path, making.storage, photo.key, size=photo.bytes, sha256=photo.sha256)
    except FileLost as error:
        with making.present() as session:
            if not is_known(session, photo.id):
                raise MomentPassed from error
        raise DoNotRetry(
            f"The original of the photo {photo.name} ({photo.id}) is no longer in storage as it came: restore it from "
            "a backup or delete the photo, then ask for the report again."
        ) from error


def _lines(photos: Iterator[ArchivedPhoto]) -> Iterator[bytes]:
    yield _HEADER
    yield from map(_line, photos)


def _line(photo: ArchivedPhoto) -> bytes:
    uploaded = photo.created_at.strftime("%Y-%m-%dT%H:%M:%S.%fZ")
    about = [photo.project, photo.task, photo.path, photo.name, photo.caption, photo.taken_at, photo.camera]
    return csv_line([*about, photo.bytes, photo.sha256, photo.uploader, uploaded, photo.id, photo.state, photo.error])


KIND = ReportKind(
    name="photos",
    title="Photos",
    unit="photos",
    filters=PhotoFilters,
    formats=(Format.ZIP,),
    count=count_photos,
    write=_write,
)
