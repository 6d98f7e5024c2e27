"""A copy is the same, goes on after any interruption, and is not taken into use before it is whole."""

from collections.abc import Iterator
from contextlib import contextmanager
from typing import Any

import pytest
from sqlalchemy import func, insert, select, text

from tailrace.copying import CopyDiffers, CopyError, Files, copy_installation
from tailrace.copying import tables as copied_tables
from tailrace.database import Base, Database, utcnow
from tailrace.migrations import HEAD, UnfinishedCopyError, current_revision, migrate
from tailrace.storage import LocalStorage
from tailrace.streams import read_events
from tests.copying.conftest import TASKS, Move, Told


def rows_of(database: Database, name: str) -> list[tuple[Any, ...]]:
    table = Base.metadata.tables[name]
    with database.read() as session:
        return sorted((tuple(row) for row in session.execute(select(table))), key=str)


def everything_in(database: Database) -> dict[str, list[tuple[Any, ...]]]:
    return {name: rows_of(database, name) for name in Base.metadata.tables}


def change(database: Database, statement: str, **values: object) -> None:
    with database.write() as session:
        session.execute(text(statement), values)


def test_everything_arrives_and_the_old_one_stays_as_it_is(move: Move) -> None:
    before = everything_in(move.source)
    told = move.run()
    assert everything_in(move.source) == before
    after = everything_in(move.target)
    changed = {"jobs", "job_engines", "events"}
    assert {name: after[name] for name in after if name not in changed} == {
        name: before[name] for name in before if name not in changed
    }
    assert told.verified_rows == {name: len(rows) for name, rows in before.items()} | {"objects": 3}
    assert told.verified_rows["tasks"] == TASKS
    assert sorted(move.new_files.keys()) == sorted(move.old_files.keys())
    for key in sorted(move.old_files.keys()):
        assert b"".join(move.new_files.read(key)) == b"".join(move.old_files.read(key))
    assert current_revision(move.target) == HEAD


def test_jobs_that_were_running_are_available_and_no_engine_is_left(move: Move) -> None:
    with move.source.write() as session:
        engine = {"id": "gone", "host": "old", "pid": 1, "adapter": "local", "workers": 2, "queues": [], "leads": True}
        engines = Base.metadata.tables["job_engines"]
        session.execute(insert(engines), {**engine, "started_at": utcnow(), "seen_at": utcnow()})
    move.run()
    states = {row[2]["report_id"]: row[5] for row in rows_of(move.target, "jobs")}
    assert states == {"available": "available", "running": "available", "completed": "completed"}
    assert rows_of(move.target, "job_engines") == []
    assert {row[5] for row in rows_of(move.source, "jobs")} == {"available", "running", "completed"}


def test_events_keep_their_places_and_new_ones_come_after_them(move: Move) -> None:
    with move.source.read() as session:
        old = read_events(session, limit=1000)
    move.run()
    change(move.target, "INSERT INTO events (channel, name, data, at) VALUES ('a', 'new', '{}', now())")
    with move.target.read() as session:
        new = read_events(session, limit=1000)
        # A client that comes back with the id of the last event it had from SQLite.
        after = read_events(session, after=old[-1].cursor, limit=1000)
    assert [event.id for event in new[: len(old)]] == [event.id for event in old]
    assert [event.name for event in after] == ["state", "new"]


def test_new_rows_get_numbers_that_were_never_given_out(move: Move) -> None:
    with move.source.write() as session:
        highest = session.scalar(select(func.max(Base.metadata.tables["tasks"].c.id)))
        session.execute(text("DELETE FROM tasks WHERE id = :id"), {"id": highest})
    move.run()
    columns = "project_id, title, description, status, priority, labels, version, created_by_id, created_at, updated_at"
    with move.target.write() as session:
        new = session.scalar(
            text(f"INSERT INTO tasks ({columns}) SELECT {columns} FROM tasks ORDER BY id LIMIT 1 RETURNING id")
        )
    assert new == highest + 1


def test_the_words_of_tasks_are_found(move: Move) -> None:
    change(move.source, "UPDATE tasks SET title = 'Unmistakable walrus' WHERE id = 7")
    move.run()
    with move.target.read() as session:
        found = "to_tsvector('simple'::regconfig, title || ' ' || description) @@ to_tsquery('simple', 'walrus')"
        assert list(session.scalars(text(f"SELECT id FROM tasks WHERE {found}"))) == [7]


class Unplugged(Exception):
    """The copy was interrupted."""


class UnpluggedAt(Told):
    """A progress that ends the copy after the first page of one table."""

    def __init__(self, table: str) -> None:
        super().__init__()
        self._table = table

    def advance(self, done: int) -> None:
        super().advance(done)
        if self._what == self._table:
            raise Unplugged


def interrupt(move: Move, table: str, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(copied_tables, "PAGE_ROWS", 100)
    files = Files(move.old_files, move.new_files, "s3://test/copy")
    with pytest.raises(Unplugged):
        copy_installation(move.source, move.target, files, UnpluggedAt(table))


def test_a_copy_goes_on_where_it_was_interrupted(move: Move, monkeypatch: pytest.MonkeyPatch) -> None:
    interrupt(move, "tasks", monkeypatch)
    with pytest.raises(UnfinishedCopyError, match="half-done copy"):
        migrate(move.target)
    told = move.run()
    assert told.notes == ["The target holds a half-done copy of this installation, which goes on."]
    assert told.advanced["tasks"] == [200, 300]
    assert "users" not in told.advanced
    assert rows_of(move.target, "tasks") == rows_of(move.source, "tasks")


def test_objects_that_arrived_need_not_come_again(move: Move, monkeypatch: pytest.MonkeyPatch) -> None:
    interrupt(move, "objects", monkeypatch)
    move.put("reports/4/1.csv", b"new")
    move.old_files.delete("reports/1/1.csv")
    told = move.run()
    assert told.verified_rows["objects"] == 3
    assert sorted(move.new_files.keys()) == sorted(move.old_files.keys())


def test_a_source_that_changed_meanwhile_is_copied_afresh(move: Move, monkeypatch: pytest.MonkeyPatch) -> None:
    interrupt(move, "task_comments", monkeypatch)
    change(move.source, "UPDATE tasks SET title = 'Changed since' WHERE id = 3")
    change(move.source, "DELETE FROM tasks WHERE id = 4")
    told = move.run()
    assert "tasks arrived differently" in told.notes[1]
    assert "copied afresh" in told.notes[1]
    assert rows_of(move.target, "tasks") == rows_of(move.source, "tasks")
    assert rows_of(move.target, "task_labels") == rows_of(move.source, "task_labels")


def test_a_row_that_arrives_changed_is_found(move: Move, monkeypatch: pytest.MonkeyPatch) -> None:
    interrupt(move, "users", monkeypatch)
    change(
        move.target,
        "CREATE FUNCTION damage() RETURNS trigger LANGUAGE plpgsql AS"
        " $$ BEGIN IF NEW.id = 77 THEN NEW.title := NEW.title || '!'; END IF; RETURN NEW; END $$",
    )
    change(move.target, "CREATE TRIGGER damage BEFORE INSERT ON tasks FOR EACH ROW EXECUTE FUNCTION damage()")
    with pytest.raises(CopyDiffers, match="The table tasks arrived differently: 300 rows with digest"):
        move.run()
    with pytest.raises(UnfinishedCopyError):
        migrate(move.target)


class DamagingStorage(LocalStorage):
    """A disk that keeps one byte wrong."""

    @contextmanager
    def write(self, key: str) -> Iterator[Any]:
        with super().write(key) as writer:
            yield writer
        path = self.folder / key
        path.write_bytes(path.read_bytes().replace(b"id", b"di"))


def test_an_object_that_arrives_changed_is_found(move: Move) -> None:
    damaging = DamagingStorage(move.old_files.folder.with_name("damaged"))
    with pytest.raises(CopyDiffers, match=r"The object reports/1/1.csv arrived differently: 5 bytes with SHA-256"):
        move.run(damaging)


def test_an_object_that_shrank_since_it_arrived_is_found(move: Move, monkeypatch: pytest.MonkeyPatch) -> None:
    interrupt(move, "objects", monkeypatch)
    known = next(iter(move.new_files.keys()))
    with move.new_files.write(known) as writer:
        writer.write(b"short")
    with move.target.engine.begin() as connection:
        row = {"key": known, "bytes": move.old_files.size(known), "sha256": "0" * 64}
        connection.execute(text("DELETE FROM tailrace_copy_objects WHERE key = :key"), row)
        connection.execute(text("INSERT INTO tailrace_copy_objects VALUES (:key, :bytes, :sha256)"), row)
    with pytest.raises(CopyDiffers, match=rf"The object {known} arrived differently"):
        move.run()


@pytest.mark.parametrize(
    ("statement", "reason"),
    [
        ("UPDATE tasks SET title = 'a' || char(0) || 'b' WHERE id = 5", "NUL"),
        ("UPDATE tasks SET title = printf('%.400c', 'x') WHERE id = 5", "value too long"),
    ],
)
def test_a_row_that_postgresql_refuses_is_named(move: Move, statement: str, reason: str) -> None:
    change(move.source, statement)
    with pytest.raises(CopyError, match=rf"refuses a row of tasks \(.*{reason}.*Correct it in the source"):
        move.run()
    change(move.source, "UPDATE tasks SET title = 'Correct' WHERE id = 5")
    move.run()
    assert rows_of(move.target, "tasks") == rows_of(move.source, "tasks")


def test_a_target_in_use_is_refused(move: Move) -> None:
    migrate(move.target)
    change(move.target, "INSERT INTO mails SELECT 'a', 'b', 'c', 'd', 'e', '{}', 'sent', NULL, NULL, now(), NULL")
    with pytest.raises(CopyError, match="The target is not empty, it has rows in mails"):
        move.run()


def test_a_database_of_somebody_else_is_refused(move: Move) -> None:
    change(move.target, "CREATE TABLE invoices (id integer)")
    with pytest.raises(CopyError, match="it has a table invoices"):
        move.run()


def test_a_storage_in_use_is_refused(move: Move) -> None:
    with move.new_files.write("reports/9/1.csv") as writer:
        writer.write(b"somebody's")
    with pytest.raises(CopyError, match=r"s3://test/copy is not empty, it holds reports/9/1\.csv"):
        move.run()


def test_a_half_done_copy_of_another_installation_is_refused(move: Move, monkeypatch: pytest.MonkeyPatch) -> None:
    interrupt(move, "users", monkeypatch)
    change(move.target, "UPDATE tailrace_copy SET source = '/srv/other/tailrace.db'")
    with pytest.raises(CopyError, match=r"a half-done copy of /srv/other/tailrace\.db: go on with that one"):
        move.run()


def test_a_copy_goes_on_with_the_storage_that_it_was_begun_with(move: Move, monkeypatch: pytest.MonkeyPatch) -> None:
    interrupt(move, "users", monkeypatch)
    with pytest.raises(CopyError, match="This copy was begun with --to-storage s3://test/copy"):
        copy_installation(move.source, move.target, None, Told())


def test_files_may_stay_where_they_are(move: Move) -> None:
    told = Told()
    copy_installation(move.source, move.target, None, told)
    assert "objects" not in told.verified_rows
    assert rows_of(move.target, "tasks") == rows_of(move.source, "tasks")


def test_two_copies_at_once_are_refused(move: Move) -> None:
    class Second(Told):
        def begin(self, what: str, total: int) -> None:
            super().begin(what, total)
            with pytest.raises(CopyError, match="Another `tailrace copy` works on this target"):
                copy_installation(other, move.target, None, Told())

    other = Database(f"sqlite:///{move.old_files.folder.with_name('other.db')}")
    migrate(other)
    copy_installation(move.source, move.target, None, Second())
    other.dispose()


def test_a_source_with_an_engine_is_refused(move: Move) -> None:
    with move.source.hold("engine"), pytest.raises(CopyError, match="stop the service, then copy"):
        move.run()


def test_a_source_of_another_version_is_refused(move: Move) -> None:
    with move.source.write() as session:
        session.execute(text("UPDATE alembic_version SET version_num = '0001'"))
    with pytest.raises(CopyError, match="The source is at revision 0001, not"):
        move.run()


def test_a_table_that_nobody_knows_is_not_left_behind_in_silence(move: Move) -> None:
    change(move.source, "CREATE TABLE plugin_notes (id INTEGER)")
    with pytest.raises(CopyError, match="does not know: plugin_notes"):
        move.run()


def test_the_target_is_postgresql(move: Move) -> None:
    with pytest.raises(CopyError, match="The target is PostgreSQL"):
        copy_installation(move.source, Database(f"sqlite:///{move.old_files.folder}/x.db"), None, Told())
