"""The limit on memory, enforced by the kernel on the worker itself."""

import resource
import sys
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path


@contextmanager
def memory_limit(megabytes: int) -> Iterator[None]:
    """Let the process allocate `megabytes` (MiB) more than it holds now; beyond, allocation fails with MemoryError.

    RLIMIT_DATA counts private writable memory (setrlimit(2), since Linux 4.7). Elsewhere there is no such limit.
    """
    if sys.platform != "linux":
        yield
        return
    _, hard = resource.getrlimit(resource.RLIMIT_DATA)
    resource.setrlimit(resource.RLIMIT_DATA, (_data_bytes() + megabytes * 1024 * 1024, hard))
    try:
        yield
    finally:
        resource.setrlimit(resource.RLIMIT_DATA, (hard, hard))


def _data_bytes() -> int:
    # The sixth field of statm: data and stack, in pages (proc_pid_statm(5)).
    return int(Path("/proc/self/statm").read_text().split()[5]) * resource.getpagesize()
