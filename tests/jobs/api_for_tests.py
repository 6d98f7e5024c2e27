"""An API that begins jobs, for tests that run it as a process of its own: `uvicorn --factory …:make_api`."""

from typing import Any

from fastapi import FastAPI

from tailrace.jobs import enqueue_many
from tests.jobs.kinds_for_tests import make_app, span


def make_api() -> FastAPI:
    """Make the API on the database that the environment names."""
    database, api = make_app().database, FastAPI()

    @api.post("/jobs", status_code=202)
    def begin(args: list[dict[str, Any]]) -> None:
        with database.write() as session:
            enqueue_many(session, span, args)

    return api
