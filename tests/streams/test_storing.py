"""What is received is stored whole or not at all, and nobody waits for the disk but who sent it."""

import asyncio
import threading
import time
from collections.abc import AsyncIterator, Iterator
from contextlib import contextmanager

import pytest

from tailrace.storage import LocalStorage
from tailrace.streams import ClientGone, in_upload_thread, receive, store

pytestmark = pytest.mark.anyio


@pytest.fixture
def storage(tmp_path_factory: pytest.TempPathFactory) -> LocalStorage:
    return LocalStorage(tmp_path_factory.mktemp("storage"))


def left_over(storage: LocalStorage) -> list[str]:
    return [path.name for path in storage.folder.rglob("*") if path.is_file()]


async def pieces_of(*pieces: bytes, then: Exception | None = None) -> AsyncIterator[bytes]:
    for piece in pieces:
        yield piece
    if then is not None:
        raise then


async def endless() -> AsyncIterator[bytes]:
    while True:
        yield b"more"
        await asyncio.sleep(0)


class Witness:
    """An inspector that remembers what it was told, and by which thread."""

    def __init__(self) -> None:
        self.told: list[bytes | str] = []
        self.threads: set[threading.Thread] = set()
        self.called = threading.Event()

    def feed(self, data: bytes) -> None:
        self.called.set()
        self.told.append(data)
        self.threads.add(threading.current_thread())

    def finish(self) -> None:
        self.told.append("finished")


class Slow:
    """A target that takes its time for everything, and remembers how it was left."""

    def __init__(self) -> None:
        self.inside = threading.Event()
        self.writing = threading.Event()
        self.steps: list[str] = []

    @contextmanager
    def open(self) -> Iterator["Slow"]:
        self.inside.set()
        time.sleep(0.2)
        try:
            yield self
            time.sleep(0.2)
            self.steps.append("left")
        except BaseException as error:
            self.steps.append(type(error).__name__)
            raise

    def write(self, data: bytes) -> None:
        self.writing.set()
        time.sleep(0.2)
        self.steps.append("written")


async def test_the_sink_is_returned_when_its_file_is_there(storage: LocalStorage) -> None:
    file = await store(pieces_of(b"hel", b"lo"), storage.write("a/b"))
    assert file.size == 5
    assert b"".join(storage.read("a/b")) == b"hello"


async def test_inspectors_are_fed_every_piece_and_told_of_the_end_before_the_file_is_there(
    storage: LocalStorage,
) -> None:
    witness = Witness()
    await store(pieces_of(b"hel", b"lo"), storage.write("a"), inspectors=[witness])
    assert witness.told == [b"hel", b"lo", "finished"]
    assert threading.main_thread() not in witness.threads


async def test_what_was_received_is_there_when_it_is_kept(storage: LocalStorage) -> None:
    received = await receive(pieces_of(b"hello"), storage.write("a"))
    assert not storage.exists("a")
    assert (await received.keep()).size == 5
    assert storage.exists("a")


async def test_a_failure_of_the_pieces_leaves_nothing(storage: LocalStorage) -> None:
    with pytest.raises(ClientGone):
        await store(pieces_of(b"hel", then=ClientGone()), storage.write("a"))
    assert left_over(storage) == []


async def test_what_came_before_an_error_can_be_kept(storage: LocalStorage) -> None:
    witness = Witness()
    with pytest.raises(ClientGone):
        await store(
            pieces_of(b"hel", then=ClientGone()), storage.write("a"), inspectors=[witness], keep_on=(ClientGone,)
        )
    assert b"".join(storage.read("a")) == b"hel"
    assert witness.told == [b"hel"]


async def test_another_error_keeps_nothing(storage: LocalStorage) -> None:
    with pytest.raises(RuntimeError, match="else"):
        await store(pieces_of(b"hel", then=RuntimeError("something else")), storage.write("a"), keep_on=(ClientGone,))
    assert left_over(storage) == []


async def test_a_target_that_cannot_be_entered_is_told_at_once(storage: LocalStorage) -> None:
    storage.folder.joinpath(".incoming").write_text("in the way")
    with pytest.raises(Exception, match="cannot be used"):
        await store(endless(), storage.write("a"))


async def test_cancelling_leaves_nothing(storage: LocalStorage) -> None:
    witness = Witness()
    storing = asyncio.create_task(store(endless(), storage.write("a"), inspectors=[witness]))
    await in_upload_thread(witness.called.wait)
    assert len(left_over(storage)) == 1
    storing.cancel()
    with pytest.raises(asyncio.CancelledError):
        await storing
    assert left_over(storage) == []


async def test_one_who_is_cancelled_while_the_target_opens_leaves_it_again() -> None:
    slow = Slow()
    storing = asyncio.create_task(store(endless(), slow.open()))
    await in_upload_thread(slow.inside.wait)
    storing.cancel()
    with pytest.raises(asyncio.CancelledError):
        await storing
    assert slow.steps == ["CancelledError"]


async def test_a_target_is_not_left_under_a_thread_that_writes_to_it() -> None:
    slow = Slow()
    storing = asyncio.create_task(store(endless(), slow.open()))
    await in_upload_thread(slow.writing.wait)
    for _ in range(3):
        storing.cancel()
        await asyncio.sleep(0.01)
    with pytest.raises(asyncio.CancelledError):
        await storing
    assert slow.steps == ["written", "CancelledError"]


async def test_nobody_else_waits_for_a_slow_disk() -> None:
    slow = Slow()
    storing = asyncio.create_task(store(pieces_of(b"a", b"b"), slow.open()))
    longest = 0.0
    while not storing.done():
        began = time.monotonic()
        await asyncio.sleep(0.001)
        longest = max(longest, time.monotonic() - began)
    assert slow.steps == ["written", "written", "left"]
    assert longest < 0.15
