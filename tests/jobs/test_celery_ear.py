"""A consumer that has fallen silent is started again."""

import secrets
import threading
from collections.abc import Iterator
from dataclasses import dataclass
from typing import Any

import pytest

from tailrace.database import Database
from tailrace.jobs import JobKind, enqueue
from tailrace.jobs.engines.celery.desk import Desk
from tailrace.jobs.engines.celery.ear import Ear
from tailrace.jobs.engines.celery.transport import Broker, Consumer
from tailrace.jobs.runs import Run
from tests.brokers import redis_url
from tests.jobs.kinds_for_tests import flaky, snooze
from tests.jobs.worlds import open_database, until
from tests.services import postgres_url

SILENT_S = 0.2


@pytest.fixture
def database() -> Iterator[Database]:
    database = open_database(postgres_url())
    yield database
    database.dispose()


@dataclass
class Listening:
    """A consumer, the ear that watches it, what it heard, and a broker that sends to it."""

    ear: Ear
    consumer: Consumer
    broker: Broker
    heard: list[Run]

    def attend(self) -> None:
        """Let the ear look as often as it takes to be sure of silence."""
        for _ in range(2):
            threading.Event().wait(SILENT_S + 0.05)
            self.ear.attend()


@pytest.fixture
def listening(database: Database) -> Iterator[Listening]:
    heard: list[Run] = []

    def serve(run: Run) -> bool:
        heard.append(run)
        return True

    prefix = f"tests-{secrets.token_hex(4)}"
    consumer = Consumer(redis_url(), prefix=prefix, queues=["default"], slots=1, serve=serve)
    broker = Broker(redis_url(), prefix=prefix)
    desk = Desk(database, "engine", ["tests.snooze"], ["default"], lease_s=30)
    ear = Ear(database, desk, consumer, broker, queues=["default"], kinds=["tests.snooze"], silent_s=SILENT_S)
    consumer.start()
    yield Listening(ear, consumer, broker, heard)
    consumer.stop()
    consumer.join(10)
    broker.close()
    desk.abandon()


def test_a_consumer_is_started_again_while_jobs_wait_and_hears_what_is_sent_then(
    database: Database, listening: Listening
) -> None:
    consumer = listening.consumer
    until(lambda: consumer.connected)
    listening.attend()
    assert consumer.generation == 1, "nothing waits"
    _put(database, snooze, delay_s=1)
    listening.attend()
    until(lambda: consumer.generation == 2 and consumer.connected)
    listening.broker.publish([("a job", 0)], "default")
    until(lambda: listening.heard == [("a job", 0)])


def test_a_consumer_is_left_alone_while_what_waits_is_of_kinds_that_it_does_not_know(
    database: Database, listening: Listening
) -> None:
    until(lambda: listening.consumer.connected)
    _put(database, flaky)
    listening.attend()
    assert listening.consumer.generation == 1


def _put(database: Database, kind: JobKind, **args: Any) -> None:
    with database.write() as session:
        enqueue(session, kind, args)
