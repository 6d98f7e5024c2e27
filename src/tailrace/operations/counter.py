"""`GET /stream`: a counter as server-sent events, by which an operator sees whether a proxy on the way buffers."""

from typing import Annotated

from fastapi import APIRouter, Query
from pydantic import Field
from starlette.requests import Request
from starlette.responses import Response

from tailrace.errors import Invalid
from tailrace.http.fields import Input
from tailrace.streams import TextStream, counter_stream

router = APIRouter(tags=["operations"])
_LONGEST_S = 3600


class Count(Input):
    """How far to count, and how slowly."""

    limit: Annotated[int, Field(ge=1, le=10_000, description="the last number")] = 5
    interval: Annotated[float, Field(ge=0, le=60, allow_inf_nan=False, description="seconds between two numbers")] = 0


@router.get("/stream", response_class=Response, responses={200: {"content": {"text/event-stream": {}}}})
async def count(query: Annotated[Count, Query()], request: Request) -> TextStream:
    """Count from 1 to `limit`, one event a number, then end. Nobody needs to be signed in for it.

    A service that stops meanwhile ends it early with an event `drain`: it was whole if that did not come.
    """
    if query.limit * query.interval > _LONGEST_S:
        raise Invalid(f"This would take over {_LONGEST_S} seconds; choose a lower limit or interval.")
    return counter_stream(query.limit, query.interval, drain=request.app.state.drain)
