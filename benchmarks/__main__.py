"""`make bench`: run every benchmark, or those that are named (`make bench ARGS="jobs sse"`), one after the other."""

import argparse
import subprocess
import sys

SCRIPTS = {
    "export": "a table as CSV over HTTP, beside the sqlite3 shell and the plain pattern; memory at 1 M and 5 M rows",
    "service": "the same for /reports.csv of the running service, with a million tasks",
    "service_postgresql": "the same on PostgreSQL, beside COPY by psql",
    "jobs": "no-op jobs a second beside Celery on Redis; time from commit to start; idle processor time",
    "uploads": "200 MB of pictures in 20 files, beside UploadFile written to disk: rate, and peak memory",
    "jobs_many": "no-op jobs a second through the Celery engine, beside bare Celery on the same Redis",
    "photos": "photos a second to three renditions, beside vipsthumbnail and Pillow with draft()",
    "page": "a list of 500 tasks rendered, beside its JSON and a bare Jinja loop; how soon Chromium can use it",
    "sse": "events a second to 1,000 connections, beside sse-starlette and fastapi.sse",
}


def main() -> int:
    """Run the benchmarks; return 1 if one of them could not."""
    listed = "\n".join(f"  {name:8} {what}" for name, what in SCRIPTS.items())
    parser = argparse.ArgumentParser(
        prog="python -m benchmarks", description=listed, formatter_class=argparse.RawDescriptionHelpFormatter
    )
    parser.add_argument("names", nargs="*", metavar="NAME", choices=[[], *SCRIPTS], help="which (all)")
    parser.add_argument("--quick", action="store_true", help="small runs, to see that they work")
    given = parser.parse_args()
    failed = 0
    for name in given.names or SCRIPTS:
        print(f"\n== {name}: {SCRIPTS[name]}", flush=True)
        options = ["--quick"] if given.quick else []
        failed |= subprocess.run([sys.executable, "-m", f"benchmarks.{name}", *options], check=False).returncode
    return 1 if failed else 0


if __name__ == "__main__":
    sys.exit(main())
