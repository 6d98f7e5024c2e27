"""Renditions show what the picture shows: whole, upright, in the right colours and size; and nothing else."""

import base64
import functools
import io
import re
import struct
from collections.abc import Callable, Iterator
from typing import Any

import pillow_heif
import pytest
import pyvips  # type: ignore[import-untyped]  # the library has no annotations
import thumbhash  # type: ignore[import-untyped]  # nor has this one
from PIL import Image, ImageCms

from tailrace.photos import rendering
from tailrace.photos.errors import BrokenPicture, PictureRefused, TooManyPixels
from tailrace.photos.inspection import Inspector, PictureLimits
from tests.photos import byte_forms as forms
from tests.photos.corpus import CORPUS
from tests.photos.entries import Entry
from tests.photos.good_pictures import animated, exif, heic, saved, vips

READY = [entry for entry in CORPUS if entry.outcome == "ready"]
FAILED = [entry for entry in CORPUS if entry.outcome == "failed"]
PIXELS = 100_000_000
RED, GREEN, BLUE, GREY = (220, 20, 20), (20, 200, 30), (30, 40, 210), (128, 128, 128)


@functools.cache
def large(form: str, **options: Any) -> bytes:
    """Return a picture of 3000 × 2000 pixels with detail everywhere."""
    noise = Image.frombytes("RGB", (300, 200), forms.noise(300 * 200 * 3))
    file = io.BytesIO()
    noise.resize((3000, 2000), Image.Resampling.BICUBIC).save(file, form, **options)
    return file.getvalue()


WHOLE: dict[str, Callable[[], bytes]] = {
    "jpeg": lambda: saved("JPEG", quality=95),
    "jpeg, progressive": lambda: saved("JPEG", quality=95, progressive=True),
    "jpeg, large": lambda: large("JPEG"),
    "png": lambda: saved("PNG"),
    "png, interlaced": lambda: vips("png", interlace=True),
    "webp": lambda: saved("WEBP"),
    "webp, lossless": lambda: saved("WEBP", lossless=True),
    "avif": lambda: saved("AVIF"),
    "gif": lambda: saved("GIF"),
    "tiff": lambda: saved("TIFF"),
    "tiff, Deflate": lambda: vips("tif", compression="deflate"),
    "tiff, of tiles": lambda: vips("tif", tile=True, tile_width=16, tile_height=16),
    "heic": heic,
}


def decode(data: bytes, form: str, longest: int = 2048) -> Image.Image:
    """Decode, and return that as an image of another library."""
    return as_pillow(rendering.decode(data, form, longest=longest, max_pixels=PIXELS).image)


def encode(image: Any, longest: int, quality: int = 80) -> rendering.Encoded:
    return rendering.encode(rendering.fit(image, longest), quality=quality, effort=1)


def as_pillow(image: Any) -> Image.Image:
    mode = {3: "RGB", 4: "RGBA"}[image.bands]
    return Image.frombytes(mode, (image.width, image.height), bytes(image.write_to_memory()))


def corners() -> Image.Image:
    """Return a picture that looks different whichever way it is turned."""
    picture = Image.new("RGB", (120, 80), GREY)
    picture.paste(RED, (0, 0, 60, 40))
    picture.paste(GREEN, (60, 0, 120, 40))
    picture.paste(BLUE, (0, 40, 60, 80))
    return picture


def colours(picture: Image.Image) -> list[tuple[int, ...]]:
    """Return the middle of each quarter, from the left to the right, from the top to the bottom."""
    wide, high = picture.size
    places = [
        (wide // 4, high // 4),
        (3 * wide // 4, high // 4),
        (wide // 4, 3 * high // 4),
        (3 * wide // 4, 3 * high // 4),
    ]
    return [tuple(int(value) for value in as_tuple(picture.getpixel(place))) for place in places]


def as_tuple(pixel: Any) -> tuple[int, ...]:
    return pixel if isinstance(pixel, tuple) else (pixel,)


def near(one: tuple[int, ...], other: tuple[int, ...], tolerance: int = 6) -> bool:
    return all(abs(a - b) <= tolerance for a, b in zip(one, other, strict=True))


def written(picture: Image.Image, form: str, **options: Any) -> bytes:
    file = io.BytesIO()
    if form == "HEIC":
        pillow_heif.from_pillow(picture).save(file, quality=95, **options)
    else:
        picture.save(file, form, **options)
    return file.getvalue()


def webp_chunks(data: bytes) -> Iterator[str]:
    """Give the names of the chunks of a WebP (RFC 9649)."""
    assert (data[:4], data[8:12]) == (b"RIFF", b"WEBP")
    at = 12
    while at < len(data):
        name, size = struct.unpack("<4sI", data[at : at + 8])
        yield name.decode()
        at += 8 + size + size % 2


@pytest.mark.parametrize("entry", READY, ids=str)
def test_every_good_picture_becomes_a_webp_of_its_size(entry: Entry) -> None:
    decoded = rendering.decode(entry.data, entry.format, longest=2048, max_pixels=PIXELS)
    assert (decoded.image.format, decoded.image.interpretation) == ("uchar", "srgb")
    made = encode(decoded.image, 2048, 80)
    assert Image.open(io.BytesIO(made.data)).size == (made.width, made.height)
    if "also a script" not in entry.name:  # Its screen is empty but for one pixel, which is all that libvips shows.
        assert sorted((made.width, made.height)) == sorted(min(edge, 2048) for edge in entry.size)
    assert set(webp_chunks(made.data)) <= {"VP8 ", "VP8L", "VP8X", "ALPH"}
    assert len(rendering.placeholder(decoded.image)) <= 64


@pytest.mark.parametrize("entry", FAILED, ids=str)
def test_what_cannot_be_decoded_is_refused_with_a_sentence(entry: Entry) -> None:
    with pytest.raises(PictureRefused) as refusal:
        rendering.decode(entry.data, entry.format, longest=2048, max_pixels=PIXELS)
    assert entry.says in refusal.value.detail
    assert re.fullmatch(r"This [A-Za-z]+ [^\n]{10,400}\.", refusal.value.detail)


@pytest.mark.parametrize("name", WHOLE)
@pytest.mark.parametrize("part", [0.4, 0.5, 0.7, 0.9, 0.99, -64, -30, -16, -4, -2, -1])
@pytest.mark.parametrize("longest", [2048, 16])
def test_a_picture_that_is_cut_off_never_becomes_ready(name: str, part: float, longest: int) -> None:
    data, form = WHOLE[name](), name.partition(",")[0]
    cut = data[: int(len(data) * part) if part > 0 else int(part)]
    with pytest.raises(PictureRefused):
        _take_in(cut, form, longest)


def _take_in(data: bytes, form: str, longest: int) -> None:
    """Do what happens to a file, the renderer first: what it lets pass, such as a missing end, did not come in."""
    rendering.decode(data, form, longest=longest, max_pixels=PIXELS)
    inspector = Inspector(PictureLimits())
    inspector.feed(data)
    inspector.finish()


@pytest.mark.parametrize("name", [name for name in WHOLE if name != "tiff"])
@pytest.mark.parametrize("part", [0.5, 0.9])
def test_the_renderer_itself_notices_missing_pixels(name: str, part: float) -> None:
    data, form = WHOLE[name](), name.partition(",")[0]
    with pytest.raises(BrokenPicture):
        rendering.decode(data[: int(len(data) * part)], form, longest=16, max_pixels=PIXELS)


@pytest.mark.parametrize("progressive", [False, True])
@pytest.mark.parametrize("part", [0.3, 0.5, 0.9, 0.99])
@pytest.mark.parametrize("filler", ["zeros", "nothing"])
@pytest.mark.parametrize("longest", [2048, 1500, 700, 300])
def test_an_end_marker_behind_half_a_jpeg_deceives_nobody(
    progressive: bool, part: float, filler: str, longest: int
) -> None:
    data = large("JPEG", quality=90, progressive=progressive)
    kept = data[: int(len(data) * part)]
    lie = kept + bytes(len(data) - len(kept) - 2 if filler == "zeros" else 0) + b"\xff\xd9"
    with pytest.raises(BrokenPicture, match="is cut off"):
        rendering.decode(lie, "jpeg", longest=longest, max_pixels=PIXELS)


@pytest.mark.parametrize("orientation", range(1, 9))
@pytest.mark.parametrize("form", ["JPEG", "PNG", "WEBP", "TIFF"])
def test_a_picture_is_upright_whichever_way_the_camera_was_held(form: str, orientation: int) -> None:
    turned = {
        1: [],
        2: [Image.Transpose.FLIP_LEFT_RIGHT],
        3: [Image.Transpose.ROTATE_180],
        4: [Image.Transpose.FLIP_TOP_BOTTOM],
        5: [Image.Transpose.TRANSPOSE],
        6: [Image.Transpose.ROTATE_90],
        7: [Image.Transpose.TRANSVERSE],
        8: [Image.Transpose.ROTATE_270],
    }
    picture = corners()
    for transpose in turned[orientation]:
        picture = picture.transpose(transpose)
    block = Image.Exif()
    block[0x0112] = orientation
    quality = {"quality": 95} if form in {"JPEG", "WEBP"} else {}
    upright = decode(written(picture, form, exif=block.tobytes(), **quality), form.lower())
    assert upright.size == (120, 80)
    assert all(map(near, colours(upright), (RED, GREEN, BLUE, GREY)))


@pytest.mark.parametrize("form", ["AVIF", "HEIC"])
def test_a_picture_that_its_own_boxes_turn_is_turned_once(form: str) -> None:
    block = Image.Exif()
    block[0x0112] = 6
    data = written(corners(), form, exif=block.tobytes(), **({"quality": 95} if form == "AVIF" else {}))
    shown = decode(data, form.lower())
    assert shown.size == (80, 120)
    assert all(near(a, b, 12) for a, b in zip(colours(shown), (BLUE, RED, GREY, GREEN), strict=True))


@pytest.mark.parametrize("profile", [forms.DISPLAY_P3, forms.ADOBE_RGB], ids=["Display P3", "Adobe RGB"])
@pytest.mark.parametrize("form", ["JPEG", "PNG", "TIFF", "WEBP", "AVIF", "HEIC"])
def test_colours_are_what_their_profile_says(form: str, profile: bytes) -> None:
    quality = {"quality": 98, "subsampling": "4:4:4"} if form in {"JPEG", "AVIF"} else {}
    data = written(corners(), form, icc_profile=profile, **quality)
    ours = colours(decode(data, form.lower()))
    to_srgb = ImageCms.profileToProfile(
        corners(), ImageCms.ImageCmsProfile(io.BytesIO(profile)), ImageCms.createProfile("sRGB"),
        renderingIntent=ImageCms.Intent.RELATIVE_COLORIMETRIC,
    )  # fmt: skip
    assert to_srgb is not None
    assert all(near(a, b, 8) for a, b in zip(ours, colours(to_srgb), strict=True))
    assert not all(near(a, b, 8) for a, b in zip(ours, (RED, GREEN, BLUE, GREY), strict=True))


def test_cmyk_is_shown_as_it_would_be_printed() -> None:
    brown = (150, 85, 60)  # Bright red cannot be printed.
    picture = flat(brown, "uchar", "srgb")
    for options in ({"profile": "cmyk"}, {"keep": "none"}):
        data = bytes(picture.icc_transform("cmyk", input_profile="srgb").jpegsave_buffer(Q=95, **options))
        assert near(colours(decode(data, "jpeg"))[0], brown)


def flat(colour: tuple[int, ...], kind: str, space: str) -> Any:
    """Return an image of one colour."""
    return (pyvips.Image.black(40, 40) + list(colour)).cast(kind).copy(interpretation=space)


@pytest.mark.parametrize("form", ["png", "tif"])
def test_sixteen_bits_become_eight(form: str) -> None:
    grey, many = flat((30_000,), "ushort", "grey16"), flat((60_000, 10_000, 20_000), "ushort", "rgb16")
    for image, expected in ((grey, (117, 117, 117)), (many, (233, 39, 78))):
        data = bytes(image.write_to_buffer(f".{form}"))
        assert near(colours(decode(data, "png" if form == "png" else "tiff"))[0], expected, 2)


@pytest.mark.parametrize("form", ["PNG", "WEBP", "TIFF", "AVIF", "HEIC", "GIF"])
def test_what_is_transparent_stays_so(form: str) -> None:
    picture = corners().convert("RGBA")
    picture.paste((0, 0, 0, 0), (60, 40, 120, 80))
    decoded = rendering.decode(written(picture, form), form.lower(), longest=2048, max_pixels=PIXELS)
    made = encode(decoded.image, 60, 80)
    shown = Image.open(io.BytesIO(made.data))
    assert (shown.mode, shown.size) == ("RGBA", (60, 40))
    alphas = [colour[3] for colour in colours(shown)]
    assert alphas[3] < 10
    assert min(alphas[:3]) > 245
    assert near(colours(shown)[0][:3], RED, 12)


@pytest.mark.parametrize("form", ["GIF", "WEBP", "PNG", "TIFF", "AVIF"])
def test_of_an_animation_the_first_frame_is_shown_and_does_not_move(form: str) -> None:
    decoded = rendering.decode(animated(form), form.lower(), longest=2048, max_pixels=PIXELS)
    made = encode(decoded.image, 2048, 90)
    assert "ANIM" not in set(webp_chunks(made.data))
    first = Image.open(io.BytesIO(animated(form))).convert("RGB")
    ours = Image.open(io.BytesIO(made.data)).convert("RGB")
    assert near(as_tuple(ours.getpixel((25, 20))), as_tuple(first.getpixel((25, 20))), 16)


def test_nothing_that_came_with_a_picture_is_in_a_rendition() -> None:
    full = saved("JPEG", exif=exif(3, place=True), icc_profile=forms.ADOBE_RGB, comment=b"Ann's garden")
    xmp = forms.jpeg_segment(0xE1, b"http://ns.adobe.com/xap/1.0/\0<x:xmpmeta>Ann</x:xmpmeta>")
    iptc = forms.jpeg_segment(0xED, b"Photoshop 3.0\x008BIM\x04\x04\0\0\0\0\0\x08\x1c\x02\x50\0\3Ann")
    decoded = rendering.decode(forms.with_jpeg_segments(full, xmp, iptc), "jpeg", longest=2048, max_pixels=PIXELS)
    assert decoded.exif is not None
    for longest in (16, 2048):
        made = encode(decoded.image, longest, 80)
        assert list(webp_chunks(made.data)) == ["VP8 "]
        assert b"Ann" not in made.data


def test_a_rendition_is_as_large_as_asked_and_never_larger_than_the_picture() -> None:
    decoded = rendering.decode(large("JPEG"), "jpeg", longest=2048, max_pixels=PIXELS)
    sizes = {longest: encode(decoded.image, longest, 80) for longest in (256, 1024, 2048)}
    assert {longest: (made.width, made.height) for longest, made in sizes.items()} == {
        256: (256, 171),
        1024: (1024, 683),
        2048: (2048, 1365),
    }
    small = rendering.decode(saved("PNG"), "png", longest=2048, max_pixels=PIXELS)
    made = encode(small.image, 1024, 80)
    assert (made.width, made.height) == (96, 64)


@pytest.mark.parametrize("size", [(65_000, 1), (1, 65_000), (60_000, 3), (1, 1)])
def test_a_line_of_pixels_is_a_picture_too(size: tuple[int, int]) -> None:
    decoded = rendering.decode(written(Image.new("RGB", size, RED), "PNG"), "png", longest=2048, max_pixels=PIXELS)
    for longest in (256, 2048):
        made = encode(decoded.image, longest, 80)
        assert max(made.width, made.height) == min(longest, max(size))
        assert min(made.width, made.height) == 1
    assert rendering.placeholder(decoded.image)


@pytest.mark.parametrize("longest", [2048, 1500, 750, 375, 100])
def test_a_jpeg_decoded_to_a_fraction_looks_like_the_whole_one(longest: int) -> None:
    data = large("JPEG", quality=95)
    ours = decode(data, "jpeg", longest)
    whole = Image.open(io.BytesIO(data)).resize(ours.size, Image.Resampling.LANCZOS)
    differences = [abs(a - b) for a, b in zip(ours.tobytes(), whole.tobytes(), strict=True)]
    assert sum(differences) / len(differences) < 6


def test_a_picture_with_more_pixels_than_it_said_is_not_decoded() -> None:
    with pytest.raises(TooManyPixels):
        rendering.decode(forms.png(10_000, 10_001), "png", longest=2048, max_pixels=PIXELS)


@pytest.mark.parametrize("mode", ["RGB", "RGBA", "L"])
def test_a_placeholder_is_a_blur_of_the_picture(mode: str) -> None:
    picture = Image.new("RGB", (400, 300), (200, 60, 40)).convert(mode)
    decoded = rendering.decode(written(picture, "PNG"), "png", longest=2048, max_pixels=PIXELS)
    code = list(base64.b64decode(rendering.placeholder(decoded.image)))
    red, green, blue, alpha = thumbhash.thumb_hash_to_average_rgba(code)
    expected = as_tuple(picture.convert("RGB").getpixel((5, 5)))
    assert near((round(red * 255), round(green * 255), round(blue * 255)), expected, 12)
    assert alpha == 1
