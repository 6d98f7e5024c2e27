import pytest

from tailrace.database import Database
from tests.features import Site


@pytest.fixture
def site(database: Database) -> Site:
    return Site(database)
