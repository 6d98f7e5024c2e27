"""Settings that do not fit together stop the start with one sentence that names the cure."""

import subprocess
import sys
from pathlib import Path

import pytest

from tailrace.bootstrap import build
from tailrace.cli.common import check_storage
from tailrace.settings import SettingsError, load_settings
from tailrace.storage.s3 import S3Storage
from tests.service import run_command
from tests.services import s3_url

POSTGRES = "postgresql://nobody@127.0.0.1:1/none"
REDIS = "redis://127.0.0.1:1/0"


@pytest.mark.parametrize(
    ("settings", "sentence"),
    [
        (
            {"engine": "celery", "broker_url": REDIS},
            "needs a database that many machines can share: set TAILRACE_DATAB",
        ),
        ({"engine": "celery", "database_url": POSTGRES}, "needs a broker: set TAILRACE_BROKER_URL to redis://"),
        ({"broker_url": REDIS}, "TAILRACE_BROKER_URL needs TAILRACE_ENGINE=celery"),
    ],
)
def test_an_engine_without_what_it_needs_is_refused(tmp_path: Path, settings: dict[str, str], sentence: str) -> None:
    with pytest.raises(SettingsError, match=sentence):
        build(load_settings(data=tmp_path / "data", **settings))
    assert not (tmp_path / "data").exists()


def test_a_broker_must_be_one_that_is_known() -> None:
    with pytest.raises(SettingsError, match="TAILRACE_BROKER_URL is wrong: begin it with redis://"):
        load_settings(broker_url="kafka://127.0.0.1")


@pytest.mark.parametrize(
    ("url", "sentence"),
    [
        ("redis://127.0.0.1:six/0", "port is a number"),
        ("redis://127.0.0.1:66666/0", "port is a number"),
        ("redis://127.0.0.1:6379/tailrace", "a database of Redis is a number, as in redis://HOST:6379/0"),
        ("redis:///0", "name the broker's host"),
        ("amqp://guest:guest@:5672//", "name the broker's host"),
    ],
)
def test_an_address_of_a_broker_that_could_never_be_reached_is_refused(url: str, sentence: str) -> None:
    with pytest.raises(SettingsError, match=f"^The setting TAILRACE_BROKER_URL is wrong: .*{sentence}"):
        load_settings(broker_url=url)


@pytest.mark.parametrize("url", ["redis://h", "redis://:pw@h:6379/", "rediss://h/15?ssl_cert_reqs=none", "amqp://h/v"])
def test_addresses_of_brokers_are_as_short_as_they_may_be(url: str) -> None:
    assert load_settings(broker_url=url).broker_url == url


def test_an_option_that_postgresql_does_not_know_is_refused(tmp_path: Path) -> None:
    with pytest.raises(SettingsError, match='TAILRACE_DATABASE_URL cannot be used: invalid connection option "sslmod"'):
        build(load_settings(data=tmp_path, database_url=f"{POSTGRES}?sslmod=require"))
    build(load_settings(data=tmp_path, database_url=f"{POSTGRES}?sslmode=require&connect_timeout=3"))


MANY = {"TAILRACE_ENGINE": "celery", "TAILRACE_DATABASE_URL": POSTGRES, "TAILRACE_BROKER_URL": REDIS}


@pytest.mark.parametrize(
    ("missing", "variables", "cure"),
    [
        ("celery", MANY, "`make setup EXTRAS=postgres,celery` installs them"),
        ("redis", MANY, "`make setup EXTRAS=postgres,celery` installs them"),
        ("psycopg", {"TAILRACE_DATABASE_URL": POSTGRES}, "`make setup EXTRAS=postgres` installs it"),
        ("obstore", {"TAILRACE_STORAGE_URL": "s3://bucket"}, "`make setup EXTRAS=s3` installs it"),
    ],
)
@pytest.mark.parametrize("command", ["serve", "worker"])
def test_a_missing_extra_is_named(
    tmp_path: Path, missing: str, variables: dict[str, str], cure: str, command: str
) -> None:
    (tmp_path / "tailrace.db").touch()  # Where there is nothing, a worker would not begin.
    script = (
        "import sys; from importlib.machinery import PathFinder;"
        f"real = PathFinder.find_spec; hide = lambda name, *rest: None if name == {missing!r} else real(name, *rest);"
        f"PathFinder.find_spec = hide; from tailrace.cli import main; sys.argv = ['tailrace', {command!r}]; main()"
    )
    ended = subprocess.run(
        [sys.executable, "-c", script],
        env={**variables, "TAILRACE_DATA": str(tmp_path), "TAILRACE_PORT": "0"},
        capture_output=True,
        text=True,
        timeout=60,
        check=False,
    )
    assert ended.returncode == 1
    assert ended.stderr.count("\n") == 1, ended.stderr
    assert cure in ended.stderr


@pytest.mark.parametrize("command", [("serve", "--port", "0"), ("worker",)])
def test_a_bucket_that_refuses_the_key_stops_the_start(tmp_path: Path, command: tuple[str, ...]) -> None:
    assert run_command(tmp_path, "migrate").returncode == 0
    wrong = {"AWS_ACCESS_KEY_ID": "nobody", "AWS_SECRET_ACCESS_KEY": "nothing", "TAILRACE_STORAGE_URL": s3_url()}
    ended = run_command(tmp_path, *command, **wrong)
    assert ended.returncode == 1
    assert ended.stderr == "tailrace: The bucket 'test' refused the access key: correct the key or its rights.\n"


def test_a_bucket_that_cannot_be_reached_at_the_moment_is_told(caplog: pytest.LogCaptureFixture) -> None:
    address = "s3://test?endpoint=http://127.0.0.1:1"
    check_storage(S3Storage(address, access_key_id="any", secret_access_key="any"))
    (line,) = caplog.messages
    assert line.startswith("The bucket 'test' is out of reach: ")
    assert line.endswith("; Tailrace starts all the same")


def test_what_workers_on_other_machines_would_miss_is_told_at_the_start(tmp_path: Path) -> None:
    """It is told first, before the database, which is not there, ends the start."""
    for command in (("worker",), ("serve", "--port", "0")):
        ended = run_command(tmp_path, *command, **MANY)
        assert ended.returncode == 1
        files = tmp_path / "files"
        assert f"Files are kept in {files}, which workers on other machines do not see: set TAILRACE" in ended.stderr
        assert "each of the others makes its own: set TAILRACE_SECRET to the same on all of them." in ended.stderr


def test_nothing_is_missed_where_all_is_shared_or_all_is_here(tmp_path: Path) -> None:
    many = {"engine": "celery", "database_url": POSTGRES, "broker_url": REDIS, "secret": "s" * 32}
    elsewhere = build(load_settings(data=tmp_path, storage_url="s3://bucket?endpoint=http://127.0.0.1:1", **many))
    assert elsewhere.unshared == []
    assert [finding.part for finding in build(load_settings(data=tmp_path, **many)).unshared] == ["files"]
    assert build(load_settings(data=tmp_path)).unshared == []


def test_queues_are_for_celery(tmp_path: Path) -> None:
    assert run_command(tmp_path, "migrate").returncode == 0
    refused = run_command(tmp_path, "worker", "--queues", "default")
    assert refused.returncode == 1
    assert "The local engine is alone and takes every queue: set TAILRACE_ENGINE=celery" in refused.stderr
