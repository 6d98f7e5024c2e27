"""The one place where settings become objects: which database, storage and mailer, and what the jobs may use."""

from collections.abc import Sequence
from dataclasses import dataclass
from datetime import timedelta
from importlib.util import find_spec
from pathlib import Path
from typing import Any

from sqlalchemy.exc import ArgumentError

from tailrace.database import Database
from tailrace.jobs import JobApp, JobKind, check_kinds, discover_kinds
from tailrace.jobs.engines.contract import Engine
from tailrace.logging_setup import configure_logging, log_file
from tailrace.mailer import FileMailer, Mailer, SmtpMailer
from tailrace.operations.checks import Finding
from tailrace.operations.sharing import find_unshared
from tailrace.photos.settings import PhotoSettings
from tailrace.settings import Settings, SettingsError, load_secret, load_settings
from tailrace.storage import LocalStorage, Storage, StorageError
from tailrace.streams import record


@dataclass(frozen=True, slots=True)
class Tailrace:
    """Everything a running service is made of. It is also what every job is given as its resources."""

    settings: Settings
    database: Database
    storage: Storage
    mailer: Mailer
    kinds: Sequence[JobKind]
    secret: bytes
    base_url: str
    mail_from: str
    report_days: int
    event_days: int
    photos: PhotoSettings

    @property
    def unshared(self) -> list[Finding]:
        """Return a warning for each thing that only this machine has, if jobs run on others."""
        if self.settings.engine == "local":
            return []
        return find_unshared(self.storage, has_own_key=self.settings.secret is None)


def build(settings: Settings) -> Tailrace:
    """Make a service from its settings. Nothing is contacted yet, but the data folder.

    Raises SettingsError, with one sentence that names the cure, for what cannot work.
    """
    _check_engine(settings)
    prepare_folder(settings.data)
    return Tailrace(
        settings=settings,
        database=open_database(settings),
        storage=open_storage(settings),
        mailer=_mailer(settings),
        kinds=_kinds(),
        secret=load_secret(settings),
        base_url=settings.public_url,
        mail_from=settings.mail_from,
        report_days=settings.report_days,
        event_days=settings.event_days,
        photos=_photos(settings),
    )


def prepare_folder(data: Path) -> None:
    """Make the data folder, for this user's eyes alone. Raises SettingsError."""
    try:
        data.mkdir(mode=0o700, parents=True, exist_ok=True)
    except OSError as error:
        cure = "make it writable, or choose another with TAILRACE_DATA or --data"
        raise SettingsError(f"The data folder {data} cannot be made ({error.strerror}); {cure}.") from error


def open_database(settings: Settings) -> Database:
    """Return the database, whose commits also write the event log. Raises SettingsError."""
    try:
        return Database(settings.database_address, record=record)
    except ModuleNotFoundError as error:
        cure = "`make setup EXTRAS=postgres` installs it"
        raise SettingsError(f"PostgreSQL needs a driver that is not installed; {cure}.") from error
    except (ArgumentError, ValueError, OSError) as error:
        raise SettingsError(f"TAILRACE_DATABASE_URL cannot be used: {error}") from error


def open_storage(settings: Settings) -> Storage:
    """Return where files live. Raises SettingsError."""
    url = settings.storage_url or f"file://{settings.data.absolute() / 'files'}"
    try:
        if url.startswith("s3://"):
            return _s3(url, redirect=settings.s3_redirect)
        if settings.s3_redirect:
            raise SettingsError("TAILRACE_S3_REDIRECT needs an s3:// address in TAILRACE_STORAGE_URL: leave it out.")
        return LocalStorage(url.removeprefix("file://"))
    except (ValueError, StorageError) as error:
        raise SettingsError(f"TAILRACE_STORAGE_URL cannot be used: {error}") from error


def worker_app(*, rotates: bool = False) -> JobApp[Tailrace]:
    """Make what an engine and its worker processes need, from the environment they were started with.

    `rotates` is for the one that begins a new file when the log is full.
    """
    settings = load_settings()
    file = log_file(settings.data)
    configure_logging(level=settings.log_level, style=settings.log_format, file=file, rotates=rotates)
    tailrace = build(settings)
    return JobApp(tailrace.database, tailrace.kinds, tailrace)


def make_engine(tailrace: Tailrace, spec: str, *, queues: Sequence[str] = ()) -> Engine:
    """Return the engine that the settings choose; its worker processes load `spec` (`MODULE:NAME`).

    `queues` are those that it takes jobs from, all if none is named; the local engine always takes all.
    """
    settings, app = tailrace.settings, JobApp(tailrace.database, tailrace.kinds, tailrace)
    keep = timedelta(days=settings.job_days)
    if settings.broker_url is None:
        from tailrace.jobs.engines.local import LocalEngine

        return LocalEngine(app, spec, workers=settings.workers, keep=keep)
    from tailrace.jobs.engines.celery.engine import CeleryEngine

    return CeleryEngine(app, spec, broker_url=settings.broker_url, queues=queues, workers=settings.workers, keep=keep)


def _check_engine(settings: Settings) -> None:
    """Raise SettingsError unless the settings of the engine fit together and what it needs is installed."""
    broker = settings.broker_url
    if settings.engine == "local":
        if broker is not None:
            raise SettingsError("TAILRACE_BROKER_URL needs TAILRACE_ENGINE=celery: set that, or leave it out.")
        return
    if settings.database_address.startswith("sqlite"):
        cure = "set TAILRACE_DATABASE_URL=postgresql://…"
        raise SettingsError(f"TAILRACE_ENGINE=celery needs a database that many machines can share: {cure}.")
    if broker is None:
        cure = "set TAILRACE_BROKER_URL to redis://… or amqp://…"
        raise SettingsError(f"TAILRACE_ENGINE=celery needs a broker: {cure}.")
    if any(find_spec(name) is None for name in ("celery", *(["redis"] if broker.startswith("redis") else []))):
        cure = "`make setup EXTRAS=postgres,celery` installs them"
        raise SettingsError(f"TAILRACE_ENGINE=celery needs libraries that are not installed; {cure}.")


def _s3(url: str, *, redirect: bool) -> Storage:
    try:
        from tailrace.storage.s3 import S3Storage
    except ModuleNotFoundError as error:
        cure = "`make setup EXTRAS=s3` installs it"
        raise SettingsError(f"S3 storage needs a library that is not installed; {cure}.") from error
    return S3Storage(url, redirect=redirect)


def _mailer(settings: Settings) -> Mailer:
    if settings.mail_url == "file":
        return FileMailer(settings.data / "mails")
    try:
        return SmtpMailer(settings.mail_url)
    except ValueError as error:
        raise SettingsError(f"TAILRACE_MAIL_URL cannot be used: {error}") from error


def _photos(settings: Settings) -> PhotoSettings:
    thumb, small, large = map(int, settings.photo_sizes.split(","))
    return PhotoSettings(
        max_bytes=settings.photo_bytes,
        max_pixels=settings.photo_megapixels * 1_000_000,
        max_frames=settings.photo_frames,
        sizes=(thumb, small, large),
        quality=settings.photo_quality,
        trash_days=settings.photo_trash_days,
        upload_hours=settings.upload_hours,
    )


def _kinds() -> Sequence[JobKind]:
    kinds: list[Any] = discover_kinds("tailrace")
    check_kinds(kinds)
    return kinds
