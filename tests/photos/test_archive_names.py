"""Names in an archive are safe to unpack on Windows, macOS and Linux, and none is there twice."""

import unicodedata

from hypothesis import given
from hypothesis import strategies as st

from tailrace.photos.archive_names import Folder, safe_name

FORBIDDEN = set('<>:"/\\|?*') | {chr(code) for code in range(32)}
DEVICES = {"con", "prn", "aux", "nul", *(f"{kind}{n}" for kind in ("com", "lpt") for n in range(10))}


@given(
    st.text(max_size=300)
    | st.sampled_from(["CON", "aux.txt", "con .jpg", "aux  .jpg", "..", ".", "", "a. ", "x" * 400, "é" * 200 + ".jpg"])
)
def test_a_safe_name_is_a_plain_name_on_every_system(name: str) -> None:
    safe = safe_name(name)
    assert 1 <= len(safe.encode()) <= 110
    assert not FORBIDDEN & set(safe)
    assert safe.strip(" .") == safe
    assert safe.partition(".")[0].casefold() not in DEVICES
    assert not safe.startswith((".", "-", "~"))
    assert unicodedata.normalize("NFC", safe) == safe
    assert safe_name(safe) == safe


@given(st.lists(st.text(alphabet="aAbB(2) .éE\u0301", max_size=8), max_size=40))
def test_no_two_names_in_a_folder_are_one_anywhere(names: list[str]) -> None:
    folder = Folder()
    given_ = [folder.name(name) for name in names]
    assert len({unicodedata.normalize("NFKD", name.casefold()) for name in given_}) == len(names)


def test_a_thousand_photos_of_one_name_take_no_time_to_speak_of() -> None:
    folder = Folder()
    assert [folder.name("image.jpg") for _ in range(20_000)][-1] == "image (20000).jpg"
