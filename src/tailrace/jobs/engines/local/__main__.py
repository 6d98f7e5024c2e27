"""The engine as a command: `python -m tailrace.jobs.engines.local MODULE:NAME [--workers N] [--with-parent]`."""

import argparse
import logging
import sys
from datetime import timedelta

from tailrace.jobs.engines.launch import load_app
from tailrace.jobs.engines.local.engine import LocalEngine
from tailrace.jobs.errors import EngineRunning


def main() -> int:
    """Run the engine until SIGTERM, SIGINT or, with `--with-parent`, the end of standard input."""
    parser = argparse.ArgumentParser(prog="python -m tailrace.jobs.engines.local", description=__doc__)
    parser.add_argument("app", help="the JobApp, or a function that makes one, as MODULE:NAME")
    parser.add_argument("--workers", type=int, default=2, help="how many worker processes (default 2)")
    parser.add_argument("--keep-days", type=float, default=7, help="how long finished jobs are kept (default 7)")
    parser.add_argument("--with-parent", action="store_true", help="stop when standard input ends")
    options = parser.parse_args()
    app = load_app(options.app)
    if not logging.getLogger().handlers:
        logging.basicConfig(level=logging.INFO)
    engine = LocalEngine(app, options.app, workers=options.workers, keep=timedelta(days=options.keep_days))
    try:
        engine.run(parent=sys.stdin.fileno() if options.with_parent else None)
    except EngineRunning as error:
        sys.stderr.write(f"{error}\n")
        return 1
    return 0


if __name__ == "__main__":
    sys.exit(main())
