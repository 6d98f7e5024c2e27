import base64
import io

import pytest
import thumbhash  # type: ignore[import-untyped]  # the library has no annotations
from PIL import Image, ImageChops, ImageStat

from tailrace.web.blur import blur


def code_of(picture: Image.Image) -> str:
    pixels = list(picture.convert("RGBA").tobytes())
    return base64.b64encode(bytes(thumbhash.rgba_to_thumb_hash(*picture.size, pixels))).decode()


def seen(address: str) -> Image.Image:
    kind, _, data = address.partition(",")
    assert kind == "data:image/png;base64"
    return Image.open(io.BytesIO(base64.b64decode(data))).convert("RGB")


@pytest.mark.parametrize("size", [(24, 16), (16, 24), (24, 24), (24, 5)])
def test_a_blur_looks_like_the_picture_from_far(size: tuple[int, int]) -> None:
    slopes = Image.linear_gradient("L").rotate(90), Image.linear_gradient("L"), Image.new("L", (256, 256), 60)
    picture = Image.merge("RGB", slopes).resize(size)
    difference = ImageChops.difference(seen(blur(code_of(picture))), picture.resize((8, 8), Image.Resampling.BOX))
    assert max(ImageStat.Stat(difference).mean) < 20


def test_what_is_no_thumbhash_is_no_picture() -> None:
    assert blur("AAAA") == ""
    assert blur("") == ""
