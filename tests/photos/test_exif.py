"""What a camera wrote is read; rubbish, of which there is much, is left out, and nothing comes through unclean."""

import struct
import unicodedata
from fractions import Fraction
from typing import Any

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from PIL import Image, TiffImagePlugin

from tailrace.photos.exif import CameraFacts, Location, read_exif
from tests.photos import byte_forms as forms
from tests.photos.good_pictures import saved

MAKE, MODEL, CHANGED, TAKEN, DIGITIZED = 0x010F, 0x0110, 0x0132, 0x9003, 0x9004
OFFSET_CHANGED, OFFSET_TAKEN = 0x9010, 0x9011
HERE = {1: "N", 2: (47.0, 22.0, 30.0), 3: "E", 4: (8.0, 32.0, 24.0)}


def block(main: dict[int, Any] | None = None, camera: dict[int, Any] | None = None, gps: Any = None) -> bytes:
    """Return an EXIF block as another library writes it."""
    made = Image.Exif()
    made.update(main or {})
    made.get_ifd(0x8769).update(camera or {})
    made.get_ifd(0x8825).update(gps or {})
    return made.tobytes()


def raw(*entries: tuple[int, int, int, bytes], order: str = "<", rest: bytes = b"") -> bytes:
    """Return a block with one directory; an entry is its number, type, count, and four bytes."""
    head = (b"II" if order == "<" else b"MM") + struct.pack(order + "HIH", 42, 8, len(entries))
    body = b"".join(struct.pack(order + "HHI", *entry[:3]) + entry[3] for entry in entries)
    return head + body + bytes(4) + rest


def test_camera_moment_and_place_are_read() -> None:
    main = {MAKE: "Canon", MODEL: "Canon EOS R6"}
    gps = HERE | {5: b"\1", 6: 12.5}
    facts = read_exif(block(main, {TAKEN: "2026:05:04 03:02:01", OFFSET_TAKEN: "+02:00"}, gps))
    assert facts == CameraFacts("2026-05-04T03:02:01+02:00", "Canon EOS R6", Location(47.375, 8.54, -12.5))


@pytest.mark.parametrize("prefix", [b"", b"Exif\0\0", b"\0\0\0\6Exif\0\0"])
@pytest.mark.parametrize("endian", ["<", ">"])
def test_both_byte_orders_are_read_behind_any_prefix(prefix: bytes, endian: str) -> None:
    made = TiffImagePlugin.ImageFileDirectory_v2(b"II*\0\0\0\0\0" if endian == "<" else b"MM\0*\0\0\0\0")
    made[MAKE], made[MODEL] = "Tailrace", "Model 1"
    header = struct.pack(endian + "2sHI", b"II" if endian == "<" else b"MM", 42, 8)
    assert read_exif(prefix + header + made.tobytes(8)).camera == "Tailrace Model 1"


def test_a_tiff_file_is_its_own_block() -> None:
    exif = Image.Exif()
    exif[MAKE], exif[CHANGED] = "Tailrace", "2020:02:29 12:00:00"
    data = saved("TIFF", exif=exif)
    assert read_exif(data) == CameraFacts("2020-02-29T12:00:00", "Tailrace", None)


def test_the_moment_of_taking_counts_before_that_of_digitizing_and_that_before_the_last_change() -> None:
    main = {CHANGED: "2003:03:03 03:03:03", OFFSET_CHANGED: "-03:30"}
    both = {TAKEN: "2001:01:01 01:01:01", DIGITIZED: "2002:02:02 02:02:02"}
    assert read_exif(block(main, both)).taken_at == "2001-01-01T01:01:01"
    assert read_exif(block(main, {**both, TAKEN: "0000:00:00 00:00:00"})).taken_at == "2002-02-02T02:02:02"
    assert read_exif(block(main)).taken_at == "2003-03-03T03:03:03"


@pytest.mark.parametrize(
    "text",
    [
        *("", " ", "0000:00:00 00:00:00", "    :  :     :  :  ", "2026:02:30 10:00:00", "2026:05:04 25:00:00"),
        *("2026:05:04", "yesterday", "2026:05:04 03:02:61", "٢٠٢٦:05:04 03:02:01", "9" * 5000, "1700:01:01 00:00:00"),
    ],
)
def test_what_is_no_moment_is_left_out(text: str) -> None:
    assert read_exif(block(camera={TAKEN: text})).taken_at is None


@pytest.mark.parametrize("offset", ["", "Z", "+2", "+99:00", "+02:00:00", "abc\0def", "+02:75"])
def test_what_is_no_offset_leaves_the_moment_without_one(offset: str) -> None:
    facts = read_exif(block(camera={TAKEN: "2026:05:04 03:02:01", OFFSET_TAKEN: offset}))
    assert facts.taken_at == "2026-05-04T03:02:01"


@pytest.mark.parametrize(
    ("make", "model", "camera"),
    [
        ("NIKON CORPORATION", "NIKON D850", "NIKON CORPORATION NIKON D850"),
        ("Apple", "iPhone 15", "Apple iPhone 15"),
        ("apple", "Apple iPhone", "Apple iPhone"),
        ("", "DSC", "DSC"),
        ("Sony   ", "", "Sony"),
        (" \n\t ", "", None),
        ("Evil\x1b[2J\r\nSet-Cookie: x", "\u202egnp.exe\u200b", "Evil [2J Set-Cookie: x gnp.exe"),
        ("K" * 5000, "M" * 5000, "K" * 99 + " " + "M" * 99),
    ],
)
def test_a_camera_is_one_clean_line(make: str, model: str, camera: str | None) -> None:
    assert read_exif(block({MAKE: make.encode(), MODEL: model.encode()})).camera == camera


def test_a_name_in_another_encoding_is_readable() -> None:
    assert read_exif(block({MAKE: "Zeiß".encode("latin-1") + b"\0hidden"})).camera == "Zeiß"


@pytest.mark.parametrize(
    "gps",
    [
        {},
        {2: HERE[2], 4: HERE[4]},
        HERE | {1: "Q"},
        HERE | {3: ""},
        HERE | {2: (91.0, 0.0, 0.0)},
        HERE | {4: (181.0, 0.0, 0.0)},
        HERE | {2: (0.0, 0.0, 0.0), 4: (0.0, 0.0, 0.0)},
        {1: "N", 3: "E"},
    ],
)
def test_what_is_no_place_is_left_out(gps: dict[int, Any]) -> None:
    assert read_exif(block(gps=gps)).location is None


def test_a_division_by_nothing_is_no_place() -> None:
    broken = block(gps=HERE).replace(struct.pack(">II", 30, 1), struct.pack(">II", 30, 0))
    assert broken != block(gps=HERE)
    assert read_exif(broken).location is None


@pytest.mark.parametrize(
    ("refs", "expected"), [(("N", "E"), (47.375, 8.54)), (("S", "W"), (-47.375, -8.54)), (("S", "E"), (-47.375, 8.54))]
)
def test_each_half_of_the_earth_has_its_sign(refs: tuple[str, str], expected: tuple[float, float]) -> None:
    location = read_exif(block(gps=HERE | {1: refs[0], 3: refs[1]})).location
    assert location is not None
    assert (location.latitude, location.longitude) == expected


@pytest.mark.parametrize(("altitude", "expected"), [(408.25, 408.25), (1e6, None), (Fraction(1, 3), 0.33)])
def test_an_altitude_is_in_metres_and_within_reason(altitude: Any, expected: float | None) -> None:
    location = read_exif(block(gps=HERE | {5: b"\0", 6: float(altitude)})).location
    assert location is not None
    assert location.altitude == expected


@pytest.mark.parametrize(
    "rubbish",
    [
        None,
        b"",
        b"Exif\0\0",
        b"II*\0",
        b"MM\0*\xff\xff\xff\xff",
        b"Exif\0\0II*\0\x08\0\0\0\xff\xff",
        raw((0x8769, 4, 1, struct.pack("<I", 8)), (0x8825, 4, 1, struct.pack("<I", 8))),
        raw((MAKE, 2, 2**32 - 1, b"\x08\0\0\0"), (TAKEN, 2, 2**31, b"\xff\xff\xff\xff")),
        raw((0x8769, 5, 1, b"\xf0\xff\xff\xff"), (0x8825, 99, 7, b"abcd")),
        raw((0x8825, 4, 1, struct.pack("<I", 2**32 - 1))),
        b"II*\0\x08\0\0\0" + forms.noise(60_000),
    ],
)
def test_rubbish_tells_nothing_and_breaks_nothing(rubbish: bytes | None) -> None:
    facts = read_exif(rubbish)
    assert (facts.taken_at, facts.location) == (None, None)
    _check(facts)


@settings(max_examples=500, deadline=None)
@given(st.binary(max_size=400), st.sampled_from([b"II*\0\x08\0\0\0", b"MM\0*\0\0\0\x08", b""]))
def test_no_bytes_whatever_do_harm(data: bytes, head: bytes) -> None:
    _check(read_exif(head + data))


@settings(max_examples=300, deadline=None)
@given(st.data())
def test_no_damage_to_a_real_block_does_harm(data: st.DataObject) -> None:
    whole = bytearray(block({MAKE: "Tailrace", MODEL: "Model 1"}, {TAKEN: "2026:05:04 03:02:01"}, HERE | {6: 400.0}))
    for _ in range(data.draw(st.integers(1, 6))):
        whole[data.draw(st.integers(0, len(whole) - 1))] = data.draw(st.integers(0, 255))
    _check(read_exif(bytes(whole[: data.draw(st.integers(0, len(whole)))])))


def _check(facts: CameraFacts) -> None:
    assert facts.taken_at is None or 19 <= len(facts.taken_at) <= 25
    camera = facts.camera or "x"
    assert 1 <= len(camera) <= 200
    assert not any(unicodedata.category(each)[0] == "C" for each in camera)
    if facts.location is not None:
        assert abs(facts.location.latitude) <= 90
        assert abs(facts.location.longitude) <= 180
