"""Figures for Prometheus: requests are counted as they end, jobs and streams are looked up when somebody asks."""

from collections.abc import Collection, Iterator, Mapping
from datetime import datetime
from typing import Annotated, cast

from fastapi import APIRouter, Depends, Response
from prometheus_client import CollectorRegistry, Counter, Histogram, disable_created_metrics, generate_latest
from prometheus_client.core import GaugeMetricFamily
from prometheus_client.registry import Collector
from sqlalchemy.orm import Session
from starlette.requests import Request

from tailrace.database import Database, present
from tailrace.http.access import Answer
from tailrace.jobs import WAITING, JobCount, State, count_jobs, list_engines
from tailrace.streams import Drain, latest, oldest

router = APIRouter(tags=["operations"])
CONTENT_TYPE = "text/plain; version=0.0.4; charset=utf-8"
# A second series for each of ours, with the time of its first use, is nothing that anybody would draw.
disable_created_metrics()  # type: ignore[no-untyped-call]  # the library gives it no types
_BUCKETS_S = (0.005, 0.01, 0.025, 0.05, 0.1, 0.25, 0.5, 1, 2.5, 5, 10, 60)


class Metrics:
    """The figures of one application."""

    def __init__(self, database: Database, drain: Drain, queues: Collection[str]) -> None:
        """Count for this application; jobs, of `queues` and others, come from `database`, open streams from `drain`."""
        self.registry = CollectorRegistry()
        labels = ("method", "route", "status")
        self._requests = Counter("tailrace_http_requests", "Requests answered.", labels, registry=self.registry)
        self._cut = Counter(
            "tailrace_http_cut",
            "Answers that ended before they were whole, though the client was there.",
            ("route",),
            registry=self.registry,
        )
        self._latency = Histogram(
            "tailrace_http_request_duration_seconds",
            "Time from a request's first byte to its answer's last.",
            ("route",),
            buckets=_BUCKETS_S,
            registry=self.registry,
        )
        self.registry.register(_Present(database, drain, queues))

    def observe(self, answer: Answer) -> None:
        """Count one answer."""
        self._requests.labels(answer.method, answer.route, str(answer.status)).inc()
        self._latency.labels(answer.route).observe(answer.duration_s)
        if not answer.whole and not answer.left:
            self._cut.labels(answer.route).inc()


async def _metrics(request: Request) -> Metrics:
    return cast(Metrics, request.app.state.metrics)


@router.get("/metrics", response_class=Response, responses={200: {"content": {"text/plain": {}}}})
def show_metrics(metrics: Annotated[Metrics, Depends(_metrics)]) -> Response:
    """Return the service's figures in the Prometheus text format; they name no person."""
    return Response(generate_latest(metrics.registry), headers={"Content-Type": CONTENT_TYPE})


class _Present(Collector):
    """What is true at this moment."""

    def __init__(self, database: Database, drain: Drain, queues: Collection[str]) -> None:
        self._database = database
        self._drain = drain
        self._queues = queues

    def collect(self) -> Iterator[GaugeMetricFamily]:
        yield GaugeMetricFamily("tailrace_open_streams", "Streams open at the moment.", value=self._drain.open_streams)
        with self._database.read() as session:
            counts = count_jobs(session)
            first, last = oldest(session), latest(session)
            slots, now = _count_slots(session, self._queues), present(session)
        # By their numbers: counting the rows would read them all.
        events = last.id - first.id + 1 if last.id else 0
        yield GaugeMetricFamily("tailrace_event_log_rows", "Events in the log, at most.", value=events)
        yield _jobs(counts)
        yield _oldest(counts, now)
        yield _by_queue("tailrace_jobs_waiting", "Jobs that an engine could begin now.", _count_waiting(counts, slots))
        yield _by_queue("tailrace_job_slots", "Jobs that the engines could run at the same time.", slots)


def _jobs(counts: list[JobCount]) -> GaugeMetricFamily:
    family = GaugeMetricFamily("tailrace_jobs", "Jobs in the table.", labels=("queue", "kind", "state"))
    for row in counts:
        family.add_metric((row.queue, row.kind, row.state), row.count)
    return family


def _count_slots(session: Session, queues: Collection[str]) -> dict[str, int]:
    alive = [engine for engine in list_engines(session) if engine.alive]
    return {queue: sum(engine.workers for engine in alive if engine.takes(queue)) for queue in sorted(queues)}


def _count_waiting(counts: list[JobCount], queues: Collection[str]) -> dict[str, int]:
    # A queue in which nothing waits is told of too: what scales the workers down must see a zero.
    waiting = dict.fromkeys(queues, 0)
    for row in counts:
        if row.state is State.AVAILABLE:
            waiting[row.queue] = waiting.get(row.queue, 0) + row.count
    return waiting


def _by_queue(name: str, meaning: str, values: Mapping[str, int]) -> GaugeMetricFamily:
    family = GaugeMetricFamily(name, meaning, labels=("queue",))
    for queue, value in values.items():
        family.add_metric((queue,), value)
    return family


def _oldest(counts: list[JobCount], now: datetime) -> GaugeMetricFamily:
    family = GaugeMetricFamily(
        "tailrace_jobs_oldest_due_age_seconds", "How long the oldest due job waits.", labels=("queue",)
    )
    oldest: dict[str, float] = {}
    for row in counts:
        age = (now - row.oldest_run_at).total_seconds() if row.state in WAITING else 0.0
        oldest[row.queue] = max(oldest.get(row.queue, 0.0), age)
    for queue, age in oldest.items():
        family.add_metric((queue,), age)
    return family
