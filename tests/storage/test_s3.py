"""What is particular to S3: parts, links, the usual variables, and how its refusals are told."""

import socket
import urllib.error
import urllib.request
from datetime import timedelta
from urllib.parse import parse_qs, urlsplit

import obstore
import pytest

from tailrace.storage import InvalidKey, StorageRefused, StorageUnavailable
from tailrace.storage.s3 import S3Storage
from tailrace.storage.signing import sign_again
from tests.services import s3_keys, s3_storage


def test_a_writer_that_raises_leaves_no_parts_in_the_bucket(s3_url: str) -> None:
    storage = s3_storage("parts", redirect=True)
    with storage.write("big") as writer:
        writer.write(bytes(20 * 1024 * 1024))
        assert b"<Upload>" in _list_uploads(storage)
    with pytest.raises(RuntimeError, match="midway"):
        _break_off(storage)
    assert b"<Upload>" not in _list_uploads(storage)


def _break_off(storage: S3Storage) -> None:
    with storage.write("big") as writer:
        for _ in range(20):
            writer.write(bytes(1024 * 1024))
        raise RuntimeError("midway")


def _list_uploads(storage: S3Storage) -> bytes:
    link = obstore.sign(storage._store, "GET", "", timedelta(seconds=60))
    secret = s3_keys()["AWS_SECRET_ACCESS_KEY"]
    answer: bytes = urllib.request.urlopen(sign_again(f"{link}&uploads=", secret, {})).read()
    return answer


def test_a_link_serves_the_object_as_it_is_told_to() -> None:
    storage = s3_storage("links", redirect=True)
    with storage.write("reports/1.csv") as writer:
        writer.write(b"id,title\n")
    named = "attachment; filename=\"Übersicht.csv\"; filename*=UTF-8''%C3%9Cbersicht.csv"
    headers = {"Content-Type": "text/csv; charset=utf-8", "Content-Disposition": named.replace("Ü", "U"), "ETag": "x"}
    link = storage.link("reports/1.csv", headers)
    assert link is not None
    with urllib.request.urlopen(link) as answer:
        assert answer.read() == b"id,title\n"
        assert answer.headers["Content-Type"] == headers["Content-Type"]
        assert answer.headers["Content-Disposition"] == headers["Content-Disposition"]
    with urllib.request.urlopen(urllib.request.Request(link, headers={"Range": "bytes=3-7"})) as part:
        assert (part.status, part.read()) == (206, b"title")


@pytest.mark.parametrize(
    ("written", "instead"),
    [
        ("1.csv?", "2.csv?"),
        ("text%2Fcsv", "text%2Fhtml"),
        ("Expires=300", "Expires=900"),
        ("Signature=", "Signature=0"),
    ],
)
def test_a_link_that_was_changed_opens_nothing(written: str, instead: str) -> None:
    storage = s3_storage("links", redirect=True)
    for name in "12":
        with storage.write(f"reports/{name}.csv") as writer:
            writer.write(b"id,title\n")
    link = storage.link("reports/1.csv", {"Content-Type": "text/csv"})
    assert link is not None
    assert written in link
    with pytest.raises(urllib.error.HTTPError, match="403"):
        urllib.request.urlopen(link.replace(written, instead))


def test_the_usual_variables_say_where_and_who(s3_url: str, monkeypatch: pytest.MonkeyPatch) -> None:
    endpoint = parse_qs(urlsplit(s3_url).query)["endpoint"][0]
    for name, value in {**s3_keys(), "AWS_ENDPOINT_URL": endpoint, "AWS_REGION": "eu-north-9"}.items():
        monkeypatch.setenv(name, value)
    storage = S3Storage(f"s3://{urlsplit(s3_url).netloc}/variables", redirect=True)
    storage.check()
    link = storage.link("a", {})
    assert link is not None
    assert link.startswith(endpoint)
    assert "eu-north-9" in link
    assert "eu-1" in str(S3Storage(f"s3://test?endpoint={endpoint}&region=eu-1", redirect=True).link("a", {}))


def test_links_without_a_key_to_sign_them_are_refused_at_once(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.delenv("AWS_SECRET_ACCESS_KEY", raising=False)
    with pytest.raises(ValueError, match="set AWS_ACCESS_KEY_ID and AWS_SECRET_ACCESS_KEY"):
        S3Storage("s3://bucket", access_key_id="any", redirect=True)


def test_half_a_key_is_refused_at_once(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.delenv("AWS_SECRET_ACCESS_KEY", raising=False)
    with pytest.raises(ValueError, match="Missing SecretAccessKey: check the variables"):
        S3Storage("s3://bucket", access_key_id="any")


def test_a_key_that_the_server_does_not_know_is_told(s3_url: str) -> None:
    with pytest.raises(StorageUnavailable, match=r"refused the access key: correct the key or its rights\.$"):
        S3Storage(s3_url, access_key_id="nobody", secret_access_key="nothing").check()


def test_a_server_that_is_down_is_told_in_one_sentence() -> None:
    address = f"s3://test?endpoint=http://127.0.0.1:{closed_port()}"
    storage = S3Storage(address, access_key_id="any", secret_access_key="any")
    with pytest.raises(StorageUnavailable, match="out of reach: check that its server runs, and its endpoint"):
        storage.check()


def test_a_wrong_key_is_told_in_the_middle_of_a_large_file_too(s3_url: str) -> None:
    storage = S3Storage(s3_url, access_key_id="nobody", secret_access_key="nothing")
    with pytest.raises(StorageRefused, match="refused the access key"), storage.write("a/b") as writer:
        writer.write(bytes(20_000_000))


def test_a_missing_key_is_told_with_its_names(s3_url: str, monkeypatch: pytest.MonkeyPatch) -> None:
    for name in ("AWS_ACCESS_KEY_ID", "AWS_SECRET_ACCESS_KEY"):
        monkeypatch.delenv(name, raising=False)
    monkeypatch.setenv("AWS_METADATA_ENDPOINT", f"http://127.0.0.1:{closed_port()}")
    with pytest.raises(StorageRefused, match=r"no role: set AWS_ACCESS_KEY_ID and AWS_SECRET_ACCESS_KEY\.$"):
        S3Storage(s3_url).check()


def closed_port() -> int:
    with socket.create_server(("127.0.0.1", 0)) as reserved:
        return int(reserved.getsockname()[1])


@pytest.mark.parametrize(
    "url",
    [
        "http://bucket",
        "s3://",
        "s3://key:secret@bucket",
        "s3://bucket?colour=red",
        "s3://bucket?endpoint",
        "s3://b?endpoint=host",
    ],
)
def test_an_address_that_is_none_is_refused_at_once(url: str) -> None:
    with pytest.raises(ValueError, match=r"S3|bad query"):
        S3Storage(url)


def test_the_prefix_is_checked_like_a_key() -> None:
    with pytest.raises(InvalidKey):
        S3Storage("s3://bucket/../other")
