"""The headers of resumable uploads, as tus 1.0.0 words them."""

import base64
import hashlib
from collections.abc import Mapping
from datetime import UTC, datetime, timedelta, timezone

import pytest
from hypothesis import given
from hypothesis import strategies as st
from starlette.datastructures import Headers

from tailrace.streams import tus

KEYS = st.text(st.characters(min_codepoint=0x21, max_codepoint=0x7E, exclude_characters=","), min_size=1)


@given(st.dictionaries(KEYS, st.text()))
def test_metadata_is_read_as_it_was_written(metadata: Mapping[str, str]) -> None:
    assert tus.parse_metadata(tus.format_metadata(metadata)) == metadata


def test_metadata_of_the_specification() -> None:
    header = "filename d29ybGRfZG9taW5hdGlvbl9wbGFuLnBkZg==,is_confidential"
    assert tus.parse_metadata(header) == {"filename": "world_domination_plan.pdf", "is_confidential": ""}
    assert tus.parse_metadata(None) == tus.parse_metadata("") == {}


def test_spaces_around_a_comma_are_forgiven() -> None:
    assert tus.parse_metadata("a YQ== , b Yg==") == {"a": "a", "b": "b"}


@pytest.mark.parametrize(
    "header", ["a !!!", "a YQ==,a YQ==", ",", "a YQ==,,b Yg==", "ü YQ==", "a /w==", "a YQ", "a YQ== YQ==", "a\tYQ=="]
)
def test_metadata_that_is_none_is_refused(header: str) -> None:
    with pytest.raises(tus.BadTusHeader):
        tus.parse_metadata(header)


@pytest.mark.parametrize("value", ["", "-1", "1.5", "1e3", "²", "9" * 19, " 5", "0x1"])
def test_a_number_that_is_none_is_refused_by_its_header(value: str) -> None:
    with pytest.raises(tus.BadTusHeader, match="Upload-Offset"):
        tus.parse_offset(_headers("Upload-Offset", value))
    with pytest.raises(tus.BadTusHeader, match="Upload-Length"):
        tus.parse_length(_headers("Upload-Length", value))


def test_numbers() -> None:
    assert tus.parse_offset(_headers("Upload-Offset", "0")) == 0
    assert tus.parse_length(_headers("upload-length", "123456789012345678")) == 123456789012345678
    with pytest.raises(tus.BadTusHeader):
        tus.parse_length(Headers({}))


@pytest.mark.parametrize("version", ["0.2.2", "1.0", "1.0.0, 0.2.2", ""])
def test_another_version_is_told_which_one_is_spoken(version: str) -> None:
    with pytest.raises(tus.WrongVersion) as refused:
        tus.check_version(_headers("Tus-Resumable", version))
    assert (refused.value.status, refused.value.headers["Tus-Version"]) == (412, "1.0.0")
    tus.check_version(_headers("Tus-Resumable", "1.0.0"))


def test_the_bytes_of_an_upload_have_their_own_media_type() -> None:
    tus.check_media_type(_headers("Content-Type", "application/offset+octet-stream"))
    with pytest.raises(tus.NotOffsetStream):
        tus.check_media_type(_headers("Content-Type", "application/octet-stream"))


@pytest.mark.parametrize("algorithm", tus.ALGORITHMS)
def test_a_checksum_is_compared_when_all_has_come(algorithm: str) -> None:
    digest = hashlib.new(algorithm, b"hello world").digest()
    header = f"{algorithm} {base64.b64encode(digest).decode()}"
    right, wrong = tus.parse_checksum(header), tus.parse_checksum(header)
    assert right is not None
    assert wrong is not None
    for piece in (b"hello ", b"world"):
        right.feed(piece)
    right.finish()
    wrong.feed(b"hello")
    with pytest.raises(tus.ChecksumMismatch) as refused:
        wrong.finish()
    assert refused.value.status == 460


def test_the_checksum_of_the_specification() -> None:
    checksum = tus.parse_checksum("sha1 Kq5sNclPz7QV2+lfQIuc6R7oRu0=")
    assert checksum is not None
    checksum.feed(b"hello world")
    checksum.finish()


def test_a_checksum_is_optional() -> None:
    assert tus.parse_checksum(None) is None


@pytest.mark.parametrize("header", ["", "sha1", "sha1 YQ==", "sha1 !", "sha256 Kq5sNclPz7QV2+lfQIuc6R7oRu0="])
def test_a_checksum_that_is_none_is_refused(header: str) -> None:
    with pytest.raises((tus.BadTusHeader, tus.UnknownChecksum)):
        tus.parse_checksum(header)


@pytest.mark.parametrize("algorithm", ["crc32", "md4", "shake_128", "SHA-1"])
def test_a_checksum_of_another_kind_is_refused(algorithm: str) -> None:
    with pytest.raises(tus.UnknownChecksum):
        tus.parse_checksum(f"{algorithm} Kq5sNclPz7QV2+lfQIuc6R7oRu0=")


def test_the_end_of_an_upload_is_told_in_the_form_of_http() -> None:
    moment = datetime(2026, 6, 25, 18, 0, tzinfo=timezone(timedelta(hours=2)))
    assert tus.format_expires(moment) == "Thu, 25 Jun 2026 16:00:00 GMT"
    assert tus.format_expires(moment.astimezone(UTC)) == tus.format_expires(moment)


def test_every_refusal_says_which_protocol_is_spoken() -> None:
    for kind in tus.TusRefused.__subclasses__():
        assert kind().headers["Tus-Resumable"] == "1.0.0"
        assert str(kind()).endswith((".", "1.0.0."))


def _headers(name: str, value: str) -> Headers:
    return Headers({name: value})
