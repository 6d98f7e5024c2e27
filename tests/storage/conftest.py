"""Every storage there is, each against the real thing."""

import secrets
from pathlib import Path

import pytest

from tailrace.storage import LocalStorage, Storage
from tests import services


@pytest.fixture(params=["local", "s3"])
def storage(request: pytest.FixtureRequest, tmp_path: Path) -> Storage:
    if request.param == "local":
        return LocalStorage(tmp_path / "storage")
    return services.s3_storage(secrets.token_hex(4))


@pytest.fixture(scope="session")
def s3_url() -> str:
    """Give the address of a bucket on a real server."""
    return services.s3_url()
