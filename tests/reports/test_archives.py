"""An archive is written as it is made, however many files it has and however large they are."""

import subprocess
import sys
import textwrap
import zipfile
from pathlib import Path

import pytest

from tailrace.reports.archives import csv_line

ARCHIVE = textwrap.dedent("""
    import hashlib, os, sys
    from pathlib import Path
    import psutil
    from tailrace.reports.archives import Archive
    from tailrace.storage import LocalStorage
    from tailrace.storage.local import READ_SIZE

    folder, count, size = Path(sys.argv[1]), int(sys.argv[2]), int(sys.argv[3])
    storage = LocalStorage(folder)
    with storage.write("photos/1/original") as writer:
        for _ in range(size // 65536):
            writer.write(bytes(65536))
        writer.write(b"x" * (size % 65536))
    process, zeros = psutil.Process(), bytes(READ_SIZE)
    most = before = process.memory_info().rss
    with (folder / "out.zip").open("wb") as out:
        def write(data):
            # A hole for zeros: the archive need not fit the disk.
            out.seek(len(data), 1) if data == zeros else out.write(data)
        archive = Archive(write)
        for number in range(count):
            archive.add_stored(f"{number}.jpg", storage, "photos/1/original", size=size, sha256=writer.sha256)
            if number % 100 == 0 or size > 1_000_000:
                most = max(most, process.memory_info().rss)
        archive.finish()
    print(max(most, process.memory_info().rss) - before)
""")


def make_archive(folder: Path, *, count: int, size: int) -> int:
    """Write an archive in a process of its own, and return by how many bytes its memory grew."""
    command = [sys.executable, "-c", ARCHIVE, str(folder), str(count), str(size)]
    done = subprocess.run(command, capture_output=True, text=True, check=True, timeout=300)
    return int(done.stdout)


def test_memory_does_not_grow_with_the_files(tmp_path: Path) -> None:
    size = 16 * 1024 * 1024
    assert make_archive(tmp_path, count=20, size=size) < size


@pytest.mark.acceptance
def test_an_archive_of_over_four_gigabytes_takes_no_more_memory_and_can_be_read(tmp_path: Path) -> None:
    size = 45 * 1024 * 1024 + 1
    grown = make_archive(tmp_path, count=100, size=size)
    assert grown < 16 * 1024 * 1024
    path = tmp_path / "out.zip"
    assert path.stat().st_size > 2**32
    with zipfile.ZipFile(path) as archive:
        last = archive.infolist()[-1]
        assert (len(archive.infolist()), last.file_size, last.header_offset > 2**32) == (100, size, True)
        with archive.open(last) as file:
            assert sum(len(piece) for piece in iter(lambda: file.read(1 << 20), b"")) == size


@pytest.mark.acceptance
def test_an_archive_of_over_65535_files_can_be_read(tmp_path: Path) -> None:
    grown = make_archive(tmp_path, count=70_000, size=5)
    # The directory at the end of an archive names every file, which takes about half a kilobyte for each.
    assert grown < 70_000 * 1024
    with zipfile.ZipFile(tmp_path / "out.zip") as archive:
        assert len(archive.infolist()) == 70_000
        assert archive.read("69999.jpg") == b"xxxxx"
    listed = subprocess.run(["unzip", "-tq", str(tmp_path / "out.zip")], capture_output=True, text=True, check=False)
    assert (listed.returncode, "No errors detected" in listed.stdout) == (0, True), listed.stdout[-500:]


def test_a_line_of_csv_is_guarded_and_quoted() -> None:
    assert csv_line(["a", None, 5, "=1+1", 'say "x", y', "\r", "two\nlines"]) == (
        b'"a",,5,"\'=1+1","say ""x"", y","\'\r","two\nlines"\n'
    )
