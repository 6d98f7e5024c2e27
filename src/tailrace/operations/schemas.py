"""What requests about jobs carry, and what is answered."""

from collections.abc import Mapping
from datetime import datetime
from typing import Annotated, Any

from pydantic import Field

from tailrace.http.fields import Input, Line, View
from tailrace.jobs import Job, State


class JobQuery(Input):
    """Which jobs: every filter that is given must hold."""

    state: Annotated[list[State], Field(default_factory=list, max_length=8)]
    kind: Annotated[list[Line], Field(default_factory=list, max_length=50)]
    mine: Annotated[bool, Field(description="only your own, for administrators too")] = False
    after: Annotated[str | None, Field(pattern="^[0-9a-f]{32}$", description="`next` of the page before")] = None
    limit: Annotated[int, Field(ge=1, le=200)] = 50


class Progress(View):
    """How far a run has come; `total` is null while it is not known."""

    done: int
    total: int | None
    note: str | None


class JobView(View):
    """A job. `attempt` counts how often it was begun, `failures` how often it raised, `crashes` how often it died."""

    id: str
    kind: str
    args: Mapping[str, Any]
    queue: str
    priority: int
    state: State
    attempt: int
    failures: int
    crashes: int
    max_attempts: int
    owner: str | None
    run_at: datetime
    created_at: datetime
    started_at: datetime | None
    finished_at: datetime | None
    cancel_requested_at: datetime | None
    progress: Progress | None
    error: str | None
    url: str
    events: str
    log: str


class JobPage(View):
    """Jobs, the newest first; `next` goes into `after` of the next request."""

    items: list[JobView]
    next: str | None


def view_job(job: Job) -> JobView:
    """Return a job as it is answered."""
    progress = None
    if job.progress_done is not None:
        progress = Progress(done=job.progress_done, total=job.progress_total, note=job.progress_note)
    same = {name: getattr(job, name) for name in JobView.model_fields if hasattr(job, name)}
    url = f"/jobs/{job.id}"
    return JobView(**same, progress=progress, url=url, events=f"{url}/events", log=f"{url}/log?follow=1")
