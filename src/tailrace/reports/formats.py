"""The formats of a report."""

from enum import StrEnum


class Format(StrEnum):
    """A format that a report can be made in; which of them a kind has, the kind says."""

    CSV = "csv"
    JSONL = "jsonl"
    XLSX = "xlsx"
    ZIP = "zip"


MEDIA_TYPES = {
    Format.CSV: "text/csv; charset=utf-8",
    Format.JSONL: "application/x-ndjson",
    Format.XLSX: "application/vnd.openxmlformats-officedocument.spreadsheetml.sheet",
    Format.ZIP: "application/zip",
}
