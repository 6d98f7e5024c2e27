"""A site with photos: people, a project with a task, and what stands between bytes in storage and a photo."""

import hashlib
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import pytest

from tailrace.database import Database, new_id
from tailrace.jobs import Job, enqueue
from tailrace.jobs.testing import run_jobs
from tailrace.photos import jobs, receiving
from tailrace.photos.inspection import Picture
from tailrace.photos.keys import original_key, rendition_key
from tailrace.photos.models import Photo, PhotoRendition, PhotoState, RenditionName
from tailrace.photos.routes import router
from tailrace.photos.schemas import PhotoStarted
from tailrace.photos.settings import PhotoSettings
from tailrace.storage import LocalStorage
from tailrace.streams import START, Event, read_events
from tests.features import Person, Site, ok


@dataclass
class Resources:
    """What the jobs of photos are given."""

    storage: LocalStorage
    photos: PhotoSettings


@dataclass
class Album:
    """Ann manages a project, Bob works in it, Vic looks at it, Eve is no member, and Ada administers."""

    site: Site
    storage: LocalStorage
    settings: PhotoSettings
    people: dict[str, Person]
    project_id: int
    task_id: int

    @property
    def database(self) -> Database:
        return self.site.database

    def __getattr__(self, name: str) -> Person:
        """Return the person of that name."""
        try:
            return self.people[name]
        except KeyError:
            raise AttributeError(name) from None

    def add_task(self, title: str = "Mend the weir") -> int:
        path = f"/projects/{self.project_id}/tasks"
        return int(ok(self.ann.client.post(path, json={"title": title}), 201)["id"])

    def new(self, data: bytes, task_id: int | None, **known: Any) -> receiving.NewPhoto:
        """Store bytes as an upload does, without anybody knowing them yet; what they show is taken on trust."""
        photo_id = new_id()
        with self.storage.write(original_key(photo_id)) as writer:
            writer.write(data)
        picture = Picture("jpeg", "image/jpeg", 4000, 3000, 1)
        about = {"name": "DSC_0001.jpg", "picture": picture, "bytes": len(data), "sha256": writer.sha256}
        return receiving.NewPhoto(id=photo_id, task_id=task_id, **{**about, **known})

    def add(self, who: Person, data: bytes, *, task_id: int | None = 0, **known: Any) -> PhotoStarted:
        """Upload a photo to the task, to another, or (None) to none."""
        new = self.new(data, self.task_id if task_id == 0 else task_id, **known)
        return receiving.finish(self.database, self.storage, who.principal, new)

    def finish(self, photo_id: str, **changes: Any) -> None:
        """Make a photo ready, with renditions, as its job does."""
        with self.database.write() as session:
            photo = session.get_one(Photo, photo_id)
            photo.state = PhotoState.READY
            for field, value in changes.items():
                setattr(photo, field, value)
            for name, size in zip(RenditionName, self.settings.sizes, strict=True):
                key = rendition_key(photo_id, photo.job_id or "", 1, name)
                data = f"{name} of {photo_id}".encode()
                with self.storage.write(key) as writer:
                    writer.write(data)
                made = {"bytes": len(data), "sha256": hashlib.sha256(data).hexdigest(), "storage_key": key}
                session.add(PhotoRendition(photo_id=photo_id, name=name, width=size, height=size * 3 // 4, **made))

    def fail(self, photo_id: str, error: str = "The picture is cut off.") -> None:
        """Have a photo failed, as its job does."""
        with self.database.write() as session:
            photo = session.get_one(Photo, photo_id)
            photo.state, photo.error = PhotoState.FAILED, error

    def keep_up(self) -> list[Job]:
        """Run the upkeep now, and what it enqueues, but no processing."""
        with self.database.write() as session:
            enqueue(session, jobs.keep_photos)
        return self.run()

    def run(self) -> list[Job]:
        """Run the jobs that remove and keep up."""
        resources = Resources(self.storage, self.settings)
        return run_jobs(self.database, [jobs.keep_photos, jobs.remove_files], resources)

    def stored_keys(self) -> list[str]:
        return sorted(self.storage.keys())

    def events(self, channel: str | None = None) -> list[Event]:
        with self.database.read() as session:
            return read_events(session, channels=[channel or f"project:{self.project_id}"], after=START, limit=1000)


@pytest.fixture
def database(either_database: Database) -> Database:
    return either_database


@pytest.fixture
def album(database: Database, tmp_path: Path) -> Album:
    site = Site(database)
    storage, settings = LocalStorage(tmp_path / "files"), PhotoSettings()
    site.app.state.storage, site.app.state.photos = storage, settings
    site.app.include_router(router)
    people = {name: site.person(name.title(), is_admin=name == "ada") for name in ("ann", "bob", "vic", "eve", "ada")}
    project_id = site.project(people["ann"], roles={"member": people["bob"], "viewer": people["vic"]})
    made = people["ann"].client.post(f"/projects/{project_id}/tasks", json={"title": "Paint the gate"})
    return Album(site, storage, settings, people, project_id, int(ok(made, 201)["id"]))
