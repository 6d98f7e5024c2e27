"""The ASGI application: every feature's routes, the middleware, and what runs as long as it does."""

import importlib
import importlib.util
import pkgutil
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from urllib.parse import urlsplit

from fastapi import APIRouter, FastAPI
from fastapi.routing import APIRoute

import tailrace as package
from tailrace.bootstrap import Tailrace
from tailrace.http import middleware, openapi, problems
from tailrace.logging_setup import log_file
from tailrace.operations.docs import mount_assets
from tailrace.operations.metrics import Metrics
from tailrace.storage import Storage
from tailrace.streams import Broker, Drain

_ABOUT = "Tasks, photos and reports for teams. Long work is a job you can watch, and nothing says done before it is."


def create_app(tailrace: Tailrace) -> FastAPI:
    """Make the application of a service whose database is migrated; its engine runs elsewhere."""
    app = FastAPI(
        title="Tailrace",
        version=package.__version__,
        description=_ABOUT,
        docs_url=None,
        redoc_url=None,
        lifespan=_lifespan,
        generate_unique_id_function=_operation_id,
    )
    _fill_state(app, tailrace)
    for router in discover_routers():
        app.include_router(router)
    mount_assets(app)
    problems.install(app)
    openapi.install(app)
    middleware.install(
        app,
        observe=app.state.metrics.observe,
        drain=app.state.drain,
        max_body_bytes=tailrace.settings.max_body_bytes,
        base_url=tailrace.base_url,
        images_from=_origin_of_links(tailrace.storage),
    )
    return app


def discover_routers() -> list[APIRouter]:
    """Return the `router` of each feature's module `routes`, in alphabetical order of the features."""
    routers = []
    for module in pkgutil.iter_modules(package.__path__, "tailrace."):
        name = f"{module.name}.routes"
        if module.ispkg and importlib.util.find_spec(name) is not None:
            routers.append(importlib.import_module(name).router)
    return routers


def _fill_state(app: FastAPI, tailrace: Tailrace) -> None:
    state = app.state
    state.tailrace = tailrace
    state.database = tailrace.database
    state.storage = tailrace.storage
    state.mailer = tailrace.mailer
    state.unshared = tailrace.unshared
    state.secret = tailrace.secret
    state.base_url = tailrace.base_url
    state.mail_from = tailrace.mail_from
    state.report_days = tailrace.report_days
    state.photos = tailrace.photos
    state.data = tailrace.settings.data
    state.log_file = log_file(tailrace.settings.data)
    state.broker = Broker(tailrace.database)
    state.drain = Drain()
    state.metrics = Metrics(tailrace.database, state.drain, {kind.queue for kind in tailrace.kinds})


def _origin_of_links(storage: Storage) -> str | None:
    link = storage.link("photos", {})
    return None if link is None else f"{urlsplit(link).scheme}://{urlsplit(link).netloc}"


@asynccontextmanager
async def _lifespan(app: FastAPI) -> AsyncIterator[None]:
    # on_signals serves those who run the application under a server of their own; `tailrace serve` drains by itself.
    with app.state.drain.on_signals():
        async with app.state.broker:
            yield


def _operation_id(route: APIRoute) -> str:
    return route.name
