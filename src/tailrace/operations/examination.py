"""All that `tailrace doctor` and the page of health look at, in an order in which the first explains the rest."""

from collections.abc import Sequence
from pathlib import Path

from tailrace.database import Database
from tailrace.mailer import Mailer
from tailrace.operations import checks
from tailrace.operations.checks import Finding
from tailrace.storage import Storage


def examine(
    database: Database, storage: Storage, mailer: Mailer, *, folder: Path, unshared: Sequence[Finding]
) -> list[Finding]:
    """Return what was found about each part, among it `unshared`, what other machines would miss.

    `folder` is that of the data, whose disk needs room.
    """
    findings = [checks.check_database(database), checks.check_migrations(database)]
    findings += [*unshared, checks.check_storage(storage), checks.check_mail(mailer), checks.check_disk(folder)]
    # Without the schema there is nothing to ask about.
    if findings[1].state == "ok":
        findings += [checks.check_clock(database), checks.check_engine(database), checks.check_queues(database)]
    return findings
