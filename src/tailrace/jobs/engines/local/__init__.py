"""The local engine: runs jobs on this machine, in worker processes beside the application.

    application ──▶ database ◀── supervisor ──socket──▶ worker process × N
                                 (one a machine)        (one job at a time)

The supervisor is the one claimer: it claims in batches, hands jobs to its workers, and writes what they report in
batches, because SQLite has one writer and an unfair queue before it. It enforces the limits on time, notices at once
when a worker dies, and goes when its parent goes; its workers go when it goes.
"""

from tailrace.jobs.engines.launch import EngineProcess, load_app, running_engine
from tailrace.jobs.engines.local.engine import LocalEngine

__all__ = ["EngineProcess", "LocalEngine", "load_app", "running_engine"]
