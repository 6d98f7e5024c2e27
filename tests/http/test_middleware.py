"""What every request meets before its route, and every answer after it."""

import json
import logging
from collections.abc import AsyncIterator

import anyio
import pytest
from fastapi import FastAPI, Request
from starlette.responses import HTMLResponse, StreamingResponse
from starlette.testclient import TestClient
from starlette.types import Message, Receive, Scope, Send

from tailrace.http import middleware, problems
from tailrace.http.access import Answer, RequestLog
from tailrace.streams import Drain

HOME = "http://testserver"
COOKIE = {"Cookie": "tailrace_session=x"}


def _app(answers: list[Answer]) -> FastAPI:
    app = FastAPI()
    problems.install(app)
    middleware.install(
        app,
        observe=answers.append,
        drain=Drain(),
        max_body_bytes=1000,
        base_url="https://tasks.example",
    )

    @app.get("/page")
    def page() -> HTMLResponse:
        return HTMLResponse("<p>hello")

    @app.get("/items/{item}")
    def item(item: str) -> dict[str, str]:
        return {"item": item}

    @app.post("/echo")
    async def echo(request: Request) -> dict[str, int]:
        return {"bytes": len(await request.body())}

    @app.post("/json")
    async def parsed(body: dict[str, str]) -> dict[str, int]:
        return {"members": len(body)}

    @app.get("/breaks")
    def breaks() -> StreamingResponse:
        async def chunks() -> AsyncIterator[bytes]:
            yield b"one"
            raise RuntimeError("midway")

        return StreamingResponse(chunks())

    return app


@pytest.fixture
def answers() -> list[Answer]:
    return []


@pytest.fixture
def client(answers: list[Answer]) -> TestClient:
    return TestClient(_app(answers), raise_server_exceptions=False)


def test_a_request_id_is_made_accepted_and_echoed(client: TestClient) -> None:
    made = client.get("/page").headers["x-request-id"]
    assert made != client.get("/page").headers["x-request-id"]
    assert client.get("/page", headers={"X-Request-ID": "abc-123"}).headers["x-request-id"] == "abc-123"


@pytest.mark.parametrize("unsafe", ["a b", "x" * 65, '"quoted"', "ümlaut".encode().decode("latin-1")])
def test_an_unsafe_request_id_is_replaced(client: TestClient, unsafe: str) -> None:
    echoed = client.get("/page", headers=[(b"X-Request-ID", unsafe.encode("latin-1"))]).headers["x-request-id"]
    assert echoed != unsafe
    assert echoed.isalnum()


def test_each_answer_is_observed_by_its_pattern(client: TestClient, answers: list[Answer]) -> None:
    client.get("/items/7")
    client.get("/nowhere")
    assert [(each.route, each.status, each.whole) for each in answers] == [
        ("/items/{item}", 200, True),
        ("unmatched", 404, True),
    ]
    assert answers[0].bytes == len('{"item":"7"}')


def test_an_answer_that_broke_is_observed_as_cut_off(client: TestClient, answers: list[Answer]) -> None:
    with pytest.raises(RuntimeError, match="midway"):
        TestClient(client.app).get("/breaks")
    assert (answers[0].status, answers[0].whole, answers[0].left) == (200, False, False)


@pytest.mark.parametrize(
    ("kind", "level"), [("text/csv", logging.INFO), ("text/event-stream", logging.DEBUG), ("", logging.DEBUG)]
)
def test_a_client_that_goes_away_is_no_fault(
    answers: list[Answer], caplog: pytest.LogCaptureFixture, kind: str, level: int
) -> None:
    async def app(_scope: Scope, receive: Receive, send: Send) -> None:
        await receive()
        if kind:
            await send({"type": "http.response.start", "status": 200, "headers": [(b"content-type", kind.encode())]})
            await send({"type": "http.response.body", "body": b"one", "more_body": True})
        assert (await receive())["type"] == "http.disconnect"

    asks: list[Message] = [{"type": "http.request"}, {"type": "http.disconnect"}]

    async def receive() -> Message:
        return asks.pop(0)

    async def send(_message: Message) -> None:
        pass

    scope = {"type": "http", "method": "GET", "path": "/events", "headers": []}
    with caplog.at_level(logging.DEBUG, logger="tailrace.access"):
        anyio.run(RequestLog(app, observe=answers.append), scope, receive, send)
    assert [(each.whole, each.left) for each in answers] == [(False, True)]
    (line,) = [record for record in caplog.records if record.name == "tailrace.access"]
    assert line.getMessage().endswith("(the client went away)")
    assert line.levelno == level


def test_the_access_log_has_the_duration_but_not_the_query(
    client: TestClient, caplog: pytest.LogCaptureFixture
) -> None:
    with caplog.at_level(logging.INFO, logger="tailrace.access"):
        client.get("/items/a%0Ab?token=secret")
    (line,) = [record.getMessage() for record in caplog.records if record.name == "tailrace.access"]
    assert line.startswith("GET /items/a\\nb 200 ")
    assert " ms " in line
    assert "secret" not in line


def test_a_body_at_the_limit_passes(client: TestClient) -> None:
    assert client.post("/echo", content=b"x" * 1000).json() == {"bytes": 1000}


def test_a_declared_body_over_the_limit_is_413(client: TestClient) -> None:
    answer = client.post("/echo", content=b"x" * 1001)
    assert answer.status_code == 413
    assert answer.headers["content-type"] == "application/problem+json"
    assert "1000 bytes" in answer.json()["detail"]


@pytest.mark.parametrize(
    ("length", "status"), [("9" * 25, 413), ("9" * 5000, 413), ("-1", 400), ("1e3", 400), ("\u00b2", 400), ("", 400)]
)
def test_a_hostile_length_is_refused(client: TestClient, length: str, status: int) -> None:
    headers = [(b"Content-Length", length.encode("latin-1"))]
    assert client.post("/echo", content=b"", headers=headers).status_code == status


@pytest.mark.parametrize("path", ["/echo", "/json"])
def test_an_undeclared_body_over_the_limit_is_413_whatever_the_route_makes_of_it(client: TestClient, path: str) -> None:
    answer = client.post(path, content=iter([b"x" * 600] * 3), headers={"content-type": "application/json"})
    assert answer.status_code == 413
    assert answer.headers["content-type"] == "application/problem+json"


@pytest.mark.parametrize("path", ["/items/%FF", "/items/%00", "/items/a?q=%C3%28", "/items/a?q=%00"])
def test_an_address_that_is_no_text_is_400(client: TestClient, path: str) -> None:
    answer = client.get(path)
    assert answer.status_code == 400
    assert answer.headers["content-type"] == "application/problem+json"


def test_an_address_with_umlauts_passes(client: TestClient) -> None:
    assert client.get("/items/%C3%BC?q=%E2%82%AC").json() == {"item": "ü"}


@pytest.mark.parametrize(
    "headers",
    [
        {"Sec-Fetch-Site": "cross-site"},
        {"Sec-Fetch-Site": "same-site"},
        {"Sec-Fetch-Site": "cross-site", "Origin": HOME},
        {"Origin": "https://evil.example"},
        {"Origin": "http://testserver:8001"},
        {"Origin": "null"},
        {"Origin": "http://testserver@evil.example"},
    ],
)
@pytest.mark.parametrize("credentials", [COOKIE, {}, {**COOKIE, "Authorization": "Basic eDp5"}])
def test_a_change_from_another_site_is_refused(
    client: TestClient, headers: dict[str, str], credentials: dict[str, str]
) -> None:
    answer = client.post("/echo", content=b"x", headers={**headers, **credentials})
    assert answer.status_code == 403
    assert answer.headers["content-type"] == "application/problem+json"


@pytest.mark.parametrize(
    "headers",
    [
        COOKIE,
        {**COOKIE, "Sec-Fetch-Site": "same-origin", "Origin": HOME},
        {**COOKIE, "Origin": HOME},
        {**COOKIE, "Origin": "https://tasks.example"},
        {"Sec-Fetch-Site": "none"},
        {},
        {"Authorization": "Bearer x", "Sec-Fetch-Site": "cross-site", "Origin": "https://evil.example"},
    ],
)
def test_a_change_from_home_or_from_no_browser_or_with_a_token_passes(
    client: TestClient, headers: dict[str, str]
) -> None:
    assert client.post("/echo", content=b"x", headers=headers).status_code == 200


def test_looking_is_allowed_from_everywhere(client: TestClient) -> None:
    assert client.get("/page", headers={**COOKIE, "Sec-Fetch-Site": "cross-site"}).status_code == 200


def test_pages_carry_a_content_security_policy_and_everything_nosniff(client: TestClient) -> None:
    page = client.get("/page")
    assert "default-src 'none'" in page.headers["content-security-policy"]
    data = client.get("/items/7")
    assert "content-security-policy" not in data.headers
    for answer in (page, data):
        assert answer.headers["x-content-type-options"] == "nosniff"
        assert answer.headers["referrer-policy"] == "same-origin"


def test_json_of_a_log_line_holds_the_request_id(client: TestClient) -> None:
    from tailrace.logging_setup import JsonFormatter, request_id

    token = request_id.set("r-1")
    try:
        record = logging.makeLogRecord({"msg": "hello\nworld", "levelname": "INFO", "request_id": request_id.get()})
        line = JsonFormatter().format(record)
    finally:
        request_id.reset(token)
    assert "\n" not in line
    assert json.loads(line)["request_id"] == "r-1"


def test_what_the_api_tells_one_person_is_kept_for_nobody_else(client: TestClient) -> None:
    for path in ("/items/a", "/nowhere"):
        assert client.get(path).headers["cache-control"] == "private, no-cache"
