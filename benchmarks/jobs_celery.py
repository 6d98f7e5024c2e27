"""What Celery's workers run in the benchmark of jobs."""

import os

from celery import Celery  # type: ignore[import-untyped]

app = Celery("benchmark", broker=os.environ.get("BENCHMARK_BROKER"))
app.conf.update(task_acks_late=True, task_reject_on_worker_lost=True, task_ignore_result=True)


@app.task  # type: ignore[untyped-decorator]
def noop() -> None:
    """Do nothing."""
