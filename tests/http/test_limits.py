"""How large a body may be, and who reads the answer when it is not read to its end."""

from collections.abc import Iterator

import pytest
from fastapi import Depends, FastAPI, Request
from pydantic import BaseModel

from tailrace.errors import Unauthorized
from tailrace.http import middleware, problems
from tailrace.http.limits import open_body
from tailrace.streams import Drain, Intake, tus
from tests.streams.sending import Sender
from tests.streams.serving import serving

LIMIT = 1000
MEGABYTE = 1_000_000


class Note(BaseModel):
    text: str


def _signed_in(request: Request) -> None:
    if "wrong" in request.headers["authorization"]:
        raise Unauthorized


def _app() -> FastAPI:
    app = FastAPI()
    app.state.drain = Drain()
    problems.install(app)
    middleware.install(
        app,
        observe=lambda _answer: None,
        drain=app.state.drain,
        max_body_bytes=LIMIT,
        base_url="https://tasks.example",
    )

    @app.post("/notes")
    def note(note: Note) -> int:
        return len(note.text)

    @app.post("/streamed", dependencies=[Depends(_signed_in)])
    async def streamed(request: Request) -> int:
        incoming = open_body(request, Intake(max_bytes=MEGABYTE))
        return sum([len(piece) async for piece in incoming.pieces()])

    @app.post("/unread")
    def unread() -> str:
        return "done"

    @app.post("/locked")
    def locked() -> None:
        raise tus.UploadLocked

    return app


@pytest.fixture(scope="module")
def url() -> Iterator[str]:
    with serving(_app()) as address:
        yield address


def test_a_route_that_streams_has_a_limit_of_its_own(url: str) -> None:
    with Sender(url) as sender:
        sender.begin("/streamed", f"Content-Length: {MEGABYTE}").send(bytes(MEGABYTE))
        assert sender.reply().json() == MEGABYTE


@pytest.mark.parametrize("headers", [(), ("Expect: 100-continue",)], ids=["plain", "expect"])
def test_its_refusals_are_problems_told_before_a_byte_is_read(url: str, headers: tuple[str, ...]) -> None:
    with Sender(url) as sender:
        reply = sender.begin("/streamed", f"Content-Length: {MEGABYTE + 1}", *headers).reply()
    assert (reply.status, reply.interim) == (413, b"")
    assert reply.headers["content-type"] == "application/problem+json"
    assert reply.json()["title"] == "Too large"
    with Sender(url) as sender:
        reply = sender.begin("/streamed", f"Content-Length: {MEGABYTE + 1}", *headers, token="wrong").reply()
    assert (reply.status, reply.interim) == (401, b"")


def test_it_counts_what_comes_without_a_length(url: str) -> None:
    with Sender(url) as sender:
        sender.begin("/streamed", "Transfer-Encoding: chunked").send_chunks([bytes(600_000)] * 2)
        assert sender.reply().status == 413


@pytest.mark.parametrize("headers", [(), ("Expect: 100-continue",)], ids=["plain", "expect"])
def test_any_other_route_refuses_by_the_announced_length(url: str, headers: tuple[str, ...]) -> None:
    with Sender(url) as sender:
        json = ("Content-Type: application/json", f"Content-Length: {MEGABYTE}")
        reply = sender.begin("/notes", *json, *headers).reply()
    assert (reply.status, reply.interim) == (413, b"")
    assert "limit of 1000 bytes" in reply.json()["detail"]
    assert reply.headers["connection"] == "close"


def test_a_route_that_reads_no_body_answers_whatever_is_announced(url: str) -> None:
    with Sender(url) as sender:
        reply = sender.begin("/unread", f"Content-Length: {MEGABYTE}").reply()
    assert (reply.status, reply.json(), reply.headers["connection"]) == (200, "done", "close")


def test_a_connection_serves_on_after_a_little_that_was_not_read(url: str) -> None:
    with Sender(url) as sender:
        for _ in range(2):
            reply = sender.begin("/unread", "Content-Length: 5000").send(bytes(5000)).reply()
            assert (reply.status, "connection" in reply.headers) == (200, False)


def test_the_refusals_of_resumable_uploads_are_problems_too(url: str) -> None:
    with Sender(url) as sender:
        reply = sender.begin("/locked", "Content-Length: 0").reply()
    assert (reply.status, reply.json()["title"], reply.headers["tus-resumable"]) == (423, "Locked", "1.0.0")
