"""A form is read part by part as it comes, however its bytes are cut into pieces, or refused."""

import asyncio
import contextlib
import json
import subprocess
from collections.abc import AsyncIterator, Callable, Iterator, Sequence
from pathlib import Path
from typing import Any

import httpx2
import pytest
from hypothesis import given
from hypothesis import strategies as st
from python_multipart.multipart import MultipartParser

from tailrace.streams import (
    BodyTooLarge,
    MalformedMultipart,
    NotMultipart,
    Part,
    UploadRefused,
    multipart,
)
from tests.streams.forms import Field, encode
from tests.streams.receiver import TOKEN, make_receiver
from tests.streams.serving import serving

FORM = "multipart/form-data; boundary=B"
EXAMPLE: list[Field] = [
    ("caption", None, "vor der Tür".encode()),
    ("file", "a.jpg", b"\r\n--\r\r\n--b\r\n-B--\r\n\n--B\r\n--" * 3),
    ("file", "empty", b""),
    ("file", 'quo"te\\.png', b"\r\n"),
]


async def pieces_of(pieces: Sequence[bytes]) -> AsyncIterator[bytes]:
    for piece in pieces:
        yield piece


def read(pieces: Sequence[bytes], content_type: str | None = FORM, **options: int) -> list[Field]:
    """Return every part of the form that comes in these pieces."""

    async def collect() -> list[Field]:
        parts = multipart(pieces_of(pieces), content_type, **options)
        return [(part.name, part.filename, b"".join([piece async for piece in part.pieces()])) async for part in parts]

    return asyncio.run(collect())


def follow(pieces: Sequence[bytes], use: Callable[[Part], Any]) -> list[Any]:
    """Return what `use` makes of each part of the form."""

    async def collect() -> list[Any]:
        return [await use(part) async for part in multipart(pieces_of(pieces), FORM)]

    return asyncio.run(collect())


def test_a_form_may_be_cut_anywhere() -> None:
    body = encode(EXAMPLE)
    for at in range(len(body) + 1):
        assert read([body[:at], body[at:]]) == EXAMPLE


def test_a_form_may_come_in_crumbs() -> None:
    body = encode(EXAMPLE)
    for size in range(1, 20):
        assert read([body[at : at + size] for at in range(0, len(body), size)]) == EXAMPLE


# What looks most like a boundary, and is none.
NEARLY = st.lists(st.sampled_from([b"\r", b"\n", b"-", b"--", b"\r\n", b"\r\n-", b"\r\n--", b"B", b"b", b"\0", b"x"]))
DATA = NEARLY.map(b"".join).filter(lambda data: b"\r\n--B" not in b"\r\n" + data + b"\r\n") | st.binary(max_size=300)
NAMES = st.text(st.characters(exclude_categories=("Cs", "Cc")), min_size=1, max_size=20)
FIELDS = st.lists(st.tuples(NAMES, st.none() | NAMES, DATA.filter(lambda data: b"\r\n--B" not in b"\r\n" + data)))


@given(FIELDS, st.data())
def test_any_form_is_read_as_it_was_written_and_as_another_parser_reads_it(
    fields: list[Field], data: st.DataObject
) -> None:
    body = encode(fields)
    cuts = sorted(data.draw(st.lists(st.integers(0, len(body)), max_size=10)))
    pieces = [body[start:stop] for start, stop in zip([0, *cuts], [*cuts, len(body)], strict=True)]
    assert read(pieces) == fields
    assert read_by_another(pieces) == [each for _, _, each in fields]


@given(st.binary(max_size=400), st.integers(0, 400))
def test_rubbish_is_refused_or_read_and_nothing_else(rubbish: bytes, at: int) -> None:
    body = encode(EXAMPLE)
    for broken in (rubbish, body[:at] + rubbish, body[:at] + rubbish + body[at:]):
        with contextlib.suppress(UploadRefused):
            read([broken])


@given(st.integers(0, len(encode(EXAMPLE)) - 3))
def test_a_form_that_ends_early_is_never_taken_for_whole(length: int) -> None:
    with pytest.raises(MalformedMultipart):
        read([encode(EXAMPLE)[:length]])


def read_by_another(pieces: Sequence[bytes]) -> list[bytes]:
    """Return the parts' data as python-multipart finds it."""
    found: list[bytes] = []

    def begin() -> None:
        found.append(b"")

    def collect(data: bytes, start: int, end: int) -> None:
        found[-1] += data[start:end]

    parser = MultipartParser("B", {"on_part_begin": begin, "on_part_data": collect})
    for piece in pieces:
        parser.write(piece)
    return found


HEAD = b'--B\r\nContent-Disposition: form-data; name="a"'
BROKEN = {
    "nothing": b"",
    "no boundary": b"hello\r\n" * 10,
    "much before the boundary": b"x" * 9000 + encode(EXAMPLE),
    "another boundary": encode(EXAMPLE, "C"),
    "a boundary and nothing": b"--B\r\n",
    "a boundary that goes on": b"--Better\r\n" + encode(EXAMPLE),
    "a boundary with padding": b"--B \r\n" + encode(EXAMPLE)[5:],
    "no headers": b"--B\r\n\r\ndata\r\n--B--\r\n",
    "no disposition": b"--B\r\nContent-Type: text/plain\r\n\r\ndata\r\n--B--\r\n",
    "another disposition": b'--B\r\nContent-Disposition: attachment; name="a"\r\n\r\ndata\r\n--B--\r\n',
    "no name": b"--B\r\nContent-Disposition: form-data\r\n\r\ndata\r\n--B--\r\n",
    "a header without a colon": HEAD + b"\r\nwhat\r\n\r\ndata\r\n--B--\r\n",
    "a header that is folded": HEAD + b"\r\n  more\r\n\r\ndata\r\n--B--\r\n",
    "a header twice": HEAD + HEAD[3:] + b"\r\n\r\ndata\r\n--B--\r\n",
    "a header with a NUL": HEAD + b"\r\nX: a\0b\r\n\r\ndata\r\n--B--\r\n",
    "a line that ends in LF": HEAD.replace(b"\r\n", b"\n") + b"\n\ndata\n--B--\n",
    "a bare LF in a header": HEAD + b"\nX: y\r\n\r\ndata\r\n--B--\r\n",
    "headers that do not end": HEAD + b"\r\n" + b"X-Bomb: boom\r\n" * 1000,
    "one endless header": HEAD + b"x" * 100_000,
    "an encoding for mail": HEAD + b"\r\nContent-Transfer-Encoding: base64\r\n\r\nZGF0YQ==\r\n--B--\r\n",
    "no end": HEAD + b"\r\n\r\ndata\r\n--B\r\n",
    "half an end": HEAD + b"\r\n\r\ndata\r\n--B-",
    "much after the end": encode(EXAMPLE) + b"x" * 9000,
}


@pytest.mark.parametrize("body", BROKEN.values(), ids=BROKEN.keys())
@pytest.mark.parametrize("size", [1, 1_000_000], ids=["crumbs", "whole"])
def test_a_broken_form_is_refused(body: bytes, size: int) -> None:
    with pytest.raises(MalformedMultipart) as refused:
        read([body[at : at + size] for at in range(0, len(body), size)])
    assert (refused.value.status, str(refused.value)[-1]) == (400, ".")


def endless(piece: bytes, beginning: bytes) -> Iterator[bytes]:
    yield beginning
    for _ in range(2000):
        yield piece
    raise AssertionError("it read on and on")


@pytest.mark.parametrize(
    ("beginning", "piece"),
    [(b"", b"\r\n"), (b"--B", b"    "), (HEAD, b"x" * 50), (HEAD + b"\r\n", b"X-%d: y\r\n"), (encode([]), b"bye.....")],
    ids=["before", "padding", "header", "headers", "after"],
)
def test_a_bomb_is_refused_when_it_is_large_not_when_it_ends(beginning: bytes, piece: bytes) -> None:
    async def read_on() -> None:
        async def pieces() -> AsyncIterator[bytes]:
            for each in endless(piece * 4, beginning):
                yield each

        async for _ in multipart(pieces(), FORM):
            pass

    with pytest.raises(MalformedMultipart):
        asyncio.run(read_on())


def test_too_many_parts_are_too_large() -> None:
    fields: list[Field] = [("a", None, b"")] * 5
    assert len(read([encode(fields)], max_parts=5)) == 5
    with pytest.raises(BodyTooLarge, match="more than 4 parts"):
        read([encode(fields)], max_parts=4)


@pytest.mark.parametrize("content_type", [None, "", "application/json", "multipart/mixed; boundary=B", "multipart"])
def test_another_media_type_is_none_of_ours(content_type: str | None) -> None:
    with pytest.raises(NotMultipart):
        read([encode(EXAMPLE)], content_type)


@pytest.mark.parametrize("boundary", ["", "=", '=""', "=" + "x" * 71, '="a "', "=ü", '="a\r\nb"'])
def test_a_boundary_that_is_none_is_refused(boundary: str) -> None:
    with pytest.raises(MalformedMultipart):
        read([encode(EXAMPLE)], f"multipart/form-data; boundary{boundary}")


@pytest.mark.parametrize(
    "content_type",
    ['Multipart/Form-Data;boundary="B"', "multipart/form-data; charset=utf-8; Boundary=B", f"{FORM}; x=y"],
)
def test_a_content_type_may_be_written_in_other_ways(content_type: str) -> None:
    assert read([encode(EXAMPLE)], content_type) == EXAMPLE


@pytest.mark.parametrize(
    ("written", "name"),
    [
        ('filename="Tür.jpg"', "Tür.jpg"),
        ("filename=plain.jpg", "plain.jpg"),
        ('filename="a;b=c.jpg"', "a;b=c.jpg"),
        ('filename="C:\\fakepath\\x.jpg"', "C:\\fakepath\\x.jpg"),
        ("filename*=utf-8''T%C3%BCr.jpg", "Tür.jpg"),
        ("filename*=UTF-8''%ff.jpg", "\ufffd.jpg"),
        ('filename=""', ""),
    ],
)
def test_file_names_as_clients_write_them(written: str, name: str) -> None:
    body = f'--B\r\nContent-Disposition: form-data; name="file"; {written}\r\n\r\ndata\r\n--B--'.encode()
    assert read([body]) == [("file", name, b"data")]


def test_a_part_that_was_not_read_is_skipped() -> None:
    async def first_piece(part: Part) -> tuple[str, bytes]:
        return part.name, await anext(part.pieces(), b"")

    async def name_of(part: Part) -> str:
        return part.name

    body = encode(EXAMPLE)
    names = [name for name, _, _ in EXAMPLE]
    assert follow([body[:200], body[200:]], name_of) == names
    assert [name for name, _ in follow([body[:200], body[200:]], first_piece)] == names


def test_a_field_is_text_of_bounded_size() -> None:
    fields: list[Field] = [("a", None, "Tür".encode())]
    assert follow([encode(fields)], lambda part: part.text(4)) == ["Tür"]
    with pytest.raises(BodyTooLarge, match="'a'"):
        follow([encode(fields)], lambda part: part.text(3))
    with pytest.raises(MalformedMultipart, match="UTF-8"):
        follow([encode([("a", None, b"\xff")])], lambda part: part.text())


def test_what_is_thrown_away_is_bounded_too() -> None:
    body = encode([("a", "a", b"12345"), ("b", "b", b"1")])
    assert follow([body], lambda part: part.discard(5)) == [None, None]
    with pytest.raises(BodyTooLarge):
        follow([body], lambda part: part.discard(4))


def test_curl_and_httpx_are_understood(tmp_path: Path) -> None:
    file = tmp_path / "T ü; 'r'.jpg"
    file.write_bytes(bytes(300_000))
    options = ["-H", f"Authorization: {TOKEN}", "-F", "caption=hé", "-F", f'file=@"{file}"']
    with serving(make_receiver(tmp_path / "received")) as url:
        by_curl = subprocess.run(["curl", "-sS", *options, f"{url}/form"], capture_output=True, check=True)
        by_httpx = httpx2.post(
            f"{url}/form",
            headers={"Authorization": TOKEN},
            data={"caption": "hé"},
            files={"file": (file.name, file.read_bytes(), "image/jpeg")},
        )
    assert by_httpx.json() == [["caption", None, 2], ["file", file.name, 300_000]]
    assert json.loads(by_curl.stdout) == by_httpx.json()
