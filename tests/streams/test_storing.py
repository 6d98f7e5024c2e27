"""What is received is stored whole or not at all, and nobody waits for the disk but who sent it."""

import asyncio
import threading
import time
from collections.abc import AsyncIterator, Iterator
from contextlib import contextmanager

import pytest

from tailrace.storage import LocalStorage
from tailrace.streams import ClientGone, in_upload_thread, receive, store
from tailrace.streams.belt import Belt

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


async def then_silence(*pieces: bytes) -> AsyncIterator[bytes]:
    for piece in pieces:
        yield piece
    await asyncio.Event().wait()


class Refuser:
    """An inspector that refuses the last of a number of pieces."""

    def __init__(self, last: int) -> None:
        self._left = last

    def feed(self, _data: bytes) -> None:
        self._left -= 1
        if not self._left:
            raise ValueError("refused")

    def finish(self) -> None:
        pass


@pytest.mark.parametrize("last", [1, 2, 20])
async def test_a_refusal_does_not_wait_for_a_client_that_is_silent(storage: LocalStorage, last: int) -> None:
    with pytest.raises(ValueError, match="refused"):
        async with asyncio.timeout(10):
            await store(then_silence(*[b"piece"] * last), storage.write("a"), inspectors=[Refuser(last)])
    assert left_over(storage) == []


async def test_a_refusal_of_the_last_piece_is_told(storage: LocalStorage) -> None:
    for _ in range(50):
        with pytest.raises(ValueError, match="refused"):
            await store(pieces_of(b"a", b"b"), storage.write("a"), inspectors=[Refuser(2)])
    assert left_over(storage) == []


async def test_a_refusal_counts_for_more_than_that_the_client_is_gone(storage: LocalStorage) -> None:
    for _ in range(50):
        with pytest.raises(ValueError, match="refused"):
            await store(
                pieces_of(b"a", b"b", then=ClientGone()),
                storage.write("a"),
                inspectors=[Refuser(2)],
                keep_on=(ClientGone,),
            )
    assert left_over(storage) == []


async def test_every_piece_is_written_in_its_order_however_fast_they_come(storage: LocalStorage) -> None:
    pieces = [bytes([number % 251]) * (number % 7 + 1) for number in range(5_000)]
    witness = Witness()
    await store(pieces_of(*pieces), storage.write("a"), inspectors=[witness])
    assert witness.told == [*pieces, "finished"]
    assert b"".join(storage.read("a")) == b"".join(pieces)


async def test_all_that_came_before_an_error_is_kept(storage: LocalStorage) -> None:
    pieces = [bytes([number % 251]) * 1_000 for number in range(500)]
    with pytest.raises(ClientGone):
        await store(pieces_of(*pieces, then=ClientGone()), storage.write("a"), keep_on=(ClientGone,))
    assert b"".join(storage.read("a")) == b"".join(pieces)


async def test_a_slow_disk_holds_the_sender_back() -> None:
    slow, sent = Slow(), 0

    async def counted() -> AsyncIterator[bytes]:
        nonlocal sent
        while True:
            sent += 1
            yield b"piece"

    storing = asyncio.create_task(store(counted(), slow.open()))
    while len(slow.steps) < 3:
        assert sent <= len(slow.steps) + 3
        await asyncio.sleep(0.01)
    storing.cancel()
    with pytest.raises(asyncio.CancelledError):
        await storing


async def test_a_silent_upload_holds_no_thread(storage: LocalStorage) -> None:
    waiting, everybody_waits = 0, asyncio.Event()

    async def two_pieces() -> AsyncIterator[bytes]:
        nonlocal waiting
        yield b"a"
        yield b"b"
        waiting += 1
        if waiting == 40:
            everybody_waits.set()
        await asyncio.Event().wait()

    silent = [asyncio.create_task(store(two_pieces(), storage.write(f"silent/{number}"))) for number in range(40)]
    async with asyncio.timeout(10):
        await everybody_waits.wait()
    async with asyncio.timeout(10):
        assert (await store(pieces_of(b"hello"), storage.write("a"))).size == 5
    for each in silent:
        each.cancel()
    await asyncio.gather(*silent, return_exceptions=True)
    assert left_over(storage) == [storage.folder.joinpath("a").name]


@pytest.mark.parametrize("put_fails", [False, True])
async def test_one_who_is_cancelled_is_told_that_and_nothing_else(put_fails: bool) -> None:
    for delay in range(300):
        belt = Belt(_refuse if put_fails else bytes)
        carrying = asyncio.create_task(belt.carry(endless()))
        await asyncio.sleep(delay % 30 / 10_000)  # It may be cancelled at any moment: nothing is waited for.
        failed_first = carrying.done()
        carrying.cancel()
        with pytest.raises(ValueError if failed_first else asyncio.CancelledError):
            await carrying


def _refuse(piece: bytes) -> None:
    time.sleep(0.001)  # so that it is cancelled sometimes before, sometimes after
    raise ValueError(piece)
