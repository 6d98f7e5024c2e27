"""A site of people for the tests of the features: their routes on a real database, a client for each person."""

from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any

from fastapi import FastAPI
from fastapi.testclient import TestClient

from tailrace.accounts import service as accounts
from tailrace.accounts.principal import Principal
from tailrace.accounts.routes import router as accounts_router
from tailrace.database import Database
from tailrace.http import problems
from tailrace.notifications.routes import router as inbox_router
from tailrace.projects.routes import router as projects_router
from tailrace.streams.drain import Drain
from tailrace.tasks.routes import router as tasks_router
from tailrace.web.routes import router as web_router

NO_PASSWORD = "!"


@dataclass(frozen=True)
class Person:
    """Somebody with an API token, and a client that sends it."""

    id: int
    email: str
    client: TestClient
    principal: Principal


class Site:
    """An application of the features' routes and the people who use it."""

    def __init__(self, database: Database, *, base_url: str = "http://testserver") -> None:
        self.database = database
        self.app = FastAPI()
        self.app.state.database = database
        self.app.state.base_url = base_url
        self.app.state.drain = Drain()
        self.app.state.secret = b"a key that signs for the tests only"
        for router in (accounts_router, projects_router, tasks_router, inbox_router, web_router):
            self.app.include_router(router)
        problems.install(self.app)

    def client(self, *, token: str = "", base_url: str = "http://testserver") -> TestClient:
        """Return a client, with a token or without; it keeps cookies and follows no redirect."""
        headers = {"Authorization": f"Bearer {token}"} if token else {}
        return TestClient(self.app, base_url=base_url, headers=headers, follow_redirects=False)

    def person(self, name: str, *, is_admin: bool = False) -> Person:
        """Create somebody who has no password, only a token."""
        email = f"{name.lower()}@site.test"
        with self.database.write() as session:
            user = accounts.create_user(session, email=email, name=name, password_hash=NO_PASSWORD, is_admin=is_admin)
            token = accounts.create_token(session, user.id, name="test").token
        principal = Principal(user.id, email, name, is_admin, "token")
        return Person(user.id, email, self.client(token=token), principal)

    def project(self, manager: Person, *, name: str = "Mill Quarter", roles: Mapping[str, Person] | None = None) -> int:
        """Create a project with further members by role, and return its id."""
        project_id = int(ok(manager.client.post("/projects", json={"name": name}), 201)["id"])
        for role, person in (roles or {}).items():
            body = {"email": person.email, "role": role}
            ok(manager.client.post(f"/projects/{project_id}/members", json=body), 201)
        return project_id


def ok(response: Any, status: int = 200) -> Any:
    """Return the JSON of an answer that has this status."""
    assert response.status_code == status, response.text
    return response.json() if response.content else None


def refused(response: Any, status: int) -> str:
    """Return the sentence of a refusal with this status, which is a problem document."""
    assert response.status_code == status, response.text
    assert response.headers["content-type"] == "application/problem+json"
    sentence = response.json()["detail"]
    assert sentence.endswith("."), sentence
    return str(sentence)
