"""Spreadsheets hold every row as it is, run nothing, and say so when there are too many."""

import io
import json
import resource
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import openpyxl  # type: ignore[import-untyped]
import pytest

from tailrace.jobs import State
from tailrace.reports import spreadsheet
from tailrace.reports.schemas import ReportState
from tailrace.storage import StorageUnavailable
from tailrace.streams import Chunk
from tests.reports.conftest import AddKind, World

DANGEROUS = [
    "=1+1",
    "+1",
    "-1",
    "@SUM(A1)",
    '=HYPERLINK("http://evil")',
    "http://example.org",
    "{=1}",
    "\ttab",
    "007",
    "1e9",
    "<r>&amp;</r>",
    '<r></r></is></c><c r="C2"><f>HYPERLINK("http://evil","x")</f></c><c r="Z2" t="inlineStr"><is><r><t>x</t></r>',
    "<r><t>one </t></r> <r>two</r>",
]


def make(rows: list[dict[str, Any]], columns: list[str], **options: int) -> Any:
    return make_of([Chunk(b"".join(json.dumps(row).encode() + b"\n" for row in rows), len(rows))], columns, **options)


def make_of(chunks: list[Chunk], columns: list[str], **options: int) -> Any:
    written: list[bytes] = []
    told: list[int] = []
    rows = spreadsheet.write_spreadsheet(chunks, columns, write=written.append, on_rows=told.append, **options)
    assert told[-1] == rows
    return openpyxl.load_workbook(io.BytesIO(b"".join(written))).active


def test_a_report_opens_as_a_spreadsheet_with_every_task(world: World) -> None:
    titles = ["ümläut ✓", *(title.strip() for title in DANGEROUS)]
    world.add_tasks(*titles)
    report_id = world.ask(format="xlsx")
    world.run()
    report = world.look(report_id)
    assert (report.state, report.rows_total) == (ReportState.READY, len(titles))
    sheet = openpyxl.load_workbook(io.BytesIO(world.read(report_id))).active
    header, *rows = sheet.iter_rows(values_only=True)
    assert [row[header.index("title")] for row in rows] == titles
    assert [row[header.index("id")] for row in rows] == list(range(1, len(titles) + 1))


def test_an_empty_report_has_its_header(world: World) -> None:
    report_id = world.ask(format="xlsx")
    world.run()
    (header,) = openpyxl.load_workbook(io.BytesIO(world.read(report_id))).active.iter_rows(values_only=True)
    assert header[:3] == ("id", "project", "title")


@pytest.mark.parametrize("text", DANGEROUS)
def test_no_text_becomes_a_formula_a_link_or_a_number(text: str) -> None:
    sheet = make([{"a": text}], ["a"])
    cell = sheet["A2"]
    assert (cell.value, cell.data_type, cell.hyperlink) == (text, "s", None)
    assert sheet.dimensions == "A1:A2"


@pytest.mark.parametrize("text", DANGEROUS)
def test_no_name_of_a_column_becomes_more_than_text(text: str) -> None:
    cells = list(make([{text: 1}], [text]).iter_cols())
    assert [[cell.value for cell in column] for column in cells] == [[text, 1]]


def test_values_keep_their_kinds() -> None:
    sheet = make([{"a": 7, "b": 1.5, "c": None, "d": True, "e": "", "f": ["x", "ü"]}], ["a", "b", "c", "d", "e", "f"])
    assert [cell.value for cell in sheet[2]][:4] == [7, 1.5, None, True]
    assert sheet["F2"].value == '["x", "ü"]'


def test_a_text_that_no_cell_can_hold_is_cut_visibly() -> None:
    value = make([{"a": "x" * 40_000}], ["a"])["A2"].value
    assert len(value) == spreadsheet.MAX_TEXT
    assert value.startswith("xxx")
    assert "cut off here" in value


def test_lines_that_cross_chunks_are_whole() -> None:
    data = b"".join(json.dumps({"a": f"ü{number}"}, ensure_ascii=False).encode() + b"\n" for number in range(50))
    chunks = [Chunk(data[start : start + 7], 0) for start in range(0, len(data), 7)]
    sheet = make_of(chunks, ["a"])
    assert [row[0] for row in sheet.iter_rows(min_row=2, values_only=True)] == [f"ü{number}" for number in range(50)]


def test_too_many_rows_fail_at_once_with_a_way_out(world: World, add_kind: AddKind) -> None:
    add_kind("many", count=lambda *_: spreadsheet.MAX_ROWS)
    report_id = world.ask(kind="many", format="xlsx")
    job = world.run()[0]
    assert job.state is State.DISCARDED
    error = world.look(report_id).error or ""
    assert error.startswith("A spreadsheet holds 1,048,575 rows")
    assert "ask for csv" in error
    assert "1,048,576 rows" in error


def test_a_table_that_is_longer_than_a_sheet_is_never_cut_silently() -> None:
    assert make([{"a": 1}] * 2, ["a"], max_rows=3).max_row == 3
    with pytest.raises(spreadsheet.TooManyRows):
        make([{"a": 1}] * 3, ["a"], max_rows=3)


def test_a_full_temporary_folder_is_told_and_leaves_nothing(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    def endless() -> Iterator[Chunk]:
        line = json.dumps({"a": "x" * 30_000}).encode() + b"\n"
        while True:
            yield Chunk(line, 1)

    written: list[bytes] = []
    told: list[int] = []
    soft, hard = resource.getrlimit(resource.RLIMIT_FSIZE)
    monkeypatch.setattr("tempfile.tempdir", str(tmp_path))
    resource.setrlimit(resource.RLIMIT_FSIZE, (1 << 20, hard))
    try:
        with pytest.raises(StorageUnavailable, match="folder for temporary files"):
            spreadsheet.write_spreadsheet(endless(), ["a"], write=written.append, on_rows=told.append)
    finally:
        resource.setrlimit(resource.RLIMIT_FSIZE, (soft, hard))
    assert list(tmp_path.iterdir()) == []
