"""`GET /logs`: the service's own log, for administrators, as it is written."""

import asyncio
import time
from collections.abc import AsyncGenerator, Callable
from contextlib import aclosing
from typing import Annotated

from fastapi import APIRouter, Query
from pydantic import Field
from starlette.requests import Request
from starlette.responses import Response

from tailrace.accounts.dependencies import Administrator
from tailrace.http.fields import Input
from tailrace.operations.authorization import Recheck, administrators_only
from tailrace.operations.tail import Tail
from tailrace.streams import StreamBroken, TextStream

router = APIRouter(tags=["operations"])
_RECHECK_EVERY_S = 15.0


class LogQuery(Input):
    """How much of the log."""

    lines: Annotated[int, Field(ge=0, le=10_000, description="how many of the last lines to begin with")] = 100
    follow: Annotated[bool, Field(description="go on with every new line")] = False


@router.get("/logs", response_class=Response, responses={200: {"content": {"text/plain": {}}}})
def show_log(query: Annotated[LogQuery, Query()], user: Administrator, request: Request) -> TextStream:
    """Return the last lines of the service's log as JSON lines; with `follow=1` the new ones too, as they come."""
    recheck = Recheck(request, administrators_only)
    pieces = _while_allowed(Tail(request.app.state.log_file, lines=query.lines), query.follow, recheck)
    return TextStream(pieces, farewell=b'{"message": "the service is stopping"}\n', drain=request.app.state.drain)


async def _while_allowed(log: Tail, follow: bool, recheck: Callable[[], bool]) -> AsyncGenerator[bytes, None]:
    checked_at = time.monotonic()
    async with aclosing(log.read(follow=follow)) as pieces:
        async for piece in pieces:
            if time.monotonic() - checked_at > _RECHECK_EVERY_S:
                if not await asyncio.to_thread(recheck):
                    raise StreamBroken("the reader may no longer see the log")
                checked_at = time.monotonic()
            if piece:
                yield piece
