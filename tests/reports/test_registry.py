"""A kind of report is one file; a mistake among them is noticed when the service starts."""

import sys
from pathlib import Path

import pytest

from tailrace.reports.registry import KINDS, BadReportKind, load_kinds

GOOD = """
from tailrace.reports.tables import table_kind
from tailrace.tasks.schemas import TaskFilters
KIND = table_kind(name={name!r}, title="T", filters=TaskFilters, table=None, count=None)
"""


@pytest.fixture
def package(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    folder = tmp_path / f"kinds_{tmp_path.name.replace('-', '_')}"
    folder.mkdir()
    (folder / "__init__.py").touch()
    monkeypatch.syspath_prepend(tmp_path)
    monkeypatch.setattr(sys, "dont_write_bytecode", True)
    return folder


def test_the_kinds_of_the_service_are_found() -> None:
    assert set(KINDS) == {"photos", "tasks"}


def test_a_new_kind_is_one_file(package: Path) -> None:
    (package / "weather.py").write_text(GOOD.format(name="weather"))
    assert set(load_kinds(package.name)) == {"weather"}


def test_a_name_that_is_taken_stops_the_start(package: Path) -> None:
    (package / "one.py").write_text(GOOD.format(name="weather"))
    (package / "two.py").write_text(GOOD.format(name="weather"))
    with pytest.raises(BadReportKind, match="'weather', which another module declares"):
        load_kinds(package.name)


def test_a_file_without_a_kind_stops_the_start(package: Path) -> None:
    (package / "empty.py").touch()
    with pytest.raises(BadReportKind, match=r"empty declares no KIND"):
        load_kinds(package.name)
