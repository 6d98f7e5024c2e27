"""Live events of channels, of one job, and what a job logs."""

import json
from typing import Annotated, Any

from fastapi import APIRouter, Header, Query
from pydantic import Field
from starlette.requests import Request
from starlette.responses import Response

from tailrace.accounts.dependencies import CurrentUser
from tailrace.http.dependencies import ReadSession
from tailrace.http.fields import Input
from tailrace.jobs import FINAL, Job, channel_of
from tailrace.operations.authorization import Recheck, may_follow
from tailrace.operations.job_log import follow_log, read_log
from tailrace.operations.service import visible_job
from tailrace.streams import Event, EventStream, TextStream, last_events

router = APIRouter(tags=["live"])
_EVENTS: dict[int | str, dict[str, Any]] = {200: {"content": {"text/event-stream": {}}}}
_SEEN: dict[int | str, dict[str, Any]] = {204: {"description": "The last event has been seen already."}}
_Cursor = Annotated[str | None, Field(max_length=64, description="the id of the last event seen")]
_CursorHeader = Annotated[str | None, Header(max_length=64)]


class EventQuery(Input):
    """Which channels, and where to begin; without `last_event_id` with the next event."""

    channel: Annotated[list[str], Field(min_length=1, max_length=50, description="project:ID, user:ID or job:ID")]
    last_event_id: _Cursor = None


class JobEventQuery(Input):
    """Where to begin; without `last_event_id` with the job's first event."""

    last_event_id: _Cursor = None


class JobLogQuery(Input):
    """How much of the log."""

    follow: Annotated[bool, Field(description="go on until the job has ended")] = False


@router.get("/events", response_class=Response, responses=_EVENTS)
def follow_events(
    query: Annotated[EventQuery, Query()],
    user: CurrentUser,
    request: Request,
    session: ReadSession,
    last_event_id: _CursorHeader = None,
) -> EventStream:
    """Follow what happens, as server-sent events; a client that comes back with `Last-Event-ID` gets what it missed."""
    permission = may_follow(query.channel)
    permission(session, user)
    state = request.app.state
    return EventStream(
        broker=state.broker,
        drain=state.drain,
        channels=query.channel,
        last_event_id=last_event_id or query.last_event_id,
        authorize=Recheck(request, permission),
    )


@router.get("/jobs/{job_id}/events", response_class=Response, responses={**_EVENTS, **_SEEN})
def follow_job(
    job_id: str,
    query: Annotated[JobEventQuery, Query()],
    user: CurrentUser,
    request: Request,
    session: ReadSession,
    last_event_id: _CursorHeader = None,
) -> Response:
    """Follow a job from its first event to its last, as server-sent events: states, progress, log lines."""
    job = visible_job(session, user, job_id)
    channel = channel_of(job.id)
    if job.finished and not last_events(session, channels=[channel], limit=1):
        return _summary(job)
    state = request.app.state
    return EventStream(
        broker=state.broker,
        drain=state.drain,
        channels=[channel],
        last_event_id=last_event_id or query.last_event_id,
        replay_all=True,
        authorize=Recheck(request, may_follow([channel])),
        until=is_final,
    )


@router.get("/jobs/{job_id}/log", response_class=Response, responses={200: {"content": {"text/plain": {}}}})
def show_job_log(
    job_id: str, query: Annotated[JobLogQuery, Query()], user: CurrentUser, request: Request, session: ReadSession
) -> TextStream:
    """Return what a job logged, as lines of text; with `follow=1` what it logs from now on too, until it has ended."""
    job = visible_job(session, user, job_id)
    state = request.app.state
    if not query.follow:
        return TextStream(read_log(state.broker, job.id), drain=state.drain)
    pieces = follow_log(state.broker, job.id, authorize=Recheck(request, may_follow([channel_of(job.id)])))
    return TextStream(pieces, farewell=b"(the server is stopping; ask again)\n", drain=state.drain)


def is_final(event: Event) -> bool:
    """Return whether the event says that its job has come to an end."""
    return event.name == "state" and json.loads(event.data)["state"] in FINAL


def _summary(job: Job) -> Response:
    # Its events are pruned, the job is not: the end is still known.
    data = json.dumps({"state": job.state, "attempt": job.attempt, "error": job.error})
    return Response(f"event: state\ndata: {data}\n\n", media_type="text/event-stream")
