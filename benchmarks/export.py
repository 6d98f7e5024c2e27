r"""A table over HTTP as CSV: against the sqlite3 shell, against the plain pattern, and in memory.

    python benchmarks/export.py            the whole measurement: a few minutes, 1 GB in a temporary folder
    python benchmarks/export.py --quick    whether it runs
    python benchmarks/export.py --url http://127.0.0.1:8000/reports.csv --header "Authorization: Bearer …" \
        --database tailrace-data/tailrace.db --query "SELECT …" --pid 4711
                                           a running service, against its own database

Each figure is the median of several runs that take turns, so what else the machine does meanwhile falls on all alike.
"""

import argparse
import contextlib
import csv
import io
import socket
import sqlite3
import statistics
import subprocess
import sys
import tempfile
import time
from collections.abc import Iterator
from pathlib import Path
from urllib.parse import urlsplit

import psutil
import uvicorn
from fastapi import FastAPI
from sqlalchemy import Column, Date, Integer, MetaData, Table, Text, select
from starlette.responses import Response, StreamingResponse

from tailrace.database import Database, UTCDateTime
from tailrace.streams import StreamGuard, TableQuery, TableStream

PLAIN_ROWS = 50_000
GOAL_OF_SHELL = 0.8
GOAL_OF_PLAIN = 80
GOAL_MEGABYTES = 10
GOAL_FIRST_BYTE_MS = 10

tasks = Table(
    "tasks",
    MetaData(),
    Column("id", Integer, primary_key=True),
    Column("project_id", Integer, nullable=False),
    Column("title", Text, nullable=False),
    Column("status", Text, nullable=False),
    Column("priority", Integer, nullable=False),
    Column("assignee_id", Integer),
    Column("due_on", Date),
    Column("labels", Text, nullable=False),
    Column("created_at", UTCDateTime, nullable=False),
    Column("completed_at", UTCDateTime),
)
FILL = """
WITH RECURSIVE numbers(n) AS (SELECT 1 UNION ALL SELECT n + 1 FROM numbers WHERE n < ?)
INSERT INTO tasks SELECT
    n, n % 20 + 1, 'Repair the pump "' || (n % 97) || '" in hall ' || (n % 13) || ', before winter',
    CASE n % 3 WHEN 0 THEN 'todo' WHEN 1 THEN 'doing' ELSE 'done' END, n % 4, iif(n % 3, n % 50, NULL),
    iif(n % 2, date('2026-01-01', (n % 365) || ' days'), NULL), 'pump,hall',
    datetime('2026-01-01', (n % 9999) || ' minutes') || '.123456',
    iif(n % 5, NULL, datetime('2026-02-01', (n % 9999) || ' minutes') || '.654321')
FROM numbers
"""
SHELL_QUERY = "SELECT * FROM tasks ORDER BY id"


def make_app(path: str) -> FastAPI:
    database = Database(f"sqlite:///{path}")
    columns = [column.label(column.name) for column in tasks.c]
    app = FastAPI()
    app.add_middleware(StreamGuard)

    @app.get("/table.csv")
    def table() -> Response:
        return TableStream(database, TableQuery(select(*columns), tasks.c.id), "csv", filename="tasks.csv")

    @app.get("/plain.csv")
    def plain() -> Response:
        return StreamingResponse(plain_rows(database), media_type="text/csv")

    return app


def plain_rows(database: Database) -> Iterator[str]:
    buffer = io.StringIO()
    writer = csv.DictWriter(buffer, [column.name for column in tasks.c])
    writer.writeheader()
    with database.read() as session:
        rows = session.execute(select(tasks).order_by(tasks.c.id).limit(PLAIN_ROWS).execution_options(yield_per=1000))
        for row in rows.mappings():
            writer.writerow(dict(row))
            yield buffer.getvalue()
            buffer.seek(0)
            buffer.truncate()


def fill(path: Path, rows: int) -> Path:
    """Make a database of `rows` tasks."""
    database = Database(f"sqlite:///{path}")
    tasks.metadata.create_all(database.engine)
    database.dispose()
    with contextlib.closing(sqlite3.connect(path)) as connection:
        connection.execute(FILL, (rows,))
        connection.commit()
        connection.execute("PRAGMA wal_checkpoint(TRUNCATE)")
    return path


@contextlib.contextmanager
def serve(path: Path) -> Iterator[tuple[str, psutil.Process]]:
    """Run this application in a process of its own."""
    with socket.socket() as probe:
        probe.bind(("127.0.0.1", 0))
        port = probe.getsockname()[1]
    server = subprocess.Popen([sys.executable, __file__, "--serve", str(path), "--port", str(port)])
    try:
        deadline = time.monotonic() + 30
        while True:
            with contextlib.suppress(OSError), socket.create_connection(("127.0.0.1", port)):
                break
            if time.monotonic() > deadline:
                raise TimeoutError("the server does not start")
            time.sleep(0.05)
        yield f"http://127.0.0.1:{port}", psutil.Process(server.pid)
    finally:
        server.terminate()
        server.wait()


def seconds(command: list[str]) -> float:
    """Return how long `command` takes, its output thrown away."""
    began = time.perf_counter()
    subprocess.run(command, stdout=subprocess.DEVNULL, check=True)
    return time.perf_counter() - began


def fetch(url: str, *options: str) -> list[str]:
    return ["curl", "-sS", "--fail", *options, url]


def shell(database: Path, query: str) -> list[str]:
    return ["sqlite3", "-readonly", "-csv", str(database), query]


def count_lines(command: list[str]) -> int:
    with subprocess.Popen(command, stdout=subprocess.PIPE) as process:
        assert process.stdout is not None
        return sum(1 for _ in process.stdout)


def first_byte_ms(url: str, headers: list[str]) -> float:
    """Return the median time from a request on an idle server to the first byte of the body."""
    parts = urlsplit(url)
    address = (parts.hostname or "", parts.port or 80)
    lines = [f"GET {parts.path}?{parts.query} HTTP/1.1", f"Host: {parts.netloc}", *headers, "", ""]
    times = []
    for _ in range(21):
        with socket.create_connection(address) as connection:
            began = time.perf_counter()
            connection.sendall("\r\n".join(lines).encode())
            got = b""
            while not got.partition(b"\r\n\r\n")[2]:
                got += connection.recv(65536)
            times.append(time.perf_counter() - began)
        time.sleep(0.05)
    return statistics.median(times) * 1000


def peak_megabytes(process: psutil.Process) -> float:
    """Return the most memory that the process ever had (the kernel's high-water mark)."""
    status = Path(f"/proc/{process.pid}/status").read_text()
    return int(status.split("VmHWM:")[1].split()[0]) / 1024


def compare_with_shell(url: str, options: list[str], database: Path, query: str, repeat: int) -> tuple[float, float]:
    """Print and return the rows a second of the service and of the shell."""
    rows = count_lines(fetch(url, *options)) - 1
    times = [(seconds(fetch(url, *options)), seconds(shell(database, query))) for _ in range(repeat)]
    ours, shells = (rows / statistics.median(column) for column in zip(*times, strict=True))
    print(f"service        {ours:12,.0f} rows/s   ({rows:,} rows)")
    print(f"sqlite3 -csv   {shells:12,.0f} rows/s   ratio {ours / shells:.2f}, goal {GOAL_OF_SHELL}")
    return ours, shells


def measure(rows: int, more_rows: int, repeat: int) -> None:
    with tempfile.TemporaryDirectory() as folder:
        small, large = fill(Path(folder, "small.db"), rows), fill(Path(folder, "large.db"), more_rows)
        with serve(small) as (address, _):
            ours, _ = compare_with_shell(address + "/table.csv", [], small, SHELL_QUERY, repeat)
            plain = min(rows, PLAIN_ROWS) / statistics.median(seconds(fetch(address + "/plain.csv")) for _ in range(3))
            print(f"plain pattern  {plain:12,.0f} rows/s   ratio {ours / plain:.0f}, goal {GOAL_OF_PLAIN}")
        peaks = []
        for database, count in ((small, rows), (large, more_rows)):
            with serve(database) as (address, process):
                first = first_byte_ms(address + "/table.csv", [])
                subprocess.run(fetch(address + "/table.csv", "-o", "/dev/null"), check=True)
                peaks.append(peak_megabytes(process))
            print(f"{count:>10,} rows: first byte {first:.1f} ms, goal {GOAL_FIRST_BYTE_MS}; peak {peaks[-1]:.1f} MB")
        print(f"peaks differ by {abs(peaks[1] - peaks[0]):.1f} MB, goal at most {GOAL_MEGABYTES}")


def measure_service(given: argparse.Namespace) -> None:
    options = [option for header in given.header for option in ("-H", header)]
    print(f"first byte {first_byte_ms(given.url, given.header):.1f} ms, goal {GOAL_FIRST_BYTE_MS}")
    compare_with_shell(given.url, options, given.database, given.query, 1 if given.quick else 5)
    if given.pid:
        print(f"peak {peak_megabytes(psutil.Process(given.pid)):.1f} MB")


def parse_arguments() -> argparse.Namespace:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--quick", action="store_true")
    parser.add_argument("--url")
    parser.add_argument("--header", action="append", default=[])
    parser.add_argument("--database", type=Path)
    parser.add_argument("--query", default=SHELL_QUERY)
    parser.add_argument("--pid", type=int)
    parser.add_argument("--serve", help=argparse.SUPPRESS)
    parser.add_argument("--port", type=int, help=argparse.SUPPRESS)
    return parser.parse_args()


def main() -> None:
    given = parse_arguments()
    if given.serve:
        uvicorn.run(make_app(given.serve), port=given.port, log_level="error")
    elif given.url:
        measure_service(given)
    elif given.quick:
        measure(20_000, 50_000, 1)
    else:
        measure(1_000_000, 5_000_000, 5)


if __name__ == "__main__":
    main()
