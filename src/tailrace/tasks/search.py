"""Full-text search in titles and descriptions: FTS5 on SQLite, a GIN index on PostgreSQL.

Every word of a query must occur, or begin a word that occurs, whatever the case; SQLite also disregards accents. A
query has no operators: its words are taken out and everything else dropped, so none can be malformed.

The search table of SQLite holds no text of its own ("external content") and is kept by triggers, so no writer of tasks
can forget it. The same statements serve `create_all` and the migrations.
"""

import re
from collections.abc import Callable

from sqlalchemy import (
    DDL,
    ColumnElement,
    Integer,
    Table,
    column,
    event,
    false,
    func,
    literal_column,
    select,
    table,
    text,
)
from sqlalchemy.schema import ExecutableDDLElement

WORDS_MAX = 16
_WORD = re.compile(r"[^\W_]+")

_CREATE = {
    "sqlite": (
        """CREATE VIRTUAL TABLE task_search USING fts5(
            title, description, content='tasks', content_rowid='id', tokenize='unicode61 remove_diacritics 2')""",
        """CREATE TRIGGER task_search_insert AFTER INSERT ON tasks BEGIN
            INSERT INTO task_search(rowid, title, description) VALUES (new.id, new.title, new.description);
        END""",
        """CREATE TRIGGER task_search_delete AFTER DELETE ON tasks BEGIN
            INSERT INTO task_search(task_search, rowid, title, description)
            VALUES ('delete', old.id, old.title, old.description);
        END""",
        """CREATE TRIGGER task_search_update AFTER UPDATE OF title, description ON tasks BEGIN
            INSERT INTO task_search(task_search, rowid, title, description)
            VALUES ('delete', old.id, old.title, old.description);
            INSERT INTO task_search(rowid, title, description) VALUES (new.id, new.title, new.description);
        END""",
    ),
    "postgresql": (
        """CREATE INDEX tasks_by_words ON tasks
            USING gin (to_tsvector('simple'::regconfig, title || ' ' || description))""",
    ),
}
_DROP = {"sqlite": ("DROP TABLE IF EXISTS task_search",), "postgresql": ()}


def create_statements(dialect: str) -> tuple[str, ...]:
    """Return the SQL that adds search to the table `tasks`, for `sqlite` or `postgresql`."""
    return _CREATE[dialect]


def drop_statements(dialect: str) -> tuple[str, ...]:
    """Return the SQL that removes what goes not by itself with the table `tasks`."""
    return _DROP[dialect]


def attach(tasks: Table) -> None:
    """Let `create_all` and `drop_all` make and remove the search together with the table."""
    for dialect in _CREATE:
        for statement in create_statements(dialect):
            event.listen(tasks, "after_create", _ddl(statement, dialect))
        for statement in drop_statements(dialect):
            event.listen(tasks, "before_drop", _ddl(statement, dialect))


def _ddl(statement: str, dialect: str) -> ExecutableDDLElement:
    make: Callable[[str], DDL] = DDL
    return make(statement).execute_if(dialect=dialect)


def words_of(query: str) -> list[str]:
    """Return the words of a query that are searched for: 16 at most."""
    return _WORD.findall(query)[:WORDS_MAX]


def matches(tasks: Table, query: str, *, dialect: str) -> ColumnElement[bool]:
    """Return the condition that a row of `tasks` holds every word of `query`; without a word none does."""
    words = words_of(query)
    if not words:
        return false()
    if dialect == "sqlite":
        pattern = " ".join(f'"{word}"*' for word in words)
        found = select(column("rowid", Integer)).select_from(table("task_search"))
        return tasks.c.id.in_(found.where(column("task_search").match(pattern)))
    # Written as in the index, or PostgreSQL would not use it.
    document: ColumnElement[str] = literal_column(
        "to_tsvector('simple'::regconfig, tasks.title || ' ' || tasks.description)"
    )
    pattern = " & ".join(f"{word}:*" for word in words)
    return document.bool_op("@@")(func.to_tsquery(text("'simple'::regconfig"), pattern))
