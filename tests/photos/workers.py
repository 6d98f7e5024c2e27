"""What the worker processes of the tests of photos load: its jobs, on the database and folder that are named."""

import json
import os
from dataclasses import dataclass

from tailrace.database import Database
from tailrace.jobs import JobApp
from tailrace.photos import jobs
from tailrace.photos.settings import PhotoSettings
from tailrace.storage import LocalStorage
from tailrace.streams import record
from tests.conftest import import_models

SPEC = "tests.photos.workers:make_app"
DATABASE, FOLDER, SETTINGS = "TESTS_PHOTOS_DATABASE", "TESTS_PHOTOS_FOLDER", "TESTS_PHOTOS_SETTINGS"


@dataclass(frozen=True)
class Resources:
    """What the jobs of photos are given."""

    storage: LocalStorage
    photos: PhotoSettings


def make_app() -> JobApp[Resources]:
    """Make the application, with the settings that differ from the default."""
    import_models()
    settings = PhotoSettings(**json.loads(os.environ[SETTINGS]))
    resources = Resources(LocalStorage(os.environ[FOLDER]), settings)
    kinds = [jobs.process_photo, jobs.processing_failed]
    return JobApp(Database(os.environ[DATABASE], record=record), kinds, resources)
