"""`/reports.csv` of the real service: beside the sqlite3 shell on the same rows, and its first byte.

python -m benchmarks.service [--quick]
"""

import argparse
import contextlib
import os
import re
import subprocess
import sys
import tempfile
import time
from collections.abc import Iterator
from pathlib import Path

import psutil
from sqlalchemy.dialects import sqlite

from benchmarks.export import GOAL_FIRST_BYTE_MS, compare_with_shell, first_byte_ms, peak_megabytes
from tailrace.accounts.principal import Principal
from tailrace.bootstrap import open_database
from tailrace.settings import load_settings
from tailrace.tasks import service as tasks
from tailrace.tasks.schemas import TaskFilters

EMAIL = "bench@example.org"


def main() -> None:
    """Fill a service with tasks, and measure."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--quick", action="store_true", help="a small run, to see that it works")
    quick = parser.parse_args().quick
    count, repeat = (20_000, 1) if quick else (1_000_000, 5)
    with tempfile.TemporaryDirectory() as folder:
        data = Path(folder, "data")
        with running_service(data) as (url, process):
            tailrace(data, "user", "create", EMAIL, "--admin", "--password-stdin", stdin="correct horse battery")
            token = tailrace(data, "token", "create", EMAIL).strip()
            began = time.perf_counter()
            tailrace(data, "demo", "--tasks", str(count), "--user", EMAIL)
            print(f"demo           {count / (time.perf_counter() - began):12,.0f} tasks/s")
            headers = [f"Authorization: Bearer {token}"]
            first = first_byte_ms(f"{url}/reports.csv", headers)
            print(f"first byte     {first:12.1f} ms   goal {GOAL_FIRST_BYTE_MS}")
            options = [option for header in headers for option in ("-H", header)]
            compare_with_shell(f"{url}/reports.csv", options, data / "tailrace.db", shell_query(data), repeat)
            print(f"peak memory    {peak_megabytes(process):12.1f} MB")


@contextlib.contextmanager
def running_service(data: Path) -> Iterator[tuple[str, psutil.Process]]:
    """Run `tailrace serve` on a free port for as long as the block lasts."""
    command = [sys.executable, "-m", "tailrace", "serve", "--port", "0", "--data", str(data)]
    with subprocess.Popen(command, stdout=subprocess.PIPE, stderr=subprocess.DEVNULL, text=True) as process:
        assert process.stdout is not None
        found = re.search(r"http://\S+", process.stdout.readline())
        assert found is not None, "the service does not start"
        time.sleep(5)  # Its workers load their modules.
        try:
            yield found[0], psutil.Process(process.pid)
        finally:
            process.terminate()


def tailrace(data: Path, *arguments: str, stdin: str = "") -> str:
    """Run a command on the data folder and return what it prints."""
    command = [sys.executable, "-m", "tailrace", *arguments]
    environment = {**os.environ, "TAILRACE_DATA": str(data)}
    return subprocess.run(
        command, env=environment, input=stdin, check=True, stdout=subprocess.PIPE, text=True, stderr=subprocess.DEVNULL
    ).stdout


def shell_query(data: Path) -> str:
    """Return the very SELECT of the export, for the shell."""
    database = open_database(load_settings(data=data))
    with database.read() as session:
        principal = Principal(1, EMAIL, EMAIL, True, "token")
        query = tasks.task_table(session, principal, TaskFilters())
    whole = query.part_selects()[0].order_by(query.key)
    database.dispose()
    return str(whole.compile(dialect=sqlite.dialect(), compile_kwargs={"literal_binds": True}))


if __name__ == "__main__":
    main()
