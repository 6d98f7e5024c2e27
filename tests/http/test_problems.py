"""Every error is a problem document with a sentence, and none gives the inside away."""

from typing import Annotated

import pytest
from fastapi import FastAPI, HTTPException, Query
from pydantic import BaseModel
from sqlalchemy.exc import OperationalError
from starlette.testclient import TestClient

from tailrace.database import DatabaseBusy
from tailrace.errors import Conflict, NotFound, TooManyRequests
from tailrace.http import problems
from tailrace.storage import StorageFull, StorageUnavailable


class Body(BaseModel):
    name: str


def _app() -> FastAPI:
    app = FastAPI()
    problems.install(app)

    @app.get("/missing")
    def missing() -> None:
        raise NotFound("There is no such thing.")

    @app.get("/busy")
    def busy() -> None:
        raise DatabaseBusy("locked")

    @app.get("/broken-database")
    def broken_database() -> None:
        raise OperationalError("SELECT secret", {}, Exception("disk I/O error at /srv/private"))

    @app.get("/full-storage")
    def full_storage() -> None:
        raise StorageFull("No space left on /srv/private")

    @app.get("/broken-storage")
    def broken_storage() -> None:
        raise StorageUnavailable("/srv/private is not mounted")

    @app.get("/later")
    def later() -> None:
        raise TooManyRequests(retry_after_s=7)

    @app.get("/members")
    def members() -> None:
        raise Conflict("Not now.", job="abc")

    @app.get("/plain")
    def plain() -> None:
        raise HTTPException(418, "I am a teapot, sorry.")

    @app.get("/defect")
    def defect() -> None:
        raise RuntimeError("the password is hunter2")

    @app.post("/body")
    def body(body: Body, limit: Annotated[int, Query(ge=1)] = 1) -> int:
        return len(body.name.encode())

    return app


@pytest.fixture
def client() -> TestClient:
    return TestClient(_app(), raise_server_exceptions=False)


@pytest.mark.parametrize(
    ("path", "status", "sentence"),
    [
        ("/missing", 404, "There is no such thing."),
        ("/later", 429, "Too many requests: wait a little."),
        ("/members", 409, "Not now."),
        ("/plain", 418, "I am a teapot, sorry."),
        ("/nowhere", 404, "There is nothing at this address."),
    ],
)
def test_an_error_is_a_problem_document(client: TestClient, path: str, status: int, sentence: str) -> None:
    answer = client.get(path)
    assert answer.status_code == status
    assert answer.headers["content-type"] == "application/problem+json"
    document = answer.json()
    assert document["status"] == status
    assert document["detail"] == sentence
    assert document["type"] == "about:blank"
    assert document["title"]


def test_headers_and_further_members_are_kept(client: TestClient) -> None:
    assert client.get("/later").headers["retry-after"] == "7"
    assert client.get("/members").json()["job"] == "abc"
    refused = client.delete("/missing")
    assert refused.status_code == 405
    assert refused.headers["allow"] == "GET"


@pytest.mark.parametrize("path", ["/busy", "/broken-database"])
def test_a_database_that_does_not_answer_is_503_with_a_time_to_retry(client: TestClient, path: str) -> None:
    answer = client.get(path)
    assert answer.status_code == 503
    assert int(answer.headers["retry-after"]) > 0
    assert "private" not in answer.text
    assert "SELECT" not in answer.text


def test_a_storage_that_does_not_answer_names_no_folder(client: TestClient) -> None:
    full, broken = client.get("/full-storage"), client.get("/broken-storage")
    assert (full.status_code, broken.status_code) == (507, 503)
    assert int(broken.headers["retry-after"]) > 0
    assert "/srv/private" not in full.text + broken.text


def test_a_defect_says_nothing_of_its_inside(client: TestClient) -> None:
    answer = client.get("/defect")
    assert answer.status_code == 500
    assert answer.headers["content-type"] == "application/problem+json"
    assert "hunter2" not in answer.text


def test_a_wrong_value_is_named_but_not_repeated(client: TestClient) -> None:
    answer = client.post("/body?limit=0", json={"name": 7, "password": "hunter2"})
    assert answer.status_code == 422
    assert {fault["location"] for fault in answer.json()["errors"]} == {"query.limit", "body.name"}
    assert "hunter2" not in answer.text


@pytest.mark.parametrize("body", [b"{", b'{"name": "\xff"}', b"[" * 100_000])
def test_a_body_that_is_no_json_is_400(client: TestClient, body: bytes) -> None:
    answer = client.post("/body", content=body, headers={"content-type": "application/json"})
    assert answer.status_code == 400
    assert answer.headers["content-type"] == "application/problem+json"


def test_half_a_surrogate_pair_cannot_break_the_answer(client: TestClient) -> None:
    body = b'{"name": "\\ud800", "\\ud800": 1}'
    answer = client.post("/body", content=body, headers={"content-type": "application/json"})
    assert answer.status_code == 422
