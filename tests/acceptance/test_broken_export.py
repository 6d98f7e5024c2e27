"""An export that breaks midway looks broken: the database fails for real, under every middleware of the service."""

import csv
import subprocess
from collections import Counter
from pathlib import Path

import pytest

from tests.acceptance.conftest import TASKS, Installation

pytestmark = pytest.mark.acceptance
PAGE = 4096


def test_curl_tells_a_cut_export_from_a_whole_one(installation: Installation, tmp_path: Path) -> None:
    whole = tmp_path / "whole.csv"
    assert curl(installation, whole) == 0
    assert whole.read_bytes().count(b"\n") == TASKS + 1
    with whole.open(newline="") as file:
        titles = [row["title"] for row in csv.DictReader(file)]
    installation.service.stop()
    spoil_pages_of(installation.service.data / "tailrace.db", a_title_of_one_task(titles[TASKS // 2 :]))
    installation.restart()
    cut = tmp_path / "cut.csv"
    assert curl(installation, cut) == 18
    assert 0 < cut.stat().st_size < whole.stat().st_size
    assert whole.read_bytes().startswith(cut.read_bytes())


def curl(installation: Installation, target: Path) -> int:
    authorization = f"Authorization: Bearer {installation.token}"
    command = ["curl", "-sS", "-o", str(target), "-H", authorization, f"{installation.service.url}/reports.csv"]
    return subprocess.run(command, check=False, stderr=subprocess.DEVNULL).returncode


def a_title_of_one_task(titles: list[str]) -> bytes:
    counts = Counter(titles)
    return next(title for title in titles if counts[title] == 1).encode()


def spoil_pages_of(database: Path, text: bytes) -> None:
    """Overwrite the pages of the database that hold `text`, of the table and of its indexes, as a bad disk does."""
    content = database.read_bytes()
    offset = -1
    with database.open("r+b") as file:
        while (offset := content.find(text, offset + 1)) >= 0:
            file.seek(offset // PAGE * PAGE)
            file.write(b"\xff" * PAGE)
