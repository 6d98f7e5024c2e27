"""Tables that the database encodes."""

import csv
import io
import json
from datetime import UTC, date, datetime
from typing import Any

import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st
from sqlalchemy import JSON, LargeBinary, Text, cast, delete, false, func, select

from tailrace.database import Database
from tailrace.streams import Chunk, Format, TableQuery, encode_table
from tests.streams.things import Row, put, query, text_of, things

pytestmark = pytest.mark.conformance("database", by="address")

MOMENT = datetime(2026, 2, 3, 4, 5, 6, 70, UTC)
EVERY_KIND: Row = {
    "id": 1,
    "kind": 0,
    "title": 'say "hi",\r\nünï 🎈 100% \\n',
    "note": "",
    "weight": 0.1,
    "done": True,
    "due_on": date(2026, 2, 3),
    "made_at": MOMENT,
    "extra": {"a": [1, None, "ü"]},
}
NOTHING: Row = dict.fromkeys(EVERY_KIND) | {"id": 2, "kind": 0, "title": ""}

texts = st.text(st.characters(exclude_characters="\0", exclude_categories=["Cs"]))


@pytest.fixture
def table(database: Database) -> Database:
    put(database, [])
    return database


def encode(database: Database, wanted: TableQuery, file_format: Format, *, guard: bool = False) -> list[Chunk]:
    with database.snapshot() as connection:
        return list(encode_table(connection, wanted, file_format, guard=guard))


def whole(chunks: list[Chunk]) -> str:
    return b"".join(chunk.data for chunk in chunks).decode()


def read_csv(text: str) -> list[list[str]]:
    return list(csv.reader(io.StringIO(text, newline=""), strict=True))


def test_csv_of_every_kind(table: Database) -> None:
    put(table, [EVERY_KIND, NOTHING])
    header, *rows = read_csv(whole(encode(table, query(), "csv")))
    assert header == ["id", "title", "note", "weight", "done", "due_on", "made_at", "extra"]
    assert rows[0][:3] == ["1", EVERY_KIND["title"], ""]
    assert (float(rows[0][3]), rows[0][4:7]) == (0.1, ["true", "2026-02-03", "2026-02-03T04:05:06.000070Z"])
    assert json.loads(rows[0][7]) == EVERY_KIND["extra"]
    assert rows[1] == ["2", *[""] * 7]


def test_csv_tells_an_empty_text_from_nothing(table: Database) -> None:
    put(table, [EVERY_KIND, NOTHING])
    plain = TableQuery(select(things.c.id.label("id"), things.c.note.label("note")), things.c.id)
    assert whole(encode(table, plain, "csv")) == 'id,note\n1,""\n2,\n'


def test_json_lines_of_every_kind(table: Database) -> None:
    put(table, [EVERY_KIND, NOTHING])
    first, second = map(json.loads, whole(encode(table, query(), "jsonl")).splitlines())
    shown = {name: value for name, value in EVERY_KIND.items() if name != "kind"}
    assert first == shown | {"due_on": "2026-02-03", "made_at": "2026-02-03T04:05:06.000070Z"}
    assert second == dict.fromkeys(shown) | {"id": 2, "title": ""}
    assert list(first) == list(shown)


@settings(max_examples=40, deadline=None, suppress_health_check=[HealthCheck.function_scoped_fixture])
@given(rows=st.lists(st.tuples(texts, st.none() | texts), max_size=5))
def test_any_text_comes_back_from_both_formats(table: Database, rows: list[tuple[str, str | None]]) -> None:
    with table.write() as session:
        session.execute(delete(things))
    put(table, [{"id": number, "title": title, "note": note} for number, (title, note) in enumerate(rows)])
    columns = (things.c.id.label("id"), things.c.title.label("title"), things.c.note.label('a "note", indeed'))
    wanted = TableQuery(select(*columns), things.c.id)
    expected = [[str(number), title, text_of(note)] for number, (title, note) in enumerate(rows)]
    assert read_csv(whole(encode(table, wanted, "csv"))) == [["id", "title", 'a "note", indeed'], *expected]
    lines = whole(encode(table, wanted, "jsonl")).split("\n")[:-1]
    assert [list(json.loads(line).values()) for line in lines] == [
        [number, title, note] for number, (title, note) in enumerate(rows)
    ]


def test_an_empty_table_has_its_header(table: Database) -> None:
    assert encode(table, query(), "jsonl") == [Chunk(b"", 0)]
    assert whole(encode(table, query(), "csv")) == "id,title,note,weight,done,due_on,made_at,extra\n"


def test_chunks_are_whole_lines_the_first_small_the_others_large(table: Database) -> None:
    put(table, [{"id": number, "title": f"thing {number}", "note": "n" * 50} for number in range(-5000, 5000)])
    chunks = encode(table, query(), "csv")
    assert sum(chunk.rows for chunk in chunks) == 10_000
    assert all(chunk.data.endswith(b"\n") for chunk in chunks)
    assert len(chunks[0].data) < 10_000
    assert all(64 * 1024 <= len(chunk.data) < 256 * 1024 for chunk in chunks[1:-1])
    assert [int(row[0]) for row in read_csv(whole(chunks))[1:]] == list(range(-5000, 5000))


def test_parts_follow_each_other_and_filters_hold(table: Database) -> None:
    hostile = "x' ; -- 100% \\ :name %(name)s"
    put(table, [{"id": n, "kind": n % 3, "title": hostile if n % 2 else "other"} for n in range(3000)])
    wanted = query(things.c.kind == 2, things.c.kind.in_([0, 7]))
    wanted = TableQuery(wanted.select.where(things.c.title == hostile), wanted.key, wanted.parts)
    ids = [int(row[0]) for row in read_csv(whole(encode(table, wanted, "csv")))[1:]]
    assert ids == [n for n in range(3000) if n % 3 == 2 and n % 2] + [n for n in range(3000) if n % 3 == 0 and n % 2]


def test_a_part_that_no_row_fulfils_is_passed_over(table: Database) -> None:
    put(table, [{"id": 1, "kind": 3, "title": "one"}])
    wanted = query(things.c.kind.in_([]), false(), things.c.kind == 5, things.c.kind == 3)
    assert [chunk.rows for chunk in encode(table, wanted, "csv")] == [1]


def test_an_outer_join_may_make_nothing_of_a_required_column(table: Database) -> None:
    put(table, [{"id": 1, "kind": 1, "title": "one"}, {"id": 2, "kind": 9, "title": "two"}])
    other = things.alias("other")
    joined = select(things.c.id.label("id"), other.c.title.label("title")).select_from(
        things.outerjoin(other, other.c.id == things.c.kind)
    )
    assert whole(encode(table, TableQuery(joined, things.c.id), "csv")) == 'id,title\n1,"one"\n2,\n'


@pytest.mark.parametrize("start", ["=", "+", "-", "@", "\t", "\r"])
def test_the_guard_disarms_formulas(table: Database, start: str) -> None:
    formula = f"{start}cmd|' /C calc'!A0"
    put(table, [{"id": 1, "title": formula, "note": formula}, {"id": 2, "title": "a=b", "note": None}])
    rows = read_csv(whole(encode(table, query(), "csv", guard=True)))[1:]
    assert [row[1:3] for row in rows] == [["'" + formula, "'" + formula], ["a=b", ""]]
    assert read_csv(whole(encode(table, query(), "csv")))[1][1] == formula
    assert json.loads(whole(encode(table, query(), "jsonl", guard=True)).splitlines()[0])["title"] == formula


def test_a_column_without_a_text_form_is_refused(table: Database) -> None:
    raw: Any = cast(things.c.title, LargeBinary).label("raw")
    with pytest.raises(ValueError, match="'raw'"):
        encode(table, TableQuery(select(raw), things.c.id), "csv")


def test_all_pages_are_of_one_state_of_the_database(table: Database) -> None:
    put(table, [{"id": number, "title": "old"} for number in range(3000)])
    with table.snapshot() as connection:
        chunks = encode_table(connection, query(), "csv")
        first = next(chunks)
        with table.write() as session:
            session.execute(things.update().values(title="new"))
        rest = list(chunks)
    assert "new" not in whole([first, *rest])
    assert sum(chunk.rows for chunk in [first, *rest]) == 3000


def test_a_snapshot_that_is_left_midway_leaves_a_usable_database(table: Database) -> None:
    put(table, [{"id": number, "title": "x" * 100} for number in range(20_000)])
    for _ in range(3):
        with table.snapshot() as connection:
            chunks = encode_table(connection, query(), "csv")
            assert next(chunks).rows
            assert next(chunks).rows
            chunks.close()
    assert sum(chunk.rows for chunk in encode(table, query(), "csv")) == 20_000


def test_a_row_that_cannot_be_encoded_is_no_end(table: Database) -> None:
    put(table, [{"id": number, "title": "?" if number == 15_000 else "{}"} for number in range(20_000)])
    parsed: Any = func.json(things.c.title) if table.is_sqlite else cast(things.c.title, JSON)
    wanted = TableQuery(select(things.c.id, cast(parsed, Text).label("parsed")), things.c.id)
    with table.snapshot() as connection:
        chunks = encode_table(connection, wanted, "csv")
        assert next(chunks).rows
        with pytest.raises(Exception, match=r"(?i)json"):
            list(chunks)
    assert sum(chunk.rows for chunk in encode(table, query(), "csv")) == 20_000
