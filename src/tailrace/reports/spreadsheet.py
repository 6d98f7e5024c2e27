"""A table as an Excel workbook (ECMA-376), row by row in bounded memory.

Every text stays text: nothing becomes a formula or a link, whatever it begins with.
"""

import json
import os
import shutil
import stat
import tempfile
import time
from collections.abc import Callable, Iterable, Iterator
from contextlib import suppress
from datetime import timedelta
from pathlib import Path
from typing import Any

from xlsxwriter import Workbook  # type: ignore[import-untyped]  # the library has annotations, but no marker
from xlsxwriter.exceptions import XlsxFileError  # type: ignore[import-untyped]
from xlsxwriter.worksheet import Worksheet  # type: ignore[import-untyped]

from tailrace.storage import StorageUnavailable
from tailrace.streams import Chunk

# The sizes of a sheet and of a cell, from Excel's specifications and limits.
MAX_ROWS = 1_048_576
MAX_TEXT = 32_767
_CUT = " … (cut off here: a spreadsheet cell holds no more, CSV does)"
_PREFIX = "tailrace-xlsx-"
_READ_SIZE = 1024 * 1024
_ROWS_BETWEEN_NEWS = 500


class TooManyRows(Exception):
    """A spreadsheet holds 1,048,575 rows below its header: narrow the filters, or ask for csv."""

    def __init__(self) -> None:
        super().__init__(self.__doc__)


def write_spreadsheet(
    chunks: Iterable[Chunk],
    columns: list[str],
    *,
    write: Callable[[bytes], None],
    on_rows: Callable[[int], None],
    max_rows: int = MAX_ROWS,
) -> int:
    """Write the rows, which come as JSON Lines, below a header of `columns`, and return how many they were.

    `on_rows` is told their number now and then. The workbook is made in a temporary file, for its directory of parts
    comes last, and then handed to `write`. Raises TooManyRows, or StorageUnavailable for the temporary file.
    """
    with tempfile.TemporaryDirectory(prefix=_PREFIX) as folder:
        path = Path(folder) / "report.xlsx"
        try:
            rows = _make(path, _limited(_parse(chunks), max_rows), columns, on_rows)
        except (OSError, XlsxFileError) as error:
            raise StorageUnavailable(f"The folder for temporary files, {folder}, cannot be used: {error}") from error
        with path.open("rb") as file:
            while piece := file.read(_READ_SIZE):
                write(piece)
    return rows


def remove_leftovers(*, older_than: timedelta) -> int:
    """Remove what killed processes of this user left in the folder for temporary files, and return how many."""
    removed = 0
    for folder in Path(tempfile.gettempdir()).glob(f"{_PREFIX}*"):
        # One that disappears meanwhile was removed by its maker or another process.
        with suppress(OSError):
            if _is_leftover(folder.lstat(), time.time() - older_than.total_seconds()):
                shutil.rmtree(folder)
                removed += 1
    return removed


def _is_leftover(status: os.stat_result, oldest: float) -> bool:
    # Others may write there too, and put anything under such a name.
    return stat.S_ISDIR(status.st_mode) and status.st_uid == os.geteuid() and status.st_mtime < oldest


class _TextSheet(Worksheet):  # type: ignore[misc]  # see the import
    """A sheet without rich text: for the library any text that looks like `<r>…</r>` is some, and goes in unescaped."""

    def _xml_rich_inline_string(self, string: str, attributes: list[tuple[str, Any]]) -> None:
        self._xml_inline_string(string, preserve=True, attributes=attributes)


def _make(path: Path, values: Iterable[dict[str, Any]], columns: list[str], on_rows: Callable[[int], None]) -> int:
    options = {
        "constant_memory": True,
        "tmpdir": str(path.parent),
        "strings_to_formulas": False,
        "strings_to_urls": False,
        "strings_to_numbers": False,
    }
    workbook = Workbook(str(path), options)
    workbook.use_zip64()
    sheet = workbook.add_worksheet(worksheet_class=_TextSheet)
    try:
        rows = _fill(workbook, sheet, values, columns, on_rows)
    except BaseException:
        # Left open by the library, which would put a workbook together from what is there.
        sheet.row_data_fh.close()
        raise
    workbook.close()
    return rows


def _fill(
    workbook: Workbook,
    sheet: Worksheet,
    values: Iterable[dict[str, Any]],
    columns: list[str],
    on_rows: Callable[[int], None],
) -> int:
    bold = workbook.add_format({"bold": True})
    for index, name in enumerate(columns):
        sheet.write_string(0, index, name, bold)
    sheet.freeze_panes(1, 0)
    rows = 0
    for row in values:
        rows += 1
        for index, name in enumerate(columns):
            _write_cell(sheet, rows, index, row[name])
        if rows % _ROWS_BETWEEN_NEWS == 0:
            on_rows(rows)
    on_rows(rows)
    return rows


def _parse(chunks: Iterable[Chunk]) -> Iterator[dict[str, Any]]:
    rest = b""
    for chunk in chunks:
        *lines, rest = (rest + chunk.data).split(b"\n")
        yield from map(json.loads, lines)
    if rest:
        yield json.loads(rest)


def _limited(values: Iterable[dict[str, Any]], max_rows: int) -> Iterator[dict[str, Any]]:
    # The header is a row too.
    for number, row in enumerate(values, start=2):
        if number > max_rows:
            raise TooManyRows
        yield row


def _write_cell(sheet: Worksheet, row: int, column: int, value: Any) -> None:
    if value is None:
        return
    if isinstance(value, bool):
        sheet.write_boolean(row, column, value)
    elif isinstance(value, int | float):
        sheet.write_number(row, column, value)
    else:
        text = value if isinstance(value, str) else json.dumps(value, ensure_ascii=False)
        sheet.write_string(row, column, text if len(text) <= MAX_TEXT else text[: MAX_TEXT - len(_CUT)] + _CUT)
