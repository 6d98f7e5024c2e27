"""Real workers, whose decoders are killed, who are killed themselves, and who run into limits: no photo is lost."""

import json
import os
import signal
import threading
import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any

import psutil
import pytest

from tailrace.database import Database
from tailrace.jobs import Job, State, get_job
from tailrace.jobs.engines.local import EngineProcess
from tailrace.photos.keys import original_key
from tailrace.photos.models import Photo, PhotoState
from tests.conftest import database_at
from tests.photos import workers
from tests.photos.conftest import Album
from tests.photos.heavy_pictures import greedy, slow
from tests.photos.test_processing import files, look, renditions, upload
from tests.photos.uploading import jpeg

SOON_S = 90.0
TOO_MUCH = "This picture takes more than the {} of memory that it may to decode."


@pytest.fixture
def database(tmp_path: Path) -> Iterator[Database]:
    """Give a database that needs no server; what is tested here does not depend on it."""
    with database_at(f"sqlite:///{tmp_path / 'tailrace.db'}") as database:
        yield database


@pytest.fixture
def start(album: Album, monkeypatch: pytest.MonkeyPatch) -> Callable[..., Any]:
    """Give a function that runs an engine with two workers for a block; its arguments are settings of photos."""

    @contextmanager
    def run(count: int = 2, **settings: Any) -> Iterator[EngineProcess]:
        monkeypatch.setenv(workers.DATABASE, album.database.url.render_as_string(hide_password=False))
        monkeypatch.setenv(workers.FOLDER, str(album.storage.folder))
        monkeypatch.setenv(workers.SETTINGS, json.dumps(settings))
        engine = EngineProcess(workers.SPEC, workers=count)
        try:
            yield engine
        finally:
            left = decoders(engine.pid)
            engine.stop()
            assert psutil.wait_procs(left, timeout=SOON_S)[1] == []

    return run


def until(condition: Callable[[], Any]) -> Any:
    """Wait until `condition` gives something true, and return that."""
    deadline = time.monotonic() + SOON_S
    while not (result := condition()):
        assert time.monotonic() < deadline, "It did not happen in time."
        threading.Event().wait(0.02)
    return result


def ended(album: Album, photo_id: str) -> Photo:
    """Wait until a photo is ready or failed, and return it."""
    until(lambda: look(album, photo_id).state in {PhotoState.READY, PhotoState.FAILED})
    return look(album, photo_id)


def job_of(album: Album, photo_id: str) -> Job:
    """Return the job of a photo when it has come to an end."""

    def finished() -> Job | None:
        with album.database.read() as session:
            job = get_job(session, look(album, photo_id).job_id or "")
        return job if job.finished else None

    job: Job = until(finished)
    return job


def decoders(engine: int) -> list[psutil.Process]:
    """Return the decoders below an engine."""
    return [process for process in _below(engine) if "tailrace.photos.decoding.child" in _command(process)]


def worker_pids(engine: int) -> set[int]:
    return {process.pid for process in psutil.Process(engine).children()}


def _below(pid: int) -> list[psutil.Process]:
    try:
        return psutil.Process(pid).children(recursive=True)
    except psutil.NoSuchProcess:
        return []


def _command(process: psutil.Process) -> list[str]:
    try:
        return [] if process.status() == psutil.STATUS_ZOMBIE else process.cmdline()
    except psutil.Error:
        return []


def busy_decoder(engine: int, *, but: int = 0) -> psutil.Process | None:
    """Return a decoder that has begun to decode."""
    for process in decoders(engine):
        if process.pid != but and process.cpu_times().user > 0.3:
            return process
    return None


def test_a_picture_that_ends_its_decoder_twice_fails_with_a_reason_and_ends_no_worker(
    album: Album, start: Callable[..., Any]
) -> None:
    with start() as engine:
        until(lambda: len(worker_pids(engine.pid)) == 2)
        before = worker_pids(engine.pid)
        photo_id = upload(album, slow()).id
        first = until(lambda: busy_decoder(engine.pid))
        first.send_signal(signal.SIGSEGV)
        second = until(lambda: busy_decoder(engine.pid, but=first.pid))
        second.send_signal(signal.SIGSEGV)
        photo = ended(album, photo_id)
        assert photo.error is not None
        assert "was killed by SIGSEGV" in photo.error
        job = job_of(album, photo_id)
        assert (job.state, job.attempt, job.crashes) == (State.DISCARDED, 1, 0)
        assert files(album, photo_id) == [original_key(photo_id)]
        assert ended(album, upload(album, jpeg()).id).state == PhotoState.READY
        assert worker_pids(engine.pid) == before


def test_a_decoder_killed_once_costs_nothing_but_time(album: Album, start: Callable[..., Any]) -> None:
    with start() as engine:
        photo_id = upload(album, slow()).id
        until(lambda: busy_decoder(engine.pid)).kill()
        assert ended(album, photo_id).state == PhotoState.READY
        job = job_of(album, photo_id)
        assert (job.state, job.attempt, job.failures, job.crashes) == (State.COMPLETED, 1, 0, 0)


def test_a_worker_killed_while_its_picture_is_decoded_is_replaced_and_the_photo_gets_ready(
    album: Album, start: Callable[..., Any]
) -> None:
    with start(1) as engine:
        photo_id = upload(album, slow()).id
        until(lambda: busy_decoder(engine.pid))
        (worker,) = worker_pids(engine.pid)
        os.kill(worker, signal.SIGKILL)
        assert ended(album, photo_id).state == PhotoState.READY
        job = job_of(album, photo_id)
        assert (job.state, job.attempt, job.crashes) == (State.COMPLETED, 2, 1)
        assert len(files(album, photo_id)) == 4


def test_the_limit_on_time_fails_a_photo_with_a_sentence(album: Album, start: Callable[..., Any]) -> None:
    with start(decode_s=0.5) as engine:
        photo_id = upload(album, slow()).id
        photo = ended(album, photo_id)
        assert photo.error == "This picture takes more than the 0.5 s that it may to decode."
        job = job_of(album, photo_id)
        assert (job.state, job.attempt, job.crashes) == (State.DISCARDED, 1, 0)
        assert decoders(engine.pid) == []


def test_the_limit_on_memory_fails_a_photo_with_a_sentence(album: Album, start: Callable[..., Any]) -> None:
    with start(decode_mb=40):
        heavy = [upload(album, greedy(form, 5_000, 4_000)).id for form in ("png", "webp", "avif")]
        light = upload(album, jpeg()).id
        assert [ended(album, photo_id).error for photo_id in heavy] == [TOO_MUCH.format("40 MB")] * 3
        assert ended(album, light).state == PhotoState.READY
        assert {job_of(album, photo_id).crashes for photo_id in heavy} == {0}


def test_an_engine_that_stops_lets_go_of_a_picture_at_once_and_the_next_one_takes_it_up(
    album: Album, start: Callable[..., Any]
) -> None:
    with start() as engine:
        photo_id = upload(album, slow()).id
        until(lambda: busy_decoder(engine.pid))
        began = time.monotonic()
        engine.stop()
        assert time.monotonic() - began < 20
    assert look(album, photo_id).state == PhotoState.PROCESSING
    with start():
        assert ended(album, photo_id).state == PhotoState.READY
        assert (job_of(album, photo_id).failures, job_of(album, photo_id).crashes) == (0, 0)


def test_a_killed_engine_leaves_photos_that_the_next_one_finishes(album: Album, start: Callable[..., Any]) -> None:
    photo_ids = [upload(album, jpeg(400 + 8 * n, 300)).id for n in range(12)]
    with start() as engine:
        until(lambda: any(look(album, each).state == PhotoState.READY for each in photo_ids))
        os.kill(engine.pid, signal.SIGKILL)
    with start():
        assert {ended(album, each).state for each in photo_ids} == {PhotoState.READY}
    for photo_id in photo_ids:
        assert len(renditions(album, photo_id)) == 3
