"""Jobs: how many there are of each kind and state, one with all that is known of it, and many tried again at once."""

import json
from collections import Counter
from collections.abc import Sequence
from contextlib import suppress
from dataclasses import dataclass
from typing import Any
from urllib.parse import urlencode

from sqlalchemy.orm import Session
from starlette.responses import Response

from tailrace.errors import Conflict, Invalid, NotFound
from tailrace.jobs import FINAL, WAITING, State, count_jobs
from tailrace.operations.history import job_history
from tailrace.operations.service import cancel_visible_job, list_visible_jobs, retry_visible_job, visible_job
from tailrace.web.admin.visiting import AdminVisiting
from tailrace.web.routing import page_router
from tailrace.web.visit import Visit
from tailrace.web.wording import plural

router = page_router()
_ADDRESS = "/web/admin/jobs"
_SHOWN = 50
_BULK_MAX = 1000
_BATCH = 100
STATE_NAMES = {
    State.SCHEDULED: "Scheduled",
    State.AVAILABLE: "Waiting",
    State.RUNNING: "Running",
    State.RETRYABLE: "Tried again later",
    State.COMPLETED: "Done",
    State.CANCELLED: "Cancelled",
    State.DISCARDED: "Failed",
    State.QUARANTINED: "Quarantined",
}
_RETRYABLE = (FINAL - {State.COMPLETED}) | {State.SCHEDULED, State.RETRYABLE}
_CANCELLABLE = WAITING | {State.RUNNING}


@dataclass(frozen=True, slots=True)
class Chosen:
    """Which jobs an address chooses; an empty text means all."""

    state: str = ""
    kind: str = ""

    @classmethod
    def of(cls, state: str, kind: str) -> "Chosen":
        """Return the choice; raises Invalid for a state that there is not."""
        if state and state not in STATE_NAMES:
            raise Invalid("There is no such state of a job.")
        return cls(state, kind[:100])

    @property
    def states(self) -> Sequence[State]:
        """The states that are wanted; none means every state."""
        return [State(self.state)] if self.state else []

    @property
    def kinds(self) -> Sequence[str]:
        """The kinds that are wanted, likewise."""
        return [self.kind] if self.kind else []

    def address(self, **changes: str) -> str:
        """Return the address of the list with this choice, but for `changes`."""
        values = {"state": self.state, "kind": self.kind} | changes
        query = urlencode({name: value for name, value in values.items() if value})
        return f"{_ADDRESS}?{query}" if query else _ADDRESS


@router.get(_ADDRESS)
def list_jobs(visit: AdminVisiting, state: str = "", kind: str = "", after: str = "") -> Response:
    """Show the counts and the newest jobs; htmx gets those alone."""
    chosen = Chosen.of(state, kind)
    if visit.wants_part:
        with visit.read() as session:
            return visit.part("admin/jobs_part", **_list(session, visit, chosen, after))
    with visit.shell() as (session, shell):
        return visit.page("admin/jobs", shell, **_list(session, visit, chosen, after))


@router.post("/web/admin/jobs/bulk")
def change_jobs(visit: AdminVisiting) -> Response:
    """Try many jobs again, or cancel them: those that are marked, or all of a choice, a thousand at most."""
    form = visit.form
    chosen = Chosen.of(form.text("state"), form.text("kind"))
    retries = form.text("action") == "retry"
    if form.text("scope") == "all":
        ids = _matching(visit, chosen, _RETRYABLE if retries else _CANCELLABLE)
    else:
        ids = [job_id for job_id in form.all("job")[:_BULK_MAX] if job_id.isalnum()]
    changed = sum(_change(visit, ids[start : start + _BATCH], retries) for start in range(0, len(ids), _BATCH))
    said = f"{plural(changed, 'job')} {'to be tried again' if retries else 'cancelled, or asked to stop'}."
    if changed < len(ids):
        said += (
            f" {plural(len(ids) - changed, 'other')} could not be: {'done or under way' if retries else 'at its end'}."
        )
    return visit.go(chosen.address(), said)


@router.get("/web/admin/jobs/{job_id}")
def show_job(visit: AdminVisiting, job_id: str) -> Response:
    """Show one job: its arguments, attempts, progress and log; htmx gets what changes alone."""
    if visit.wants_part:
        with visit.read() as session:
            return visit.part("admin/job_part", **_job(session, visit, job_id))
    with visit.shell() as (session, shell):
        return visit.page("admin/job", shell, **_job(session, visit, job_id))


@router.post("/web/admin/jobs/{job_id}/retry")
def retry_job(visit: AdminVisiting, job_id: str) -> Response:
    """Have a job run again, now."""
    with visit.write() as session:
        retry_visible_job(session, visit.user, job_id)
    return visit.go(f"{_ADDRESS}/{job_id}", "It runs as soon as a worker is free.")


@router.post("/web/admin/jobs/{job_id}/cancel")
def cancel_job(visit: AdminVisiting, job_id: str) -> Response:
    """Cancel a job, or ask its run to stop."""
    with visit.write() as session:
        job = cancel_visible_job(session, visit.user, job_id)
    return visit.go(f"{_ADDRESS}/{job_id}", "" if job.finished else "It is asked to stop.")


def _list(session: Session, visit: Visit, chosen: Chosen, after: str) -> dict[str, Any]:
    after = after if after.isalnum() and len(after) == 32 else ""
    jobs = list_visible_jobs(
        session, visit.user, states=chosen.states, kinds=chosen.kinds, after=after or None, limit=_SHOWN + 1
    )
    counts = count_jobs(session)
    by_state: Counter[str] = Counter()
    by_kind: Counter[str] = Counter()
    table: Counter[tuple[str, str]] = Counter()
    for each in counts:
        if chosen.kind in ("", each.kind):
            by_state[each.state] += each.count
        if chosen.state in ("", each.state):
            by_kind[each.kind] += each.count
        table[each.kind, each.state] += each.count
    return {
        "chosen": chosen,
        "after": after,
        "jobs": jobs[:_SHOWN],
        "next": jobs[_SHOWN - 1].id if len(jobs) > _SHOWN else "",
        "states": STATE_NAMES,
        "occurring": {state: name for state, name in STATE_NAMES.items() if state in {each.state for each in counts}},
        "by_state": by_state,
        "by_kind": by_kind,
        "kinds": sorted({each.kind for each in counts} | set(chosen.kinds)),
        "table": table,
        "token": visit.forgery_token,
    }


def _job(session: Session, visit: Visit, job_id: str) -> dict[str, Any]:
    job = visible_job(session, visit.user, job_id)
    return {
        "job": job,
        "args": json.dumps(dict(job.args), indent=2, ensure_ascii=False) if job.args else "None.",
        "history": job_history(session, job_id),
        "states": STATE_NAMES,
        "retries": job.state in _RETRYABLE,
        "cancels": job.state in _CANCELLABLE and job.cancel_requested_at is None,
        "token": visit.forgery_token,
    }


def _matching(visit: Visit, chosen: Chosen, possible: frozenset[State]) -> list[str]:
    states = [state for state in chosen.states or list(State) if state in possible]
    if not states:
        return []
    with visit.read() as session:
        found = list_visible_jobs(session, visit.user, states=states, kinds=chosen.kinds, limit=_BULK_MAX)
        return [job.id for job in found]


def _change(visit: Visit, ids: Sequence[str], retries: bool) -> int:
    """Change some jobs in one transaction, so that none holds the database for long; return how many there were."""
    change = retry_visible_job if retries else cancel_visible_job
    changed = 0
    with visit.write() as session:
        for job_id in ids:
            with suppress(Conflict, NotFound):
                change(session, visit.user, job_id)
                changed += 1
    return changed
