"""A stream ends cleanly if and only if it is complete, whatever middlewares there are."""

from collections.abc import AsyncGenerator, Awaitable, Callable, Iterator
from contextlib import ExitStack

import pytest
from fastapi import FastAPI, Request
from starlette.middleware.cors import CORSMiddleware
from starlette.middleware.gzip import GZipMiddleware
from starlette.responses import Response

from tailrace.streams import StreamGuard, TextStream
from tests.streams.serving import Answer, curl, serving

Install = Callable[[FastAPI], None]
PIECE = b"a line of text, and not the last\n" * 100


def http_middleware(app: FastAPI) -> None:
    @app.middleware("http")
    async def mark(request: Request, call_next: Callable[[Request], Awaitable[Response]]) -> Response:
        response = await call_next(request)
        response.headers["x-marked"] = "yes"
        return response


def gzip(app: FastAPI) -> None:
    app.add_middleware(GZipMiddleware)


def cors(app: FastAPI) -> None:
    app.add_middleware(CORSMiddleware, allow_origins=["*"])


def guard(app: FastAPI) -> None:
    app.add_middleware(StreamGuard)


STACKS: dict[str, list[Install]] = {
    "nothing": [],
    "one http": [http_middleware],
    "three http": [http_middleware, http_middleware, http_middleware],
    "gzip inside http": [gzip, http_middleware],
    "http inside gzip": [http_middleware, http_middleware, gzip],
    "guard": [guard],
    "guard around all": [gzip, http_middleware, cors, http_middleware, gzip, http_middleware, cors, guard],
}


def make_app(stack: list[Install]) -> FastAPI:
    app = FastAPI()
    for install in stack:
        install(app)

    @app.get("/{pieces}")
    async def stream(pieces: int, fails: bool = False) -> Response:
        return TextStream(lines(pieces, fails=fails))

    return app


async def lines(pieces: int, *, fails: bool) -> AsyncGenerator[bytes]:
    for _ in range(pieces):
        yield PIECE
    if fails:
        raise RuntimeError("the source failed midway")


@pytest.fixture(scope="module")
def servers() -> Iterator[Callable[[str, str], str]]:
    with ExitStack() as stack:
        running: dict[tuple[str, str], str] = {}

        def address(name: str, http: str) -> str:
            if (name, http) not in running:
                running[name, http] = stack.enter_context(serving(make_app(STACKS[name]), protocol=http))
            return running[name, http]

        yield address


@pytest.mark.parametrize("options", [[], ["--compressed", "-H", "Origin: http://elsewhere.example"]])
@pytest.mark.parametrize("http", ["httptools", "h11"])
@pytest.mark.parametrize("name", STACKS)
class TestEveryStack:
    def test_a_complete_stream_ends_cleanly(
        self, servers: Callable[[str, str], str], name: str, http: str, options: list[str]
    ) -> None:
        answer = curl(servers(name, http) + "/50", *options)
        assert (answer.exit, answer.body) == (0, PIECE * 50)

    @pytest.mark.parametrize("pieces", [1, 50])
    def test_a_stream_that_fails_is_broken(
        self, servers: Callable[[str, str], str], name: str, http: str, options: list[str], pieces: int
    ) -> None:
        answer = curl(f"{servers(name, http)}/{pieces}?fails=true", *options)
        assert is_broken(answer)
        assert (PIECE * pieces).startswith(answer.body)


@pytest.mark.parametrize("http", ["httptools", "h11"])
@pytest.mark.parametrize("name", ["guard", "guard around all"])
def test_a_client_of_http_1_0_can_tell_too(servers: Callable[[str, str], str], name: str, http: str) -> None:
    complete = curl(servers(name, http) + "/50", "--http1.0")
    assert (complete.exit, complete.body) == (0, PIECE * 50)
    assert is_broken(curl(servers(name, http) + "/50?fails=true", "--http1.0"))


def is_broken(answer: Answer) -> bool:
    # 18: the last chunk never came; 56: the connection was reset.
    return answer.exit in {18, 56} and answer.status == 200
