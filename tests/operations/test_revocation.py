"""A log that is followed with a token that is revoked meanwhile does not look whole."""

from collections.abc import AsyncIterator, Iterator
from contextlib import asynccontextmanager
from dataclasses import dataclass
from datetime import timedelta
from pathlib import Path

import pytest
from fastapi import FastAPI

from tailrace.database import Database, utcnow
from tailrace.jobs import enqueue
from tailrace.operations import job_log, live_routes, log_routes
from tailrace.reports.jobs import build_report
from tailrace.streams import Broker, StreamGuard
from tests.features import Person, Site
from tests.streams.serving import Listening, serving, wait_for


@dataclass(frozen=True)
class Following:
    """A real server, and an administrator who follows its logs."""

    address: str
    ada: Person

    def follow(self, path: str) -> Listening:
        headers = {"Authorization": str(self.ada.client.headers["Authorization"])}
        return Listening(f"{self.address}{path}?follow=1", headers)

    def revoke(self) -> None:
        """Take away each of Ada's tokens."""
        for token in self.ada.client.get("/tokens").json()["items"]:
            assert self.ada.client.delete(f"/tokens/{token['id']}").status_code == 204


@pytest.fixture
def following(database: Database, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Iterator[Following]:
    for module in (job_log, log_routes):
        monkeypatch.setattr(module, "_RECHECK_EVERY_S", 0.05)
    site = Site(database)

    @asynccontextmanager
    async def lifespan(app: FastAPI) -> AsyncIterator[None]:
        async with Broker(database) as app.state.broker:
            yield

    app = FastAPI(lifespan=lifespan)
    app.add_middleware(StreamGuard)
    for router in (live_routes.router, log_routes.router):
        app.include_router(router)
    app.state.database, app.state.drain = database, site.app.state.drain
    app.state.log_file = tmp_path / "log"
    app.state.log_file.write_text("one line\n")
    with serving(app) as address:
        yield Following(address, site.person("Ada", is_admin=True))


def test_the_log_of_a_job_breaks(following: Following, database: Database) -> None:
    with database.write() as session:
        job = enqueue(session, build_report, {"report_id": "x"}, run_at=utcnow() + timedelta(days=1))
    check_that_it_breaks(following, f"/jobs/{job.id}/log")


def test_the_log_of_the_service_breaks(following: Following) -> None:
    check_that_it_breaks(following, "/logs")


def check_that_it_breaks(following: Following, path: str) -> None:
    with following.follow(path) as reader:
        assert reader.status == 200
        following.revoke()
        wait_for(lambda: reader.ended)
        assert reader.broken
