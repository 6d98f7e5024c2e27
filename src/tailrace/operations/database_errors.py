"""What a database's refusal means to who runs Tailrace: the driver's reason in one line, and the cure."""

import re
import sqlite3

_LONGEST_REASON = 300
_SQLITE = "Check the disk, the rights on the file, and that TAILRACE_DATA, or TAILRACE_DATABASE_URL, names it."
_OTHERWISE = "Check {setting}, and that its server runs."
# By their words: until one is signed in, PostgreSQL's library tells no code of what went wrong.
_CURES = (
    (re.compile(r'database ".*" does not exist'), "Make that database on its server, or name another in {setting}."),
    (
        re.compile(r'authentication failed|no password supplied|role ".*" does not exist'),
        "Give the right name and password in {setting}.",
    ),
    (
        re.compile(r"refused|resolve host|No such file|timeout expired|timed out|No route|unreachable|closed the conn"),
        "Start its server, or give the right host and port in {setting}.",
    ),
)


def concerns_sqlite(error: Exception) -> bool:
    """Return whether an error of SQLAlchemy's, or of the file, is about a SQLite database rather than PostgreSQL."""
    return isinstance(_origin(error), sqlite3.Error | OSError)


def reason_of(error: Exception) -> str:
    """Return what the database's driver says, its first line."""
    origin = _origin(error)
    return str(origin).splitlines()[0][:_LONGEST_REASON] if str(origin) else type(error).__name__


def cure_of(error: Exception, *, setting: str = "TAILRACE_DATABASE_URL") -> str:
    """Return what to do about it, a sentence; `setting` is where a person gave PostgreSQL's address."""
    if concerns_sqlite(error):
        return _SQLITE
    words = str(_origin(error))
    fitting = (cure for pattern, cure in _CURES if pattern.search(words))
    return next(fitting, _OTHERWISE).format(setting=setting)


def _origin(error: Exception) -> BaseException:
    return getattr(error, "orig", None) or error
