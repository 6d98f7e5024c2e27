"""The engine as a command: `python -m tailrace.jobs.engines.celery MODULE:NAME --broker URL [--queues a,b] …`."""

import argparse
import logging
import sys
from datetime import timedelta

from tailrace.jobs.engines.celery.engine import CeleryEngine
from tailrace.jobs.engines.contract import Timing
from tailrace.jobs.engines.launch import load_app
from tailrace.jobs.errors import BrokerUnavailable


def main() -> int:
    """Run the engine until SIGTERM, SIGINT or, with `--with-parent`, the end of standard input."""
    parser = argparse.ArgumentParser(prog="python -m tailrace.jobs.engines.celery", description=__doc__)
    parser.add_argument("app", help="the JobApp, or a function that makes one, as MODULE:NAME")
    parser.add_argument("--broker", required=True, help="redis://… or amqp://…")
    parser.add_argument("--prefix", default="tailrace", help="what the names of the broker's queues begin with")
    parser.add_argument("--queues", default="", help="names with commas between them (default: those of all kinds)")
    parser.add_argument("--workers", type=int, default=2, help="how many worker processes (default 2)")
    parser.add_argument("--keep-days", type=float, default=7, help="how long finished jobs are kept (default 7)")
    parser.add_argument("--lease", type=float, default=30, help="seconds that a claim lasts unheard of (default 30)")
    parser.add_argument("--with-parent", action="store_true", help="stop when standard input ends")
    options = parser.parse_args()
    if not logging.getLogger().handlers:
        logging.basicConfig(level=logging.INFO)
    engine = CeleryEngine(
        load_app(options.app),
        options.app,
        broker_url=options.broker,
        prefix=options.prefix,
        queues=[name for name in options.queues.split(",") if name],
        workers=options.workers,
        keep=timedelta(days=options.keep_days),
        timing=Timing(lease_s=options.lease, heartbeat_s=options.lease / 6),
    )
    try:
        engine.run(parent=sys.stdin.fileno() if options.with_parent else None)
    except BrokerUnavailable as error:
        sys.stderr.write(f"{error}\n")
        return 1
    return 0


if __name__ == "__main__":
    sys.exit(main())
