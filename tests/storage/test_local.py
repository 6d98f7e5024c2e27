"""What is particular to a folder: leftovers, and disks that fail."""

import os
import resource
import shutil
import subprocess
import sys
import time
from collections.abc import Iterator
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path

import pytest

from tailrace.storage import LocalStorage, StorageFull, StorageUnavailable, Writer


@pytest.fixture
def storage(tmp_path: Path) -> LocalStorage:
    return LocalStorage(tmp_path / "storage")


@pytest.fixture
def tiny_disk(tmp_path: Path) -> Iterator[Path]:
    folder = tmp_path / "disk"
    folder.mkdir()
    mount = ["mount", "-t", "tmpfs", "-o", "size=1m", "tailrace-test", str(folder)]
    if shutil.which("mount") is None or subprocess.run(mount, capture_output=True, check=False).returncode != 0:
        pytest.skip("only root may mount a tiny disk to fill")
    yield folder
    subprocess.run(["umount", str(folder)], check=True)


def test_sweeping_removes_what_nobody_has_written_to_for_half_an_hour(storage: LocalStorage) -> None:
    incoming = storage.folder / ".incoming"
    with storage.write("a") as writer:
        writer.write(b"1")
        (incoming / "forgotten").write_bytes(b"half")
        long_ago = time.time() - 1801
        os.utime(incoming / "forgotten", (long_ago, long_ago))
        assert storage.sweep() == 1
        assert not (incoming / "forgotten").exists()
    assert list(storage.keys()) == ["a"]


def test_an_abandoned_write_is_swept_and_never_listed(storage: LocalStorage) -> None:
    code = (
        "import os, sys; from tailrace.storage import LocalStorage\n"
        "with LocalStorage(sys.argv[1]).write('a') as writer:\n    writer.write(b'half'); os._exit(9)"
    )
    assert subprocess.run([sys.executable, "-c", code, storage.folder], check=False).returncode == 9
    (left,) = (storage.folder / ".incoming").iterdir()
    assert list(storage.keys()) == []
    os.utime(left, (0, 0))
    assert storage.sweep() == 1


def test_a_folder_that_empties_goes_with_its_last_object(storage: LocalStorage) -> None:
    with storage.write("reports/2026/a") as writer:
        writer.write(b"1")
    storage.delete("reports/2026/a")
    assert [path.name for path in storage.folder.iterdir()] == [".incoming"]


@pytest.mark.parametrize("keys", [["a/b/c/1", "a/b/c/2", "a/b/c/3", "a/b/c/4"], ["a/b/c/1"] * 4], ids=["own", "shared"])
def test_writes_go_on_while_deletes_remove_the_folders_they_share(storage: LocalStorage, keys: list[str]) -> None:
    def come_and_go(key: str) -> None:
        for _ in range(200):
            with storage.write(key) as writer:
                writer.write(b"1")
            storage.delete(key)

    with ThreadPoolExecutor(len(keys)) as threads:
        list(threads.map(come_and_go, keys))
    assert list(storage.keys()) == []
    assert not (storage.folder / "a").exists()
    assert list((storage.folder / ".incoming").iterdir()) == []


def test_a_new_file_and_the_way_to_it_outlive_a_power_cut(
    storage: LocalStorage, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Flushed are its bytes before it has its name, every folder that got a new one, and last the one that has it."""
    target = storage.folder / "photos" / "1" / "original"
    flushed: list[tuple[Path, bool]] = []
    flush = os.fsync

    def note(descriptor: int) -> None:
        flush(descriptor)
        flushed.append((Path(os.readlink(f"/proc/self/fd/{descriptor}")), target.exists()))

    monkeypatch.setattr(os, "fsync", note)
    with storage.write("photos/1/original") as writer:
        writer.write(b"picture")
    (file, named), *folders = flushed
    assert (file.parent.name, named) == (".incoming", False)
    assert folders[-1] == (target.parent, True)
    assert {folder for folder, _ in folders} == {target.parent, target.parent.parent, storage.folder}


def test_files_are_for_the_service_alone(storage: LocalStorage) -> None:
    with storage.write("reports/a") as writer:
        writer.write(b"1")
    assert (storage.folder / "reports/a").stat().st_mode & 0o077 == 0
    assert storage.folder.stat().st_mode & 0o077 == 0


def write_two_megabytes(writer: Writer) -> None:
    for _ in range(32):
        writer.write(bytes(65536))


def test_a_full_disk_is_told_and_leaves_what_was_there(tiny_disk: Path) -> None:
    storage = LocalStorage(tiny_disk)
    with storage.write("kept") as writer:
        writer.write(b"kept")
    with pytest.raises(StorageFull, match="is full: make room"), storage.write("big") as writer:
        write_two_megabytes(writer)
    assert list(storage.keys()) == ["kept"]
    with storage.write("small") as writer:
        writer.write(bytes(65536))
    assert storage.size("small") == 65536


def test_a_file_that_may_not_grow_further_is_told(storage: LocalStorage) -> None:
    code = (
        "import sys; from tailrace.storage import LocalStorage, StorageFull\n"
        "try:\n    with LocalStorage(sys.argv[1]).write('a') as writer:\n"
        "        while True: writer.write(bytes(65536))\n"
        "except StorageFull as error: print(error)"
    )

    def limit() -> None:
        resource.setrlimit(resource.RLIMIT_FSIZE, (1 << 20, 1 << 20))

    command = [sys.executable, "-B", "-c", code, str(storage.folder)]
    done = subprocess.run(command, preexec_fn=limit, capture_output=True, text=True, check=True)
    assert "size limit" in done.stdout
    assert list((storage.folder / ".incoming").iterdir()) == []


def test_a_folder_that_vanished_is_told_and_not_made_anew(storage: LocalStorage) -> None:
    shutil.rmtree(storage.folder)
    for use in (storage.check, storage.sweep, lambda: list(storage.keys()), lambda: storage.size("a")):
        with pytest.raises(StorageUnavailable, match="is gone"):
            use()
    with pytest.raises(StorageUnavailable, match="is gone"), storage.write("a"):
        pass
    assert not storage.folder.exists()


def replace_by_a_file(folder: Path) -> None:
    shutil.rmtree(folder)
    folder.write_text("a file in its place")


def test_a_folder_that_vanishes_midway_fails_the_write(storage: LocalStorage) -> None:
    with pytest.raises(StorageUnavailable, match="is gone"), storage.write("a"):
        replace_by_a_file(storage.folder)


def test_a_folder_that_is_read_only_is_told(tiny_disk: Path) -> None:
    storage = LocalStorage(tiny_disk)
    subprocess.run(["mount", "-o", "remount,ro", str(tiny_disk)], check=True)
    with pytest.raises(StorageUnavailable, match="is not writable"):
        storage.check()
    subprocess.run(["mount", "-o", "remount,rw", str(tiny_disk)], check=True)
    storage.check()


def test_a_place_that_is_no_folder_is_refused_at_once(tmp_path: Path) -> None:
    (tmp_path / "file").touch()
    with pytest.raises(StorageUnavailable, match="no folder"):
        LocalStorage(tmp_path / "file")
