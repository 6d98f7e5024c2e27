"""What every storage promises, whichever it is."""

import hashlib
import os
from collections.abc import Iterator
from datetime import timedelta

import pytest

from tailrace.database import utcnow
from tailrace.storage import InvalidKey, ObjectMissing, Storage, StorageError, StorageUnavailable

pytestmark = pytest.mark.conformance("storage", by="storage")
MANY = 20 * 1024 * 1024 + 7


def blocks(size: int) -> Iterator[bytes]:
    """Yield `size` bytes in uneven pieces."""
    while size > 0:
        piece = os.urandom(min(size, 700_001))
        size -= len(piece)
        yield piece


def put(storage: Storage, key: str, data: bytes) -> None:
    with storage.write(key) as writer:
        writer.write(data)


def break_off(storage: Storage, key: str, size: int) -> None:
    with storage.write(key) as writer:
        for block in blocks(size):
            writer.write(block)
        raise RuntimeError("midway")


def get(storage: Storage, key: str, start: int = 0, stop: int | None = None) -> bytes:
    return b"".join(storage.read(key, start, stop))


@pytest.mark.parametrize("size", [0, 1, MANY])
def test_what_was_written_is_read_with_its_size_and_digest(storage: Storage, size: int) -> None:
    digest = hashlib.sha256()
    with storage.write("reports/a.csv") as writer:
        for block in blocks(size):
            writer.write(block)
            digest.update(block)
    assert (writer.size, writer.sha256) == (size, digest.hexdigest())
    assert storage.size("reports/a.csv") == size
    assert hashlib.sha256(get(storage, "reports/a.csv")).digest() == digest.digest()


def test_an_object_tells_when_it_became_whole(storage: Storage) -> None:
    # Clocks of the server and of this machine, and whole seconds, may differ a little.
    margin = timedelta(seconds=5)
    before = utcnow()
    put(storage, "a", b"1")
    assert before - margin < storage.modified("a") < utcnow() + margin
    with pytest.raises(ObjectMissing):
        storage.modified("b")


def test_nothing_is_visible_before_the_writer_is_left(storage: Storage) -> None:
    with storage.write("reports/a.csv") as writer:
        for block in blocks(MANY):
            writer.write(block)
        assert not storage.exists("reports/a.csv")
        assert list(storage.keys()) == []
    assert storage.exists("reports/a.csv")


@pytest.mark.parametrize("size", [10, MANY])
def test_a_writer_that_raises_leaves_nothing(storage: Storage, size: int) -> None:
    with pytest.raises(RuntimeError, match="midway"):
        break_off(storage, "reports/a.csv", size)
    assert not storage.exists("reports/a.csv")
    assert list(storage.keys()) == []


def test_a_failed_rewrite_leaves_the_object_as_it_was(storage: Storage) -> None:
    put(storage, "a", b"old")
    with pytest.raises(RuntimeError, match="midway"):
        break_off(storage, "a", 10)
    assert get(storage, "a") == b"old"


def test_a_rewrite_takes_the_place_of_the_object(storage: Storage) -> None:
    put(storage, "a", b"old and long")
    put(storage, "a", b"new")
    assert get(storage, "a") == b"new"
    assert storage.size("a") == 3


@pytest.mark.parametrize(("start", "stop"), [(0, 0), (0, 1), (5, 9), (9, None), (10, None), (0, 10), (3, 3)])
def test_a_range_is_exactly_the_bytes_asked_for(storage: Storage, start: int, stop: int | None) -> None:
    put(storage, "a", b"0123456789")
    assert get(storage, "a", start, stop) == b"0123456789"[start:stop]


def test_a_large_range_crosses_the_chunks(storage: Storage) -> None:
    data = b"".join(blocks(MANY))
    put(storage, "a", data)
    assert get(storage, "a", 4_194_303, 12_582_915) == data[4_194_303:12_582_915]
    assert max(len(chunk) for chunk in storage.read("a")) <= 4 * 1024 * 1024


def test_reading_past_the_end_is_an_error_and_not_a_short_answer(storage: Storage) -> None:
    put(storage, "a", b"0123456789")
    with pytest.raises(StorageUnavailable, match="too short"):
        get(storage, "a", 0, 11)


def test_a_missing_object_is_told_as_such(storage: Storage) -> None:
    assert not storage.exists("reports/none")
    with pytest.raises(ObjectMissing, match="reports/none"):
        storage.size("reports/none")
    with pytest.raises(ObjectMissing):
        get(storage, "reports/none")
    storage.delete("reports/none")


def test_a_folder_of_keys_is_no_object(storage: Storage) -> None:
    put(storage, "reports/2026/a", b"1")
    assert not storage.exists("reports/2026")
    with pytest.raises(ObjectMissing):
        get(storage, "reports/2026")


def test_deleting_removes_the_object_alone(storage: Storage) -> None:
    put(storage, "reports/a", b"1")
    put(storage, "reports/b", b"2")
    storage.delete("reports/a")
    assert list(storage.keys()) == ["reports/b"]


def test_keys_are_those_below_the_whole_segments_of_the_prefix(storage: Storage) -> None:
    for key in ("reports/a", "reports/deep/er/b", "reports-old/c", "photos/d"):
        put(storage, key, b"1")
    assert sorted(storage.keys("reports")) == ["reports/a", "reports/deep/er/b"]
    assert sorted(storage.keys("reports/")) == ["reports/a", "reports/deep/er/b"]
    assert list(storage.keys("reports/deep/er")) == ["reports/deep/er/b"]
    assert sorted(storage.keys()) == ["photos/d", "reports-old/c", "reports/a", "reports/deep/er/b"]
    assert list(storage.keys("none")) == []


@pytest.mark.parametrize(
    "key",
    ["", "/", "/etc/passwd", "../a", "a/../../b", "a/./b", "a//b", "a/", ".incoming/a", "a\x00b", "a\nb", "a\\b", "ä",
     "C:/a", "a" * 600, "a b", "%2e%2e/a"],
)  # fmt: skip
def test_a_key_that_could_lead_elsewhere_is_refused(storage: Storage, key: str) -> None:
    for use in (storage.size, storage.exists, storage.delete, lambda key: list(storage.read(key))):
        with pytest.raises(InvalidKey):
            use(key)
    with pytest.raises(InvalidKey), storage.write(key):
        pass


def test_the_callers_own_errors_pass_unchanged(storage: Storage) -> None:
    with pytest.raises(FileNotFoundError, match="my own"), storage.write("a"):
        raise FileNotFoundError("my own")


def test_there_are_no_links_unless_they_are_wanted(storage: Storage) -> None:
    put(storage, "a", b"1")
    assert storage.link("a", {"Content-Type": "text/csv"}) is None
    with pytest.raises(InvalidKey):
        storage.link("../a", {})


def test_a_healthy_storage_passes_its_check_and_keeps_no_trace(storage: Storage) -> None:
    storage.check()
    assert list(storage.keys()) == []
    assert storage.sweep() == 0


def test_every_error_is_a_storage_error_with_a_sentence(storage: Storage) -> None:
    with pytest.raises(StorageError) as caught:
        storage.size("nothing/here")
    assert str(caught.value) == caught.value.detail == "Nothing is stored under 'nothing/here'."
