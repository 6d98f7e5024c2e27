"""Kinds of job: a name, the function that does the work, and how it is to be run."""

import importlib
import importlib.util
import inspect
import json
import pkgutil
from collections.abc import Callable, Iterable, Mapping
from dataclasses import dataclass
from functools import cache
from typing import Any

from croniter import croniter

from tailrace.jobs.errors import BadArguments, DuplicateKind, UnregisteredKind

_declared: dict[str, "JobKind"] = {}


@dataclass(frozen=True, slots=True, eq=False)
class JobKind:
    """A kind of job. Made by the decorator `job`; calling it calls its function."""

    name: str
    function: Callable[..., None]
    queue: str
    priority: int
    max_attempts: int
    timeout_s: float
    memory_mb: int
    schedule: str | None
    on_failure: "JobKind | None"

    def __call__(self, *args: Any, **kwargs: Any) -> None:
        self.function(*args, **kwargs)

    def check(self, args: Mapping[str, Any]) -> None:
        """Raise BadArguments unless the function can be called with `args`, and they survive the way through JSON."""
        try:
            _signature(self.function).bind(None, **args)
            json.dumps(dict(args), allow_nan=False)
        except (TypeError, ValueError) as error:
            raise BadArguments(f"{self.name} cannot run with these arguments: {error}.") from error


def job(
    name: str,
    *,
    queue: str = "default",
    priority: int = 50,
    max_attempts: int = 5,
    timeout_s: float = 3600,
    memory_mb: int = 1024,
    schedule: str | None = None,
    on_failure: JobKind | None = None,
) -> Callable[[Callable[..., None]], JobKind]:
    """Make a function a kind of job; it is called with a `JobContext` and the job's arguments by name.

    `timeout_s` and `memory_mb` (above what its worker holds already) end a run that exceeds them, as a failure.
    `schedule` is a cron expression in UTC: such a kind is also enqueued at each tick, without arguments. `on_failure`
    is enqueued, in the same transaction, when a job ends otherwise than completed; its arguments are `job_id`, `state`,
    `error` and `args`.

    Raises DuplicateKind if another function has this name, ValueError for a schedule that is no cron expression, and
    BadArguments if `on_failure` takes others.
    """
    if schedule is not None and not croniter.is_valid(schedule):
        raise ValueError(f"{schedule!r} is no cron expression.")
    if on_failure is not None:
        on_failure.check({"job_id": "", "state": "", "error": "", "args": {}})

    def declare(function: Callable[..., None]) -> JobKind:
        kind = JobKind(name, function, queue, priority, max_attempts, timeout_s, memory_mb, schedule, on_failure)
        earlier = _declared.setdefault(name, kind)
        if _home(earlier) != _home(kind):
            raise DuplicateKind(f"The kind {name!r} is both {_home(earlier)} and {_home(kind)}.")
        _declared[name] = kind
        return kind

    return declare


def find_kind(name: str) -> JobKind | None:
    """Return the kind declared as `name` in this process, if there is one."""
    return _declared.get(name)


def discover_kinds(package: str) -> list[JobKind]:
    """Import each module called `jobs` of the packages directly under `package` and return the kinds it declares."""
    root = importlib.import_module(package)
    for module in pkgutil.iter_modules(root.__path__, f"{package}."):
        name = f"{module.name}.jobs"
        if module.ispkg and importlib.util.find_spec(name) is not None:
            importlib.import_module(name)
    return [kind for kind in _declared.values() if kind.function.__module__.startswith(f"{package}.")]


def check_kinds(kinds: Iterable[JobKind]) -> None:
    """Raise UnregisteredKind if a kind, or the kind that answers its failure, is not among those that will be run."""
    kinds = list(kinds)
    names = {kind.name for kind in kinds}
    for kind in kinds:
        if kind.on_failure is not None and kind.on_failure.name not in names:
            raise UnregisteredKind(f"{kind.name} fails over to {kind.on_failure.name}, which no engine would run.")


@cache
def _signature(function: Callable[..., None]) -> inspect.Signature:
    return inspect.signature(function)


def _home(kind: JobKind) -> str:
    return f"{kind.function.__module__}.{kind.function.__qualname__}"
