"""One running service for all tests of this folder: an administrator, two people, some jobs."""

import contextlib
from collections.abc import Iterator
from dataclasses import dataclass

import httpx2
import pytest

from tests.service import Service


@dataclass(frozen=True)
class Installation:
    """A running service, and clients of three people: Ada administers it, Ben and Cleo do not."""

    service: Service
    ada: httpx2.Client
    ben: httpx2.Client
    cleo: httpx2.Client
    anonymous: httpx2.Client


@pytest.fixture(scope="session")
def installation(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Installation]:
    with Service(tmp_path_factory.mktemp("installation") / "data") as service:
        ada = service.create_user("ada@example.org", admin=True)
        ben, cleo = (service.create_user(f"{name}@example.org") for name in ("ben", "cleo"))
        with contextlib.ExitStack() as stack:
            clients = [stack.enter_context(service.client(token)) for token in (ada, ben, cleo, None)]
            yield Installation(service, *clients)
