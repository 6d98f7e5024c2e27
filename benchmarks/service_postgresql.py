"""`/reports.csv` of the real service on PostgreSQL: beside `psql` and COPY on the same rows, and its first byte.

python -m benchmarks.service_postgresql [--quick]

The server is a new one of its own. The peer is `psql` writing the same SELECT, so the same bytes, to standard output;
beside it stands the COPY that one would write by hand, whose moments and dates are in PostgreSQL's own form.
"""

import argparse
import os
import statistics
import tempfile
from pathlib import Path

from sqlalchemy import text

from benchmarks.export import count_lines, fetch, first_byte_ms, peak_megabytes, seconds
from benchmarks.service import EMAIL, running_service, tailrace
from tailrace.accounts.principal import Principal
from tailrace.bootstrap import open_database
from tailrace.settings import load_settings
from tailrace.streams.tables_postgresql import copy_statements
from tailrace.tasks import service as tasks
from tailrace.tasks.schemas import TaskFilters
from tests.services import PostgresServer

GOAL = 0.9
DEMO = 20_000
COLUMNS = (
    "project_id, title, description, status, priority, assignee_id, due, labels, version, created_by_id, created_at"
)
BY_HAND = """COPY (
    SELECT tasks.id, projects.name AS project, title, status, priority, email AS assignee, due, labels,
        tasks.created_at, tasks.updated_at
    FROM tasks JOIN projects ON projects.id = project_id LEFT JOIN users ON users.id = assignee_id ORDER BY tasks.id
) TO STDOUT (FORMAT csv, HEADER)"""


def main() -> None:
    """Fill a service with tasks, and measure."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--quick", action="store_true", help="a small run, to see that it works")
    quick = parser.parse_args().quick
    server = PostgresServer()
    try:
        os.environ["TAILRACE_DATABASE_URL"] = server.start()
        with tempfile.TemporaryDirectory() as folder, running_service(Path(folder, "data")) as (url, process):
            data = Path(folder, "data")
            tailrace(data, "user", "create", EMAIL, "--admin", "--password-stdin", stdin="correct horse battery")
            token = tailrace(data, "token", "create", EMAIL).strip()
            tailrace(data, "demo", "--tasks", str(DEMO), "--user", EMAIL)
            statement = prepare(0 if quick else 49)
            headers = [f"Authorization: Bearer {token}"]
            print(f"first byte     {first_byte_ms(f'{url}/reports.csv', headers):12.1f} ms")
            ours = fetch(f"{url}/reports.csv", *(option for header in headers for option in ("-H", header)))
            psql = [str(server.programs / "psql"), "-X", "-d", server.url, "-c"]
            compare(ours, [*psql, statement], [*psql, BY_HAND], 1 if quick else 7)
            print(f"peak memory    {peak_megabytes(process):12.1f} MB")
    finally:
        server.remove()


def prepare(copies: int) -> str:
    """Multiply the demo's tasks, and return the COPY that makes the bytes of the export."""
    database = open_database(load_settings())
    with database.write() as session:
        again = f"INSERT INTO tasks ({COLUMNS}, updated_at) SELECT {COLUMNS}, updated_at FROM tasks"
        session.execute(text(f"{again} CROSS JOIN generate_series(1, {copies})"))
    with database.engine.connect().execution_options(isolation_level="AUTOCOMMIT") as connection:
        connection.execute(text("VACUUM ANALYZE"))
    with database.read() as session:
        query = tasks.task_table(session, Principal(1, EMAIL, EMAIL, True, "token"), TaskFilters())
        (statement,) = copy_statements(session.connection(), query)
    database.dispose()
    return statement


def compare(ours: list[str], same: list[str], by_hand: list[str], repeat: int) -> None:
    """Print the rows a second of the service and its peers, each the median of runs that take turns."""
    rows = count_lines(ours) - 1
    assert count_lines(same) == rows
    times = [tuple(seconds(command) for command in (ours, same, by_hand)) for _ in range(repeat)]
    service, psql, plain = (rows / statistics.median(column) for column in zip(*times, strict=True))
    print(f"service        {service:12,.0f} rows/s   ({rows:,} rows)")
    print(f"psql COPY      {psql:12,.0f} rows/s   ratio {service / psql:.2f}, goal {GOAL}")
    print(f"COPY by hand   {plain:12,.0f} rows/s   ratio {service / plain:.2f}")


if __name__ == "__main__":
    main()
