"""The threads of uploads: what blocks for a disk runs here, and keeps neither the event loop nor `def` endpoints."""

import asyncio
from collections.abc import Callable
from concurrent.futures import ThreadPoolExecutor
from functools import partial
from typing import ParamSpec, TypeVar

THREADS = 16
P = ParamSpec("P")
R = TypeVar("R")
_threads = ThreadPoolExecutor(THREADS, thread_name_prefix="tailrace-upload")


async def in_upload_thread(function: Callable[P, R], /, *args: P.args, **kwargs: P.kwargs) -> R:
    """Return what the blocking `function` returns, called in a thread of uploads; see `outlast`."""
    return await outlast(start_in_upload_thread(function, *args, **kwargs))


def start_in_upload_thread(function: Callable[P, R], /, *args: P.args, **kwargs: P.kwargs) -> asyncio.Future[R]:
    """Call the blocking `function` in a thread of uploads, and return what will hold its result."""
    return asyncio.get_running_loop().run_in_executor(_threads, partial(function, *args, **kwargs))


async def outlast(call: asyncio.Future[R]) -> R:
    """Return the result of a call that runs in a thread.

    It is always waited for: one who is cancelled meanwhile is so when the call has ended, for a file must not be closed
    under the thread that writes to it.
    """
    cancelled: asyncio.CancelledError | None = None
    while not call.done():
        try:
            await asyncio.wait((call,))
        except asyncio.CancelledError as error:
            cancelled = error
    if cancelled is not None:
        call.exception()  # so that it counts as looked at
        raise cancelled
    return call.result()
