"""Files over a real server: whole, in ranges, or visibly broken."""

import base64
import hashlib
import http.client
from collections.abc import Iterator, Mapping
from contextlib import closing
from dataclasses import dataclass
from datetime import UTC, datetime

import pytest
from fastapi import FastAPI
from starlette.middleware.gzip import GZipMiddleware
from starlette.responses import PlainTextResponse, Response

from tailrace.streams import FileDownload, Slots, StreamGuard
from tests.streams.serving import Answer, curl, serving, wait_for

CONTENT = b"".join(b"%07d\n" % number for number in range(100_000))
SHA256 = hashlib.sha256(CONTENT).hexdigest()
ETAG = f'"{SHA256}"'
MODIFIED = datetime(2026, 2, 3, 4, 5, 6, 700, UTC)


@dataclass(frozen=True)
class Source:
    """Some bytes, of which the last `lacking` are missing, or whose reading fails at `fails_at`."""

    content: bytes = CONTENT
    lacking: int = 0
    fails_at: int | None = None

    @property
    def size(self) -> int:
        return len(self.content)

    @property
    def sha256(self) -> str:
        return hashlib.sha256(self.content).hexdigest()

    def read(self, start: int, stop: int) -> Iterator[bytes]:
        for begin in range(start, min(stop, self.size - self.lacking), 10_000):
            if self.fails_at is not None and begin >= self.fails_at:
                raise OSError("the disk failed")
            yield self.content[begin : min(begin + 10_000, stop, self.size - self.lacking)]


@dataclass(frozen=True)
class Linked(Source):
    """A source that may lie elsewhere too."""

    elsewhere: str | None = None

    def link(self, headers: Mapping[str, str]) -> str | None:
        return self.elsewhere and f"{self.elsewhere}?type={headers['Content-Type']}"


class Large:
    """More bytes than any socket takes by itself."""

    size = 200 * 1024 * 1024
    sha256 = SHA256

    def read(self, start: int, stop: int) -> Iterator[bytes]:
        for begin in range(start, stop, 100_000):
            yield bytes(min(begin + 100_000, stop) - begin)


SOURCES = {
    "linked": Linked(elsewhere="https://elsewhere.test/file"),
    "here": Linked(),
    "whole": Source(),
    "empty": Source(b""),
    "shorter": Source(lacking=5),
    "failing": Source(fails_at=400_000),
    "unreadable": Source(fails_at=0),
}


@pytest.fixture(scope="module")
def address() -> Iterator[str]:
    app = FastAPI()
    app.add_middleware(GZipMiddleware)
    app.add_middleware(StreamGuard)

    @app.exception_handler(OSError)
    async def answer(_request: object, error: OSError) -> Response:
        return PlainTextResponse(str(error), 503)

    @app.api_route("/{name}", methods=["GET", "HEAD"])
    def download(name: str) -> Response:
        return FileDownload(SOURCES[name], filename="a report.csv", media_type="text/csv", last_modified=MODIFIED)

    with serving(app) as address:
        yield address


def get(address: str, name: str = "whole", **headers: str) -> Answer:
    options = [option for key, value in headers.items() for option in ("-H", f"{key.replace('_', '-')}: {value}")]
    return curl(f"{address}/{name}", *options)


@pytest.mark.parametrize("options", [[], ["--compressed"]])
def test_the_whole_file(address: str, options: list[str]) -> None:
    answer = curl(f"{address}/whole", *options)
    assert (answer.exit, answer.status, answer.body) == (0, 200, CONTENT)
    assert answer.headers["content-length"] == str(len(CONTENT))
    assert answer.headers["accept-ranges"] == "bytes"
    assert answer.headers["etag"] == ETAG
    assert answer.headers["last-modified"] == "tue, 03 feb 2026 04:05:06 gmt"
    assert answer.headers["content-disposition"] == 'attachment; filename="a report.csv"'
    assert answer.headers["x-content-type-options"] == "nosniff"


def test_the_digest_is_that_of_the_content() -> None:
    headers = FileDownload(Source(), filename="x").headers
    assert headers["repr-digest"] == f"sha-256=:{base64.b64encode(hashlib.sha256(CONTENT).digest()).decode()}:"


def test_an_empty_file(address: str) -> None:
    answer = get(address, "empty")
    assert (answer.exit, answer.status, answer.body, answer.headers["content-length"]) == (0, 200, b"", "0")
    assert get(address, "empty", Range="bytes=0-").status == 416


def test_a_client_is_sent_on_to_a_file_that_lies_elsewhere(address: str) -> None:
    answer = get(address, "linked", Range="bytes=5-")
    assert (answer.exit, answer.status, answer.body) == (0, 307, b"")
    assert answer.headers["location"] == "https://elsewhere.test/file?type=text/csv; charset=utf-8"
    assert answer.headers["cache-control"] == "no-store"
    assert get(address, "linked", If_None_Match=ETAG).status == 304
    assert curl(f"{address}/linked", "--head").status == 200
    assert get(address, "here").body == CONTENT


def test_head(address: str) -> None:
    answer = curl(f"{address}/whole", "--head")
    assert (answer.exit, answer.status, answer.body) == (0, 200, b"")
    assert answer.headers["content-length"] == str(len(CONTENT))


@pytest.mark.parametrize(
    ("asked", "start", "stop"),
    [
        ("bytes=0-0", 0, 1),
        ("bytes=15000-25000", 15_000, 25_001),
        ("BYTES=799990-", 799_990, 800_000),
        ("bytes=-10", 799_990, 800_000),
        ("bytes=-900000", 0, 800_000),
        ("bytes=799999-900000", 799_999, 800_000),
    ],
)
def test_a_range(address: str, asked: str, start: int, stop: int) -> None:
    answer = get(address, Range=asked)
    assert (answer.exit, answer.status, answer.body) == (0, 206, CONTENT[start:stop])
    assert answer.headers["content-range"] == f"bytes {start}-{stop - 1}/800000"
    assert answer.headers["content-length"] == str(stop - start)


@pytest.mark.parametrize(
    "asked",
    [
        "bytes=0-1,5-6",
        "bytes=" + "9" * 5000 + "-",
        "bytes=-" + "9" * 5000,
        "lines=1-2",
        "bytes=5-1",
        "bytes=-",
        "bytes=a-b",
        "bytes=٣-",
        "bytes=1-" + "9" * 4000,
    ],
)
def test_a_range_that_is_not_understood_is_ignored(address: str, asked: str) -> None:
    assert get(address, Range=asked).status == 200


@pytest.mark.parametrize("asked", ["bytes=800000-", "bytes=-0", "bytes=900000-900001"])
def test_a_range_beyond_the_end_is_refused(address: str, asked: str) -> None:
    answer = get(address, Range=asked)
    assert (answer.status, answer.headers["content-range"], answer.body) == (416, "bytes */800000", b"")


@pytest.mark.parametrize(
    ("validator", "status"),
    [
        (ETAG, 206),
        ('"other"', 200),
        (f"W/{ETAG}", 200),
        ("Tue, 03 Feb 2026 04:05:06 GMT", 200),
        ("Mon, 01 Jan 99999999999999999999 00:00:00 GMT", 200),
    ],
)
def test_a_range_of_another_version_is_the_whole_file(address: str, validator: str, status: int) -> None:
    assert get(address, Range="bytes=5-", If_Range=validator).status == status


@pytest.mark.parametrize(
    ("header", "value", "status"),
    [
        ("If_None_Match", ETAG, 304),
        ("If_None_Match", f'"other", W/{ETAG}', 304),
        ("If_None_Match", "*", 304),
        ("If_None_Match", '"other"', 200),
        ("If_Match", ETAG, 200),
        ("If_Match", "*", 200),
        ("If_Match", f"W/{ETAG}", 412),
        ("If_Match", '"other"', 412),
        ("If_Modified_Since", "Tue, 03 Feb 2026 04:05:06 GMT", 304),
        ("If_Modified_Since", "Tue, 03 Feb 2026 04:05:05 GMT", 200),
        ("If_Modified_Since", "no date", 200),
        ("If_Modified_Since", "Mon, 01 Jan 99999999999999999999 00:00:00 GMT", 200),
        ("If_Modified_Since", "Tue, 03 Feb 2026 04:05:06 +99999999999999999999", 200),
        ("If_Modified_Since", f"Mon, 01 Jan 2026 00:00:{'9' * 5000} GMT", 200),
        ("If_Modified_Since", "Mon, 01 Jan 0001 00:00:00 +2359", 200),
        ("If_Modified_Since", "Fri, 31 Dec 9999 23:59:59 -2359", 304),
        ("If_Unmodified_Since", "Mon, 01 Jan 99999999999999999999 00:00:00 GMT", 200),
        ("If_Unmodified_Since", "Tue, 03 Feb 2026 04:05:05 GMT", 412),
        ("If_Unmodified_Since", "Tue, 03 Feb 2026 04:05:06 GMT", 200),
    ],
)
def test_preconditions(address: str, header: str, value: str, status: int) -> None:
    answer = get(address, **{header: value})
    assert (answer.exit, answer.status) == (0, status)
    assert answer.body == (CONTENT if status == 200 else b"")
    assert status != 304 or answer.headers["etag"] == ETAG


def test_a_tag_outweighs_a_date(address: str) -> None:
    late = "Tue, 03 Feb 2026 04:05:06 GMT"
    assert get(address, If_None_Match='"other"', If_Modified_Since=late).status == 200


@pytest.mark.parametrize("name", ["shorter", "failing"])
def test_a_source_that_fails_midway_breaks_the_transfer(address: str, name: str) -> None:
    answer = get(address, name)
    assert (answer.exit, answer.status) == (18, 200)
    assert len(answer.body) < len(CONTENT)
    assert CONTENT.startswith(answer.body)


def test_a_source_that_cannot_be_read_is_a_proper_error(address: str) -> None:
    answer = get(address, "unreadable")
    assert (answer.exit, answer.status, answer.body) == (0, 503, b"the disk failed")


def test_an_interrupted_download_goes_on_where_it_was(address: str) -> None:
    first = get(address, "failing")
    rest = get(address, "whole", Range=f"bytes={len(first.body)}-", If_Range=first.headers["etag"])
    assert hashlib.sha256(first.body + rest.body).hexdigest() == SHA256


def test_nobody_takes_every_slot_and_pictures_of_a_page_are_not_counted() -> None:
    slots = Slots(3, per_holder=2)
    large, small = Large(), Source()
    app = FastAPI()

    @app.get("/{name}")
    def download(name: str, holder: str) -> Response:
        source = large if name == "large" else small
        return FileDownload(source, filename="x", slots=slots, holder=holder)

    with serving(app) as address, closing(begin(address, "ann")), closing(begin(address, "ann")):
        wait_for(lambda: slots.free == 1)
        answer = curl(f"{address}/large?holder=ann")
        assert (answer.status, answer.headers["retry-after"]) == (503, "5")
        assert b"You have 2 streams open" in answer.body
        assert curl(f"{address}/small?holder=ann").body == CONTENT
        assert curl(f"{address}/large?holder=bob", "-r", "0-99").status == 206
        with closing(begin(address, "bob")) as other:
            assert other.getresponse().status == 200
    wait_for(lambda: slots.free == 3)


def begin(address: str, holder: str) -> http.client.HTTPConnection:
    """Ask for the large file, and read nothing of it."""
    connection = http.client.HTTPConnection(address.removeprefix("http://"), timeout=20)
    connection.request("GET", f"/large?holder={holder}")
    return connection
