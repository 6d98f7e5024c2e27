"""The ground under everything: one database, its transactions, and the news of a commit.

It knows nothing of jobs, streams or the service; they all stand on it. See
`docs/decisions/0001-database-lies-below.md`.
"""

from tailrace.database.clock import moment, present
from tailrace.database.doorbell import Listener
from tailrace.database.engine import Database, DatabaseBusy
from tailrace.database.lock import Hold, LockHeld, LockLost
from tailrace.database.publishing import Fact, Recorder, publish
from tailrace.database.types import Base, UTCDateTime, new_id, utcnow
from tailrace.database.upsert import upsert

__all__ = [
    "Base",
    "Database",
    "DatabaseBusy",
    "Fact",
    "Hold",
    "Listener",
    "LockHeld",
    "LockLost",
    "Recorder",
    "UTCDateTime",
    "moment",
    "new_id",
    "present",
    "publish",
    "upsert",
    "utcnow",
]
