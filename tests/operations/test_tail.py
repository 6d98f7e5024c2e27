"""A tail gives each line once, whole, in order, whatever happens to the file."""

from collections.abc import AsyncIterator
from pathlib import Path

import pytest

from tailrace.operations.tail import Tail

pytestmark = pytest.mark.anyio


async def _next_bytes(lines: AsyncIterator[bytes]) -> bytes:
    async for line in lines:
        if line:
            return line
    raise AssertionError("the tail ended")


async def test_the_last_lines_come_first_and_then_it_ends(tmp_path: Path) -> None:
    path = tmp_path / "log"
    path.write_bytes(b"".join(b"line %d\n" % number for number in range(30_000)))
    assert [line async for line in Tail(path, lines=2).read(follow=False)] == [b"line 29998\n", b"line 29999\n"]


async def test_a_missing_file_is_empty_until_it_comes(tmp_path: Path) -> None:
    path = tmp_path / "log"
    assert [line async for line in Tail(path, lines=10).read(follow=False)] == []
    lines = Tail(path, lines=10).read(follow=True)
    assert await anext(lines) == b""
    path.write_bytes(b"first\n")
    assert await _next_bytes(lines) == b"first\n"


async def test_a_line_comes_when_it_is_whole(tmp_path: Path) -> None:
    path = tmp_path / "log"
    path.write_bytes(b"one\n")
    lines = Tail(path, lines=10).read(follow=True)
    assert await anext(lines) == b"one\n"
    with path.open("ab", buffering=0) as file:
        file.write(b"tw")
        assert await anext(lines) == b""
        file.write(b"o\nthree\n")
        assert await _next_bytes(lines) == b"two\nthree\n"


async def test_no_line_is_lost_or_repeated_in_a_rotation(tmp_path: Path) -> None:
    path = tmp_path / "log"
    path.write_bytes(b"one\n")
    lines = Tail(path, lines=10).read(follow=True)
    assert await anext(lines) == b"one\n"
    with path.open("ab", buffering=0) as old:
        path.rename(tmp_path / "log.1")
        path.write_bytes(b"three\n")
        old.write(b"two\n")
    assert await _next_bytes(lines) == b"two\n"
    assert await _next_bytes(lines) == b"three\n"
    with path.open("ab", buffering=0) as new:
        new.write(b"four\n")
    assert await _next_bytes(lines) == b"four\n"


async def test_what_is_written_before_the_first_look_is_not_missed(tmp_path: Path) -> None:
    path = tmp_path / "log"
    path.write_bytes(b"one\n")
    log = Tail(path, lines=0)
    with path.open("ab", buffering=0) as file:
        file.write(b"two\n")
    assert await _next_bytes(log.read(follow=True)) == b"two\n"
