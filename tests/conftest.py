"""Fixtures that every test may use."""

import contextlib
import importlib
import pkgutil
from collections.abc import Callable, Iterator
from pathlib import Path

import pytest

import tailrace
from tailrace.database import Base, Database
from tests.features import Person, Site
from tests.service import Service
from tests.services import postgres_url

pytest_plugins = ["tests.support_matrix"]


def import_models() -> None:
    """Import every module that declares tables, so that `Base.metadata` is complete."""
    for module in pkgutil.iter_modules(tailrace.__path__, "tailrace."):
        if module.ispkg:
            package = importlib.import_module(module.name)
            names = {inner.name for inner in pkgutil.iter_modules(package.__path__)}
            for name in names & {"models", "events"}:
                importlib.import_module(f"{module.name}.{name}")


@pytest.fixture
def anyio_backend() -> str:
    return "asyncio"


@contextlib.contextmanager
def database_at(url: str) -> Iterator[Database]:
    """Give a database with every table, whose commits write the event log."""
    from tailrace.streams import record

    import_models()
    database = Database(url, record=record)
    Base.metadata.create_all(database.engine)
    yield database
    database.dispose()


@pytest.fixture
def database(tmp_path: Path) -> Iterator[Database]:
    """Give an empty SQLite database with every table."""
    with database_at(f"sqlite:///{tmp_path / 'tailrace.db'}") as database:
        yield database


@pytest.fixture(params=["sqlite", "postgresql"])
def either_database(request: pytest.FixtureRequest, tmp_path: Path) -> Iterator[Database]:
    """Give an empty database of each kind with every table."""
    with database_at(
        f"sqlite:///{tmp_path / 'tailrace.db'}" if request.param == "sqlite" else postgres_url()
    ) as either:
        yield either


@pytest.fixture
def site(database: Database) -> Site:
    """Give a site without people."""
    return Site(database)


@pytest.fixture
def people(site: Site) -> dict[str, Person]:
    """Give the people of a project by role, an administrator, and somebody from outside."""
    return {name: site.person(name) for name in ("manager", "member", "viewer", "outsider")} | {
        "admin": site.person("Admin", is_admin=True)
    }


@pytest.fixture
def project(site: Site, people: dict[str, Person]) -> int:
    """Give a project of these people."""
    return site.project(people["manager"], roles={role: people[role] for role in ("member", "viewer")})


@pytest.fixture
def server(tmp_path: Path) -> Iterator[Callable[..., Service]]:
    """Give a function that starts a real `tailrace serve`, API and engine, on a free port.

    Its arguments are environment variables; all services of a test share one data folder, so one runs at a time.
    """
    with contextlib.ExitStack() as stack:

        def start(**extra: str) -> Service:
            return stack.enter_context(Service(tmp_path / "data", extra))

        yield start
