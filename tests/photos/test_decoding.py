"""A picture can end its decoder, and nothing else: not its worker, not the next picture."""

import gc
import os
import resource
import signal
import sys
import threading
import time
from collections.abc import Iterator
from pathlib import Path

import psutil
import pytest

from tailrace.jobs import JobInterrupted
from tailrace.photos.decoding import (
    DecoderLost,
    Facts,
    Limits,
    Order,
    OverLimit,
    Rendition,
    RenditionOrder,
    close_decoders,
    decode_apart,
    decoder,
)
from tailrace.photos.errors import PictureRefused
from tailrace.photos.exif import CameraFacts, Location
from tests.photos.good_pictures import exif, saved
from tests.photos.heavy_pictures import greedy, slow

MIB = 1024 * 1024
AMPLE = Limits(seconds=60, megabytes=1024)
SIZES = (RenditionOrder("large", 64, 80, 1), RenditionOrder("thumb", 16, 80, 4))


@pytest.fixture(autouse=True)
def no_decoder_is_left() -> Iterator[None]:
    close_decoders()
    yield
    close_decoders()
    assert decoders() == []


def decoders() -> list[psutil.Process]:
    """Return the decoders that this process has."""
    found = psutil.Process().children()
    return [child for child in found if child.is_running() and "tailrace.photos.decoding.child" in _command(child)]


def _command(process: psutil.Process) -> list[str]:
    try:
        return process.cmdline()
    except psutil.Error:
        return []


def order(data: bytes, form: str = "jpeg") -> Order:
    return Order(form, len(data), 100_000_000, SIZES)


def decode(
    data: bytes, form: str = "jpeg", limits: Limits = AMPLE, check: object = None
) -> Iterator[Facts | Rendition]:
    pieces = (data[start : start + 100_000] for start in range(0, len(data), 100_000))
    return decode_apart(order(data, form), pieces, limits=limits, check=check if callable(check) else lambda: None)


def test_facts_come_first_and_then_the_renditions_from_the_smallest() -> None:
    facts, thumb, large = decode(saved("JPEG", exif=exif(place=True)))
    assert isinstance(facts, Facts)
    assert facts.camera == CameraFacts("2026-05-04T03:02:01", "Tailrace Model 1", Location(47.375, 8.54))
    assert isinstance(thumb, Rendition)
    assert isinstance(large, Rendition)
    assert [(made.name, made.width, made.height) for made in (thumb, large)] == [("thumb", 16, 11), ("large", 64, 43)]


def test_one_process_takes_many_pictures_the_refused_ones_included() -> None:
    list(decode(saved("JPEG")))
    (first,) = decoders()
    with pytest.raises(PictureRefused, match="This PNG is damaged"):
        list(decode(saved("JPEG"), "png"))
    list(decode(saved("PNG"), "png"))
    assert [process.pid for process in decoders()] == [first.pid]


def test_after_many_pictures_a_decoder_is_replaced(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(decoder, "_PICTURES_EACH", 2)
    pids = []
    for _ in range(3):
        list(decode(saved("JPEG")))
        pids += [process.pid for process in decoders()]
    assert len(pids) == 2  # The first took two pictures and was then let go.
    assert len(set(pids)) == 2


def test_a_picture_that_takes_too_long_is_ended_with_a_sentence() -> None:
    began = time.monotonic()
    with pytest.raises(OverLimit) as refusal:
        list(decode(slow(), "png", Limits(seconds=0.3, megabytes=2048)))
    assert refusal.value.detail == "This picture takes more than the 0.3 s that it may to decode."
    assert time.monotonic() - began < 10
    assert decoders() == []


@pytest.mark.parametrize("form", ["png", "webp", "avif", "jpeg"])
def test_a_picture_that_takes_too_much_memory_is_ended_with_a_sentence(form: str) -> None:
    with pytest.raises(OverLimit) as refusal:
        list(decode(greedy(form), form, Limits(seconds=60, megabytes=12)))
    assert refusal.value.detail == "This picture takes more than the 12 MB of memory that it may to decode."
    assert decoders() == []
    list(decode(saved("JPEG")))


@pytest.mark.parametrize("number", [signal.SIGKILL, signal.SIGSEGV, signal.SIGABRT])
def test_a_decoder_that_is_killed_takes_nobody_along(number: signal.Signals) -> None:
    killer = threading.Thread(target=_kill_when_busy, args=[number])
    killer.start()
    with pytest.raises(DecoderLost, match=f"was killed by {number.name}"):
        list(decode(slow(), "png"))
    killer.join()
    assert len(list(decode(saved("JPEG")))) == 3


def _kill_when_busy(number: signal.Signals) -> None:
    deadline = time.monotonic() + 30
    while time.monotonic() < deadline:
        for process in decoders():
            if process.cpu_times().user > 0.3:
                os.kill(process.pid, number)
                return
        threading.Event().wait(0.02)


def test_one_that_died_while_it_had_nothing_to_do_is_replaced() -> None:
    list(decode(saved("JPEG")))
    (idle,) = decoders()
    idle.kill()
    idle.wait()
    assert len(list(decode(saved("JPEG")))) == 3


def test_whoever_asked_may_stop_it_at_any_time() -> None:
    began = time.monotonic()

    def check() -> None:
        if time.monotonic() - began > 0.5:
            raise JobInterrupted

    with pytest.raises(JobInterrupted):
        list(decode(slow(), "png", check=check))
    assert time.monotonic() - began < 15
    assert decoders() == []


def test_one_whose_answers_nobody_wants_is_ended() -> None:
    answers = decode(saved("JPEG"))
    next(answers)
    assert len(decoders()) == 1
    del answers
    gc.collect()
    assert decoders() == []


def test_what_goes_wrong_with_the_original_is_raised_and_ends_it() -> None:
    def pieces() -> Iterator[bytes]:
        yield b"\xff\xd8"
        raise OSError("the disk")

    with pytest.raises(OSError, match="the disk"):
        list(decode_apart(order(saved("JPEG")), pieces(), limits=AMPLE, check=lambda: None))
    assert decoders() == []


@pytest.mark.skipif(sys.platform != "linux", reason="only Linux tells the limits of another process")
def test_it_knows_no_secret_and_writes_no_file(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
    monkeypatch.setenv("TAILRACE_SECRET", "s3cret" * 6)
    monkeypatch.setenv("AWS_SECRET_ACCESS_KEY", "s3cret")
    list(decode(saved("JPEG")))
    (process,) = decoders()
    assert "s3cret" not in str(process.environ())
    assert resource.prlimit(process.pid, resource.RLIMIT_FSIZE)[1] <= 65_536
    assert resource.prlimit(process.pid, resource.RLIMIT_CORE)[1] == 0
    assert resource.prlimit(process.pid, resource.RLIMIT_DATA)[1] < 2048 * MIB


def test_a_large_picture_is_decoded_without_a_file_of_its_own() -> None:
    # libvips keeps what is over 100 MB in a file by default, and a killed process would leave it.
    assert len(list(decode(greedy("webp", 6_000, 6_000), "webp"))) == 3
