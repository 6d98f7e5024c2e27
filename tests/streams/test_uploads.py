"""What becomes of a request's body: refused before it is read, cut where it is wrong, stored whole or not at all."""

import asyncio
import hashlib
import itertools
import signal
import subprocess
import threading
import time
from collections.abc import Callable, Iterator
from contextlib import ExitStack
from pathlib import Path
from typing import Self

import psutil
import pytest
from hypothesis import given
from hypothesis import strategies as st
from starlette.requests import Request
from starlette.types import Message

from tailrace.streams import BodyTooLarge, ClientGone, Incoming, Intake, MalformedBody
from tests.streams.receiver import TOKEN, make_receiver, receiver_process
from tests.streams.sending import Sender
from tests.streams.serving import curl, serving, wait_for

MEGABYTE = 1_000_000
Start = Callable[..., str]


@pytest.fixture
def folder(tmp_path: Path) -> Path:
    return tmp_path / "received"


@pytest.fixture
def seen() -> list[str]:
    """Give the refusals that the server made, by their names."""
    return []


@pytest.fixture(params=["httptools", "h11"])
def start(request: pytest.FixtureRequest, folder: Path, seen: list[str]) -> Iterator[Start]:
    """Give a function that starts the receiving API with an `Intake` of its own."""
    with ExitStack() as stack:

        def serve(**intake: float) -> str:
            app = make_receiver(folder, Intake(**{"max_bytes": MEGABYTE, **intake}), seen)  # type: ignore[arg-type]  # numbers of either kind
            return stack.enter_context(serving(app, protocol=request.param))

        yield serve


def left_over(folder: Path) -> list[str]:
    """Return every file in the storage, those being written included."""
    return [path.name for path in folder.rglob("*") if path.is_file()]


EXPECT = pytest.mark.parametrize("headers", [(), ("Expect: 100-continue",)], ids=["plain", "expect"])


@EXPECT
def test_who_is_not_signed_in_is_told_so_before_a_byte_of_the_body(start: Start, headers: tuple[str, ...]) -> None:
    with Sender(start()) as sender:
        reply = sender.begin("/files/a", "Content-Length: 900000", *headers, token="wrong").reply()
    assert (reply.status, reply.interim) == (401, b"")
    assert reply.headers["connection"] == "close"


@EXPECT
def test_a_body_that_is_announced_too_large_is_refused_before_a_byte_of_it(
    start: Start, headers: tuple[str, ...], seen: list[str]
) -> None:
    with Sender(start()) as sender:
        reply = sender.begin("/files/a", f"Content-Length: {MEGABYTE + 1}", *headers).reply()
    assert (reply.status, reply.interim) == (413, b"")
    assert "1000000 bytes" in reply.json()["detail"]
    assert seen == ["BodyTooLarge"]


def test_a_client_that_asks_first_is_told_to_go_on_once_it_is_allowed_to(start: Start, folder: Path) -> None:
    with Sender(start()) as sender:
        sender.begin("/files/a", "Content-Length: 5", "Expect: 100-continue")
        assert sender.wait_for_interim().startswith(b"HTTP/1.1 100 ")
        reply = sender.send(b"hello").reply()
    assert reply.json() == {"size": 5, "sha256": hashlib.sha256(b"hello").hexdigest()}
    assert (folder / "files/a").read_bytes() == b"hello"


@pytest.mark.parametrize("leave", [Sender.close, Sender.end_sending], ids=["closes", "ends"])
def test_nothing_is_left_of_a_client_that_stops_halfway(
    start: Start, folder: Path, seen: list[str], leave: Callable[[Sender], object]
) -> None:
    with Sender(start()) as sender:
        sender.begin("/files/a", "Content-Length: 900000").send(bytes(400_000))
        wait_for(lambda: len(left_over(folder)) == 1)
        leave(sender)
        wait_for(lambda: seen == ["ClientGone"])
    assert left_over(folder) == []


def test_a_byte_now_and_then_is_too_slow(start: Start, folder: Path, seen: list[str]) -> None:
    url = start(patience_s=0.5, least_rate=1000)
    with Sender(url) as sender:
        began = time.monotonic()
        sender.begin("/files/a", "Content-Length: 900000")
        while not seen and time.monotonic() < began + 10:
            sender.send(b"x")
            time.sleep(0.05)
        reply = sender.reply()
    assert (reply.status, reply.headers["connection"]) == (408, "close")
    assert 0.5 <= time.monotonic() - began < 9
    assert left_over(folder) == []


def test_silence_is_too_slow(start: Start, seen: list[str]) -> None:
    with Sender(start(patience_s=0.3)) as sender:
        assert sender.begin("/files/a", "Content-Length: 900000").send(bytes(100)).reply().status == 408
    assert seen == ["ClientTooSlow"]


def test_a_slow_client_that_keeps_the_pace_may_take_its_time(start: Start) -> None:
    with Sender(start(patience_s=0.3, least_rate=1000)) as sender:
        sender.begin("/files/a", "Content-Length: 3000")
        for _ in range(15):
            time.sleep(0.08)
            sender.send(bytes(200))
        assert sender.reply().status == 201


def test_a_body_without_a_length_is_received_whole(start: Start, folder: Path) -> None:
    chunks = [bytes([number]) * 1000 * number for number in range(1, 40)]
    with Sender(start()) as sender:
        sender.begin("/files/a", "Transfer-Encoding: chunked").send_chunks(chunks).send(b"0\r\n\r\n")
        assert sender.reply().json()["size"] == sum(map(len, chunks))
    assert (folder / "files/a").read_bytes() == b"".join(chunks)


def test_a_body_without_a_length_is_counted(start: Start, folder: Path) -> None:
    with Sender(start(max_bytes=100_000)) as sender:
        sender.begin("/files/a", "Transfer-Encoding: chunked").send_chunks([bytes(60_000)] * 2)
        reply = sender.reply()
    assert (reply.status, reply.headers["connection"]) == (413, "close")
    assert left_over(folder) == []


def test_a_body_whose_chunks_are_broken_leaves_nothing(start: Start, folder: Path) -> None:
    with Sender(start()) as sender:
        sender.begin("/files/a", "Transfer-Encoding: chunked").send_chunks([bytes(60_000)])
        wait_for(lambda: len(left_over(folder)) == 1)
        assert sender.send(b"no number\r\n").reply().status == 400
    wait_for(lambda: left_over(folder) == [])


def test_what_comes_after_the_announced_length_is_no_part_of_a_form(start: Start, folder: Path) -> None:
    form = b'--B\r\nContent-Disposition: form-data; name="a"; filename="a"\r\n\r\n' + bytes(5000) + b"\r\n--B--\r\n"
    with Sender(start()) as sender:
        sender.begin("/form", "Content-Type: multipart/form-data; boundary=B", "Content-Length: 2000").send(form)
        assert sender.reply().status == 400
    wait_for(lambda: left_over(folder) == [])


def test_a_file_is_refused_while_its_client_is_silent_and_the_form_goes_on(
    start: Start, folder: Path, seen: list[str]
) -> None:
    part = b'--B\r\nContent-Disposition: form-data; name="%s"; filename="a"\r\n\r\n'
    end = b"\r\n--B--\r\n"
    first, second = part % b"bad" + b"no" + bytes(200_000), b"\r\n" + part % b"good" + bytes(3000)
    length = len(first) + 5000 + len(second) + len(end)
    with Sender(start()) as sender:
        sender.begin("/form?go_on=1", "Content-Type: multipart/form-data; boundary=B", f"Content-Length: {length}")
        sender.send(first)
        wait_for(lambda: seen == ["NotWanted"])
        assert left_over(folder) == []
        reply = sender.send(bytes(5000) + second + end).reply()
    assert reply.json() == [["bad", "a", -1], ["good", "a", 3000]]
    assert left_over(folder) == ["1"]


@pytest.mark.parametrize("content", [b"no" + bytes(5000), bytes(5000) + b"bad"], ids=["first", "last"])
def test_nothing_is_left_of_what_an_inspector_refuses(start: Start, folder: Path, content: bytes) -> None:
    with Sender(start()) as sender:
        reply = sender.begin("/files/a", f"Content-Length: {len(content)}").send(content).reply()
    assert reply.status == 415
    assert left_over(folder) == []


def test_a_connection_serves_on_after_a_small_body_that_nobody_read(start: Start) -> None:
    with Sender(start()) as sender:
        for _ in range(3):
            reply = sender.begin("/files/a", "Content-Length: 1000", token="wrong").send(bytes(1000)).reply()
            assert (reply.status, reply.headers.get("connection")) == (401, None)
        assert sender.begin("/files/a", "Content-Length: 2").send(b"ok").reply().status == 201


def test_a_client_that_reads_only_when_it_has_sent_all_finds_the_answer(start: Start) -> None:
    with Sender(start(max_bytes=100)) as sender:
        sender.begin("/files/a", "Content-Length: 6000000")
        for _ in range(6):
            sender.send(bytes(MEGABYTE))
        assert sender.reply().status == 413
        assert sender.is_closed()


def test_an_early_answer_waits_for_nobody_for_long(start: Start) -> None:
    with Sender(start(max_bytes=100)) as sender:
        sender.begin("/files/a", "Content-Length: 6000000")
        assert sender.reply().status == 413
        began = time.monotonic()
        assert sender.is_closed()
    assert 1 < time.monotonic() - began < 15


@pytest.fixture(scope="module")
def large(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """Give a file of 200 MB, which takes no room."""
    path = tmp_path_factory.mktemp("large") / "large"
    with path.open("wb") as file:
        file.write(b"no thanks")
        file.truncate(200 * MEGABYTE)
    return path


@pytest.mark.parametrize("headers", [["Expect:"], []], ids=["plain", "expect"])
def test_curl_sees_a_refusal_at_the_first_bytes_and_the_rest_is_not_read(
    tmp_path: Path, large: Path, headers: list[str]
) -> None:
    with receiver_process(tmp_path) as (url, _process):
        flags = [flag for header in [f"Authorization: {TOKEN}", *headers] for flag in ("-H", header)]
        answer = curl(f"{url}/form", *flags, "-F", f"file=@{large}", "-w", "\n%{size_upload}")
    document, _, uploaded = answer.body.rpartition(b"\n")
    assert answer.exit == 0
    assert b"begin like this" in document
    assert int(uploaded) < 20 * MEGABYTE
    assert left_over(tmp_path) == []


def send_blank(url: str, path: str, size: int, pause_s: float = 0.0) -> int:
    """Send `size` zero bytes and return the status."""
    piece = bytes(MEGABYTE)
    with Sender(url) as sender:
        sender.begin(path, f"Content-Length: {size}")
        for _ in range(size // len(piece)):
            sender.send(piece)
            time.sleep(pause_s)
        return sender.reply().status


class Peak:
    """Samples how much memory a process uses, during a block."""

    def __init__(self, process: subprocess.Popen[str]) -> None:
        self._process = psutil.Process(process.pid)
        self._ended = threading.Event()
        self._thread = threading.Thread(target=self._sample)
        self.before = self.most = self._process.memory_info().rss

    @property
    def growth(self) -> int:
        """By how many bytes it grew at most."""
        return self.most - self.before

    def _sample(self) -> None:
        while not self._ended.wait(0.005):
            self.most = max(self.most, self._process.memory_info().rss)

    def __enter__(self) -> Self:
        self._thread.start()
        return self

    def __exit__(self, *_error: object) -> None:
        self._ended.set()
        self._thread.join()


def test_memory_does_not_grow_with_the_size(tmp_path: Path) -> None:
    with receiver_process(tmp_path) as (url, process):
        assert send_blank(url, "/files/warm", 20 * MEGABYTE) == 201
        with Peak(process) as peak:
            assert send_blank(url, "/files/large", 300 * MEGABYTE) == 201
    assert (tmp_path / "files/large").stat().st_size == 300 * MEGABYTE
    assert peak.growth < 2 * MEGABYTE


def test_each_of_many_uploads_takes_little_memory(tmp_path: Path) -> None:
    statuses: list[int] = []

    def send() -> None:
        statuses.append(send_blank(url, "/files/one", 5 * MEGABYTE, pause_s=0.1))

    with receiver_process(tmp_path) as (url, process):
        assert send_blank(url, "/files/warm", 20 * MEGABYTE) == 201
        with Peak(process) as peak:
            threads = [threading.Thread(target=send) for _ in range(40)]
            for thread in threads:
                thread.start()
            for thread in threads:
                thread.join()
    assert statuses == [201] * 40
    assert peak.growth < 40 * 2 * MEGABYTE


def test_a_server_that_stops_tells_those_who_still_send(tmp_path: Path) -> None:
    with receiver_process(tmp_path) as (url, process), Sender(url) as slow, Sender(url) as quick:
        for sender in (slow, quick):
            sender.begin("/files/a", "Content-Length: 500000").send(bytes(100_000))
        wait_for(lambda: len(left_over(tmp_path)) == 2)
        began = time.monotonic()
        process.send_signal(signal.SIGTERM)
        assert quick.send(bytes(400_000)).reply().status == 201
        stopped = slow.reply()
        slow.close()
        process.wait(timeout=10)
    assert (stopped.status, stopped.headers["retry-after"]) == (503, "5")
    assert time.monotonic() - began < 15
    assert left_over(tmp_path) == ["a"]


def request_of(pieces: list[bytes], *headers: tuple[bytes, bytes], gone: bool = False) -> Request:
    """Return a request whose body comes in these pieces; it is never whole if the client is `gone`."""
    numbers = itertools.count()

    async def receive() -> Message:
        number = next(numbers)
        if number >= len(pieces):
            return {"type": "http.disconnect"}
        return {"type": "http.request", "body": pieces[number], "more_body": gone or number + 1 < len(pieces)}

    return Request({"type": "http", "method": "POST", "path": "/", "headers": list(headers)}, receive)


@given(st.lists(st.binary(max_size=40), min_size=1), st.integers(1, 60))
def test_a_body_can_be_taken_in_stretches(pieces: list[bytes], stretch: int) -> None:
    incoming = Incoming(request_of(pieces), Intake(max_bytes=10_000))

    async def take() -> list[bytes]:
        taken = []
        while not incoming.ended:
            taken.append(b"".join([piece async for piece in incoming.pieces(at_most=stretch)]))
        return taken

    taken = asyncio.run(take())
    assert b"".join(taken) == b"".join(pieces)
    assert all(len(each) == stretch for each in taken[:-1])
    assert incoming.received == len(b"".join(pieces))


@pytest.mark.anyio
async def test_no_piece_is_larger_than_promised() -> None:
    incoming = Incoming(request_of([bytes(MEGABYTE)]), Intake(max_bytes=MEGABYTE))
    sizes = [len(piece) async for piece in incoming.pieces()]
    assert max(sizes) == 512 * 1024
    assert sum(sizes) == MEGABYTE


@pytest.mark.anyio
async def test_what_came_before_the_client_left_is_given_out() -> None:
    incoming = Incoming(request_of([b"one", b"two"], gone=True), Intake(max_bytes=100))
    pieces = incoming.pieces()
    assert [await anext(pieces), await anext(pieces)] == [b"one", b"two"]
    with pytest.raises(ClientGone):
        await anext(pieces)
    assert not incoming.ended


@pytest.mark.parametrize("length", ["9" * 25, "9" * 5000, "101", "0" * 30 + "101"])
def test_a_hostile_length_is_too_large(length: str) -> None:
    with pytest.raises(BodyTooLarge):
        Incoming(request_of([b""], (b"content-length", length.encode())), Intake(max_bytes=100))


@pytest.mark.parametrize("length", ["-1", "1e3", "", "²", "0x10"])
def test_a_length_that_is_no_number_is_malformed(length: str) -> None:
    with pytest.raises(MalformedBody):
        Incoming(request_of([b""], (b"content-length", length.encode("latin-1"))), Intake(max_bytes=100))
