"""What can happen to a copy on the way: it looks whole only if it is, says why not, and goes on when that is mended."""

import os
import secrets
import shutil
import signal
import subprocess
import tempfile
from collections.abc import Callable, Iterator
from dataclasses import replace
from pathlib import Path
from urllib.parse import parse_qs, urlsplit

import psycopg
import pytest
from sqlalchemy import make_url
from sqlalchemy.exc import OperationalError

from tailrace.copying import CopyError
from tailrace.copying import tables as copied_tables
from tailrace.database import Base, Database
from tailrace.migrations import COPYING, HEAD, UnfinishedCopyError, current_revision, migrate
from tailrace.storage import LocalStorage, StorageError, StorageFull
from tailrace.storage.s3 import S3Storage
from tests.copying.conftest import TASKS, Move, Told
from tests.copying.refusing import refusing
from tests.copying.test_installation import change, rows_of
from tests.services import PostgresServer, s3_keys, s3_url

OBJECTS = 40


class At(Told):
    """A progress that does something once, when the copy has come to the first page of a table, or to the objects."""

    def __init__(self, what: str, action: Callable[[], object]) -> None:
        super().__init__()
        self._where, self._action = what, action

    def advance(self, done: int) -> None:
        super().advance(done)
        if self._what == self._where:
            self._where = ""
            self._action()


@pytest.fixture(autouse=True)
def _small_pages(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(copied_tables, "PAGE_ROWS", 100)


@pytest.fixture
def own_server() -> Iterator[PostgresServer]:
    server = PostgresServer()
    yield server
    server.remove()


@pytest.fixture
def tiny_disk() -> Iterator[Path]:
    """Give a disk of 16 MB that anybody may write to."""
    folder = Path(tempfile.mkdtemp(prefix="tailrace-tiny-"))
    mount = ["mount", "-t", "tmpfs", "-o", "size=16m,mode=777", "tailrace-test", str(folder)]
    if shutil.which("mount") is None or subprocess.run(mount, capture_output=True, check=False).returncode != 0:
        pytest.skip("only root may mount a tiny disk to fill")
    yield folder
    subprocess.run(["umount", "--lazy", str(folder)], check=True)
    folder.rmdir()


def on(server: PostgresServer, move: Move, database: str = "postgres") -> Move:
    """Return the same move, to a database of another server."""
    url = make_url(server.url).set(drivername="postgresql+psycopg", database=database)
    return replace(move, target=Database(url))


def check_whole(move: Move, told: Told | None = None) -> None:
    """Compare everything but what a move changes: running jobs, and the event that tells of them."""
    assert told is None or told.verified_rows["tasks"] == TASKS
    assert current_revision(move.target) == HEAD
    for name in Base.metadata.tables.keys() - {"jobs", "job_engines", "events"}:
        assert rows_of(move.target, name) == rows_of(move.source, name)
    keys = sorted(move.old_files.keys())
    assert sorted(move.new_files.keys()) == keys
    for key in keys:
        assert b"".join(move.new_files.read(key)) == b"".join(move.old_files.read(key))


@pytest.mark.parametrize("what", ["users", "task_comments", "objects"])
def test_a_source_that_changes_while_it_is_copied_is_noticed(move: Move, what: str) -> None:
    """Whether what was changed had been copied already or not: in neither case would it be in the copy."""
    rename = "UPDATE projects SET name = 'Renamed meanwhile'"
    with pytest.raises(CopyError, match="was changed while it was copied: leave it alone, and run the same command"):
        move.run(told=At(what, lambda: change(move.source, rename)))
    with pytest.raises(UnfinishedCopyError):
        migrate(move.target)
    check_whole(move, move.run())
    assert {row[1] for row in rows_of(move.target, "projects")} == {"Renamed meanwhile"}


def test_who_only_reads_the_source_does_not_disturb(move: Move) -> None:
    check_whole(move, move.run(told=At("tasks", lambda: rows_of(move.source, "tasks"))))


def test_a_copy_that_is_whole_says_so_to_one_who_begins_again(move: Move) -> None:
    """As one does who saw it killed, and cannot know that this was in its last moment."""
    move.run()
    before = rows_of(move.target, "tasks")
    with pytest.raises(CopyError, match=r"has held the whole copy .* since \d{4}-\d\d-\d\d \d\d:\d\d UTC: start Tail"):
        move.run()
    assert rows_of(move.target, "tasks") == before


@pytest.mark.parametrize("what", ["tasks", "objects"])
def test_a_copy_goes_on_after_its_postgresql_was_killed(move: Move, own_server: PostgresServer, what: str) -> None:
    own_server.start()
    move = on(own_server, move)
    with pytest.raises((CopyError, OperationalError)) as caught:
        move.run(told=At(what, lambda: own_server.stop(signal.SIGKILL)))
    assert "Correct it in the source" not in str(caught.value)
    own_server.start()
    move.target.dispose()
    assert current_revision(move.target) == COPYING
    told = move.run()
    assert told.notes == ["The target holds a half-done copy of this installation, which goes on."]
    check_whole(move, told)
    move.target.dispose()


def test_a_copy_goes_on_after_the_disk_of_its_postgresql_was_full(
    move: Move, own_server: PostgresServer, tiny_disk: Path
) -> None:
    folder = tiny_disk / "tablespace"
    folder.mkdir()
    shutil.chown(folder, "nobody")  # Who may mount is root, and as root PostgreSQL does not run.
    with psycopg.connect(own_server.start(), autocommit=True) as connection:
        connection.execute(f"CREATE TABLESPACE tiny LOCATION '{folder}'".encode())
        connection.execute("CREATE DATABASE small TABLESPACE tiny")
    move = on(own_server, move, "small")
    migrate(move.target)
    filler = tiny_disk / "filler"
    with pytest.raises((CopyError, OperationalError), match="No space left on device") as caught:
        move.run(told=At("users", lambda: fill(filler)))
    assert "Correct it in the source" not in str(caught.value)
    filler.unlink()
    assert current_revision(move.target) == COPYING
    check_whole(move, move.run())
    move.target.dispose()


def test_a_copy_goes_on_after_the_disk_for_its_files_was_full(move: Move, tiny_disk: Path) -> None:
    move = replace(move, new_files=LocalStorage(tiny_disk / "files"))
    filler = tiny_disk / "filler"
    with pytest.raises(StorageFull):
        move.run(told=At("users", lambda: fill(filler)))
    filler.unlink()
    check_whole(move, move.run())


def test_a_copy_goes_on_after_s3_refused_in_the_middle(move: Move) -> None:
    for number in range(OBJECTS):
        move.put(f"photos/{number}/original", os.urandom(100))
    parts = urlsplit(s3_url())
    (endpoint,) = parse_qs(parts.query)["endpoint"]
    with refusing(endpoint, after_writes=OBJECTS // 2) as proxy:
        keys = s3_keys()
        storage = S3Storage(
            f"s3://{parts.netloc}/refusing-{secrets.token_hex(4)}?endpoint={proxy.endpoint}",
            access_key_id=keys["AWS_ACCESS_KEY_ID"],
            secret_access_key=keys["AWS_SECRET_ACCESS_KEY"],
        )
        move = replace(move, new_files=storage)
        with pytest.raises(StorageError, match="The bucket 'test' refused the access key"):
            move.run()
        assert 0 < len(list(storage.keys())) < OBJECTS
        with pytest.raises(UnfinishedCopyError):
            migrate(move.target)
        proxy.writes = OBJECTS
        # Those that had arrived do not come again.
        check_whole(move, move.run())
        assert proxy.writes > OBJECTS // 4


def fill(filler: Path) -> None:
    """Leave no room on the disk."""
    with filler.open("wb", buffering=0) as file:
        try:
            while True:
                file.write(bytes(4096))
        except OSError:
            return
