"""Heads of any size, sent to the server's protocol by raw sockets."""

import hashlib
import random
import socket
import threading
import time
from collections.abc import Iterator

import pytest
import uvicorn
from starlette.applications import Starlette
from starlette.requests import Request
from starlette.responses import PlainTextResponse
from starlette.routing import Route

from tailrace.cli.protocol import HEAD_BYTES, PIECE_BYTES, Http

MEBIBYTE = 1024 * 1024
GET = b"GET / HTTP/1.1\r\nHost: a\r\n"


async def told(request: Request) -> PlainTextResponse:
    """Answer how much came: bytes of header values, and of the body."""
    head = sum(len(value) for value in request.headers.values())
    return PlainTextResponse(f"{head} {len(await request.body())};")


async def digest(request: Request) -> PlainTextResponse:
    """Answer with the digest of the body, and how long its longest piece was."""
    taken, longest = hashlib.sha256(), 0
    async for piece in request.stream():
        taken.update(piece)
        longest = max(longest, len(piece))
    return PlainTextResponse(f"{taken.hexdigest()} {longest};")


@pytest.fixture(scope="module", params=["uvloop", "asyncio"])
def address(request: pytest.FixtureRequest) -> Iterator[tuple[str, int]]:
    app = Starlette(routes=[Route("/", told, methods=["GET", "POST"]), Route("/digest", digest, methods=["POST"])])
    config = uvicorn.Config(
        app,
        http=Http,  # type: ignore[arg-type]  # as in `tailrace serve`
        loop=request.param,
        log_config=None,
        lifespan="off",
    )
    server = uvicorn.Server(config)
    with socket.create_server(("127.0.0.1", 0)) as listener:
        thread = threading.Thread(target=server.run, kwargs={"sockets": [listener]})
        thread.start()
        yield listener.getsockname()
        server.should_exit = True
        thread.join(20)


def exchange(address: tuple[str, int], *parts: bytes, until: bytes = b"no such end") -> bytes:
    """Send the parts one after the other; return what comes until the body has that, or the connection is closed."""
    got = b""
    with socket.create_connection(address, timeout=10) as connection:
        try:
            for part in parts:
                connection.sendall(part)
            while until not in body_of(got) and (data := connection.recv(65536)):
                got += data
        except (ConnectionResetError, BrokenPipeError):
            pass
    return got


def body_of(answer: bytes) -> bytes:
    """Return what has come of the body."""
    return answer.partition(b"\r\n\r\n")[2]


def head(size: int) -> bytes:
    return GET + b"X-Long: " + b"a" * size + b"\r\n\r\n"


def test_a_head_over_the_bound_is_answered(address: tuple[str, int]) -> None:
    unfinished = head(HEAD_BYTES)[:HEAD_BYTES]
    answer = exchange(address, unfinished)
    assert answer.startswith(b"HTTP/1.1 431 ")
    assert b"connection: close" in answer.lower()
    assert b'"status": 431' in answer


@pytest.mark.parametrize("size", [70_000, 100_000, 400_000])
def test_the_answer_to_a_long_head_is_not_lost_to_a_reset(address: tuple[str, int], size: int) -> None:
    for _ in range(20):
        with socket.create_connection(address, timeout=10) as connection:
            connection.sendall(head(size))
            with connection.makefile("rb") as answer:
                assert answer.read().startswith(b"HTTP/1.1 431 ")


@pytest.mark.parametrize(
    "endless",
    [
        GET + b"X-Long: " + b"a" * MEBIBYTE,
        GET + b"a" * MEBIBYTE,
        GET + b"A: b\r\n" * (MEBIBYTE // 6),
        b"GET /" + b"a" * MEBIBYTE,
        b"POST / HTTP/1.1\r\nHost: a\r\nTransfer-Encoding: chunked\r\n\r\n0\r\nX-Trailer: " + b"a" * MEBIBYTE,
        head(1) + GET + b"X-Long: " + b"a" * MEBIBYTE,
    ],
    ids=["value", "name", "many", "path", "trailer", "pipelined"],
)
def test_an_endless_head_ends_the_connection_at_once(address: tuple[str, int], endless: bytes) -> None:
    began = time.monotonic()
    answer = exchange(address, endless)
    assert time.monotonic() - began < 20
    # A reset, while we still send, may overtake an answer.
    assert answer == b"" or b" 431 " in answer or answer.startswith(b"HTTP/1.1 200 ")


def test_a_head_that_comes_slowly_is_counted_as_well(address: tuple[str, int]) -> None:
    began = time.monotonic()
    exchange(address, GET, *[b"X-Some: " + b"a" * 8000 + b"\r\n"] * 200)
    assert time.monotonic() - began < 20


@pytest.mark.parametrize("size", [0, 16 * 1024, HEAD_BYTES - 100])
def test_a_head_below_the_bound_passes(address: tuple[str, int], size: int) -> None:
    assert exchange(address, head(size), until=b";").endswith(b"%d 0;" % (size + 1))


def test_a_long_body_passes(address: tuple[str, int]) -> None:
    post = b"POST / HTTP/1.1\r\nHost: a\r\nContent-Length: %d\r\n\r\n" % (5 * MEBIBYTE)
    assert exchange(address, post + b"b" * 5 * MEBIBYTE, until=b";").endswith(b" %d;" % (5 * MEBIBYTE))


def test_bodies_that_come_at_the_same_time_are_not_mixed_up(address: tuple[str, int]) -> None:
    bodies = [random.Random(number).randbytes(2 * MEBIBYTE) for number in range(4)]
    head = b"POST /digest HTTP/1.1\r\nHost: a\r\nConnection: close\r\nContent-Length: %d\r\n\r\n" % len(bodies[0])
    connections = [socket.create_connection(address, timeout=10) for _ in bodies]
    for connection in connections:
        connection.sendall(head)
    for start in range(0, len(bodies[0]), 50_000):
        for connection, body in zip(connections, bodies, strict=True):
            connection.sendall(body[start : start + 50_000])
    for connection, body in zip(connections, bodies, strict=True):
        with connection, connection.makefile("rb") as answer:
            assert hashlib.sha256(body).hexdigest().encode() in answer.read()


def test_a_piece_is_no_longer_than_the_buffer(address: tuple[str, int]) -> None:
    body = random.Random(1).randbytes(8 * MEBIBYTE)
    post = b"POST /digest HTTP/1.1\r\nHost: a\r\nContent-Length: %d\r\n\r\n" % len(body)
    digest, longest = body_of(exchange(address, post + body, until=b";")).rstrip(b";").split()
    assert digest.decode() == hashlib.sha256(body).hexdigest()
    assert int(longest) <= 2 * PIECE_BYTES


def test_many_small_chunks_pass(address: tuple[str, int]) -> None:
    post = b"POST / HTTP/1.1\r\nHost: a\r\nTransfer-Encoding: chunked\r\n\r\n"
    assert exchange(address, post + b"1\r\nb\r\n" * 50_000 + b"0\r\n\r\n", until=b";").endswith(b" 50000;")


def test_each_request_on_a_connection_has_the_whole_bound(address: tuple[str, int]) -> None:
    size = 40 * 1024
    with socket.create_connection(address, timeout=10) as connection:
        for _ in range(5):
            connection.sendall(head(size))
            got = b""
            while b";" not in body_of(got):
                data = connection.recv(65536)
                assert data, got
                got += data
            assert got.startswith(b"HTTP/1.1 200 ")


def test_pipelined_requests_pass(address: tuple[str, int]) -> None:
    last = b"GET / HTTP/1.1\r\nHost: a\r\nConnection: close\r\n\r\n"
    answers = exchange(address, head(1000) * 200 + last)
    assert answers.count(b"HTTP/1.1 200 ") == 201
