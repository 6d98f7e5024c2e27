import pytest
from fastapi.testclient import TestClient

from tailrace.accounts import service as accounts
from tests.features import Site
from tests.web.browsing import PASSWORD, Browser


@pytest.fixture
def setup_token(site: Site) -> str:
    with site.database.write() as session:
        return accounts.issue_setup_token(session)


@pytest.fixture
def ada(site: Site, setup_token: str) -> Browser:
    """Give the browser of the first administrator, just after the set-up."""
    client: TestClient = site.client()
    form = {"token": setup_token, "email": "ada@site.test", "name": "Ada <b>", "password": PASSWORD}
    answer = client.post("/web/setup", data={**form, "time_zone": "Europe/Zurich"})
    assert (answer.status_code, answer.headers["location"]) == (303, "/web/welcome")
    return Browser(client)
