"""The inspector says of every file what it is or why not, whatever the pieces, within little memory, and never else."""

import contextlib
import io
import random
import re
import tracemalloc
from collections.abc import Iterable, Iterator
from typing import Any

import pillow_heif
import pytest
import pyvips  # type: ignore[import-untyped]  # the library has no annotations
from hypothesis import given, settings
from hypothesis import strategies as st
from PIL import Image

from tailrace.photos.errors import PictureRefused, PictureTooLarge, TooManyPixels, UnsupportedPicture
from tailrace.photos.inspection import Inspector, Picture, PictureLimits, taken_formats
from tests.photos import byte_forms as forms
from tests.photos.corpus import CORPUS
from tests.photos.entries import Entry
from tests.photos.good_pictures import animated, saved

MIB = 1024 * 1024
LIMITS = PictureLimits()
ACCEPTED = [entry for entry in CORPUS if entry.outcome != "refused"]
GOOD = [entry for entry in CORPUS if entry.outcome == "ready"]
REFUSED = [entry for entry in CORPUS if entry.outcome == "refused"]


def inspect(pieces: Iterable[bytes], limits: PictureLimits = LIMITS) -> Picture | tuple[type[PictureRefused], str]:
    """Return the picture that the pieces are, or the refusal as a type and a sentence, which can be compared."""
    inspector = Inspector(limits)
    try:
        for piece in pieces:
            inspector.feed(piece)
        return inspector.finish()
    except PictureRefused as refusal:
        if "cannot be understood" in refusal.detail:
            raise AssertionError("the inspector itself is wrong") from refusal
        return type(refusal), refusal.detail


def pieces_of(data: bytes, size: int = 256 * 1024) -> Iterator[bytes]:
    return (data[start : start + size] for start in range(0, len(data), size))


@pytest.mark.parametrize("entry", ACCEPTED, ids=str)
def test_what_looks_like_a_picture_is_taken_with_its_size_and_frames(entry: Entry) -> None:
    media_type = f"image/{entry.format}"
    assert inspect(pieces_of(entry.data)) == Picture(entry.format, media_type, *entry.size, entry.frames)


@pytest.mark.parametrize("entry", REFUSED, ids=str)
def test_everything_else_is_refused_with_a_sentence_that_names_what_was_found(entry: Entry) -> None:
    inspector = Inspector(LIMITS)
    with pytest.raises(PictureRefused, match=re.escape(entry.says)) as refusal:
        feed_all(inspector, entry.data)
    assert refusal.value.status == entry.status
    assert re.fullmatch(r"[^\n]{20,300}\.", refusal.value.detail)


def feed_all(inspector: Inspector, data: bytes) -> Picture:
    for piece in pieces_of(data):
        inspector.feed(piece)
    return inspector.finish()


@pytest.mark.parametrize("entry", [entry for entry in CORPUS if len(entry.data) < 50_000], ids=str)
@pytest.mark.parametrize("size", [1, 7])
def test_the_verdict_is_the_same_byte_by_byte(entry: Entry, size: int) -> None:
    assert inspect(pieces_of(entry.data, size)) == inspect([entry.data])


@settings(deadline=None, max_examples=200)
@given(entry=st.sampled_from(CORPUS), seed=st.integers(0, 2**32), most=st.sampled_from([20, 3_000, 100_000, 400_000]))
def test_the_verdict_is_the_same_for_any_split(entry: Entry, seed: int, most: int) -> None:
    assert inspect(_random_pieces(entry.data, seed, most)) == inspect([entry.data])


def _random_pieces(data: bytes, seed: int, most: int) -> Iterator[bytes]:
    choose, start = random.Random(seed), 0
    most = max(most, len(data) // 5_000)
    while start < len(data):
        size = choose.randint(0, most)
        yield data[start : start + size]
        start += size


SMALL = [entry for entry in CORPUS if 20 < len(entry.data) < 100_000]


@settings(deadline=None, max_examples=500)
@given(entry=st.sampled_from(SMALL), damage=st.data())
def test_damage_leads_to_a_refusal_or_to_nothing(entry: Entry, damage: st.DataObject) -> None:
    data = bytearray(entry.data)
    places = st.integers(0, min(len(data), damage.draw(st.sampled_from([64, 1_000, len(data)]))) - 1)
    for place in damage.draw(st.lists(places, max_size=8)):
        data[place : place + 4] = damage.draw(st.sampled_from(_EVIL) | st.binary(min_size=1, max_size=8))
    end = damage.draw(st.integers(0, len(data)) | st.just(len(data)))
    with_rest = bytes(data[:end]) + damage.draw(st.sampled_from([b"", b"\0" * 100, forms.noise(1_000)]))
    verdict = inspect([with_rest])  # and raises nothing that is no refusal
    assert inspect(_random_pieces(with_rest, end, 500)) == verdict
    if isinstance(verdict, Picture):
        assert 0 < verdict.width * verdict.height * verdict.frames <= LIMITS.max_pixels


_EVIL = [
    b"\0\0\0\0",
    b"\xff\xff\xff\xff",
    b"\x7f\xff\xff\xff",
    b"\0\0\0\1",
    b"\1\0\0\0",
    b"\x80\0\0\0",
    b"\xff\xda\0\2",
]


@settings(deadline=None, max_examples=500)
@given(data=st.binary(max_size=2_000), magic=st.sampled_from([entry.data[:16] for entry in GOOD]))
def test_rubbish_behind_a_good_beginning_leads_to_a_refusal_or_to_nothing(data: bytes, magic: bytes) -> None:
    assert inspect([magic + data]) == inspect(pieces_of(magic + data, 3))


def test_memory_stays_below_a_mebibyte_whatever_comes() -> None:
    kept: dict[str, int] = {}
    for entry in CORPUS:
        pieces = list(pieces_of(entry.data[: 4 * MIB]))
        tracemalloc.start()
        with contextlib.suppress(PictureRefused):
            _feed(Inspector(LIMITS), pieces)
        kept[entry.name] = tracemalloc.get_traced_memory()[1]
        tracemalloc.stop()
    worst = max(kept, key=lambda name: kept[name])
    assert kept[worst] < MIB, worst


def _feed(inspector: Inspector, pieces: list[bytes]) -> None:
    for piece in pieces:
        inspector.feed(piece)
    inspector.finish()


@pytest.mark.filterwarnings("ignore::PIL.Image.DecompressionBombWarning")
@pytest.mark.filterwarnings("ignore::UserWarning:PIL")  # Pillow tells of the rubbish that was put there
@pytest.mark.parametrize("entry", GOOD, ids=str)
def test_the_inspector_agrees_with_pillow(entry: Entry) -> None:
    if entry.format == "heic":
        heif = pillow_heif.open_heif(io.BytesIO(entry.data))
        assert (heif.size, len(heif)) == (entry.size, entry.frames)
        return
    with Image.open(io.BytesIO(entry.data)) as picture:
        size, frames = picture.size, getattr(picture, "n_frames", 1)
    assert size == {"avif, turned": (96, 64)}.get(entry.name, entry.size), "Pillow leaves the turning to its caller"
    assert frames == _FRAMES_OF_PILLOW.get(entry.name, entry.frames)


_FRAMES_OF_PILLOW = {
    "tiff, with smaller copies": 4,  # counted as pages
    "png, animated behind a picture of its own": 4,  # that picture is counted
}


@pytest.mark.parametrize("entry", GOOD, ids=str)
def test_the_inspector_agrees_with_libvips(entry: Entry) -> None:
    image = _loaded(entry)
    pages = image.get("n-pages") if image.get_typeof("n-pages") else 1
    # libvips takes the screen of a GIF for nonsense beyond 2,048 pixels, and the size of its frames instead.
    size = {"gif, that is also a script": (1, 1)}.get(entry.name, entry.size)
    assert (image.width, image.height) == size
    assert pages == _PAGES_OF_LIBVIPS.get(entry.name, entry.frames)


_PAGES_OF_LIBVIPS = {
    "tiff, with smaller copies": 4,  # counted as pages
    "png, animated": 1,  # it knows no animations here,
    "png, animated behind a picture of its own": 1,
    "avif, a sequence": 1,  # nor here
}


def _loaded(entry: Entry) -> Any:
    form = {"avif": "heif", "heic": "heif"}.get(entry.format, entry.format)
    return getattr(pyvips.Image, f"{form}load_buffer")(entry.data)


def test_more_bytes_than_allowed_are_refused_as_soon_as_they_come() -> None:
    data = saved("JPEG") + bytes(10_000)
    limits = PictureLimits(max_bytes=9_000)
    inspector = Inspector(limits)
    inspector.feed(data[:9_000])
    with pytest.raises(PictureTooLarge, match="9,000 bytes") as refusal:
        inspector.feed(data[9_000:9_001])
    assert refusal.value.status == 413
    assert inspect([data], limits) == inspect(pieces_of(data, 1), limits) == (PictureTooLarge, refusal.value.detail)


def test_a_file_of_just_the_bytes_allowed_is_taken() -> None:
    data = saved("JPEG")
    assert isinstance(inspect([data], PictureLimits(max_bytes=len(data))), Picture)


def test_pixels_count_in_all_frames() -> None:
    pixels, film = 96 * 64, animated("GIF")
    assert isinstance(inspect([film], PictureLimits(max_pixels=4 * pixels)), Picture)
    kind, sentence = inspect([film], PictureLimits(max_pixels=4 * pixels - 1))  # type: ignore[misc]  # it is refused
    assert kind is TooManyPixels
    assert "in 4 frames" in sentence


def test_a_picture_is_known_as_soon_as_its_header_is() -> None:
    inspector, data = Inspector(LIMITS), saved("PNG")
    inspector.feed(data[:32])
    assert inspector.picture is None
    inspector.feed(data[32:33])
    assert inspector.picture == Picture("png", "image/png", 96, 64, 1)


@pytest.mark.parametrize(
    ("name", "enough"),
    [
        ("a PNG of 900 megapixels in 110 KB", 33),
        ("a JPEG of 65,535 × 65,535 pixels", 700),
        ("a WebP with a canvas of 2⁴⁸ pixels", 30),
        ("a PNG that announces 4 billion frames", 53),
        ("an MP4", 32),
        ("a page with a picture behind it", 512),
        ("random bytes", 512),
    ],
)
def test_a_refusal_comes_before_the_rest_of_the_file(name: str, enough: int) -> None:
    (entry,) = [entry for entry in CORPUS if entry.name == name]
    with pytest.raises(PictureRefused, match=re.escape(entry.says)):
        Inspector(LIMITS).feed(entry.data[:enough])


def test_after_a_refusal_nothing_is_taken_any_more() -> None:
    inspector = Inspector(LIMITS)
    with pytest.raises(UnsupportedPicture) as first:
        inspector.feed(b"#!/bin/sh\n" * 100)
    with pytest.raises(UnsupportedPicture) as second:
        inspector.feed(saved("JPEG"))
    with pytest.raises(UnsupportedPicture) as third:
        inspector.finish()
    assert first.value is second.value is third.value


def test_heic_without_its_extra_is_refused_with_the_cure() -> None:
    (entry,) = [entry for entry in CORPUS if entry.name == "heic"]
    kind, sentence = inspect([entry.data], PictureLimits(formats=taken_formats() - {"heic"}))  # type: ignore[misc]  # it is refused
    assert kind is UnsupportedPicture
    assert "install the extra `heic`" in sentence


def test_every_format_that_is_taken_is_in_the_corpus() -> None:
    assert {entry.format for entry in GOOD} == taken_formats()
