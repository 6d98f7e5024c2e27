"""Settings come from the environment; a wrong one is told in a sentence."""

import stat
from pathlib import Path

import pytest

from tailrace.settings import Settings, SettingsError, load_secret, load_settings


@pytest.fixture(autouse=True)
def _clean_environment(monkeypatch: pytest.MonkeyPatch) -> None:
    for name in Settings.model_fields:
        monkeypatch.delenv(f"TAILRACE_{name.upper()}", raising=False)


def test_everything_has_a_default_and_a_description() -> None:
    settings = load_settings()
    assert settings.public_url == "http://127.0.0.1:8000"
    assert settings.database_address.endswith("/tailrace-data/tailrace.db")
    assert all(field.description for field in Settings.model_fields.values())


def test_the_environment_is_read_and_the_command_line_wins(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("TAILRACE_PORT", "9000")
    monkeypatch.setenv("TAILRACE_WORKERS", "7")
    settings = load_settings(port=9001, workers=None)
    assert (settings.port, settings.workers) == (9001, 7)


@pytest.mark.parametrize(
    ("name", "value"),
    [
        ("PORT", "eighty"),
        ("PORT", "70000"),
        ("WORKERS", "0"),
        ("ENGINE", "threads"),
        ("BASE_URL", "tasks.example.org"),
        ("BASE_URL", "ftp://tasks.example.org"),
        ("BASE_URL", "https://example.org/tasks"),
        ("DATABASE_URL", "mysql://root@localhost/tailrace"),
        ("STORAGE_URL", "/srv/files"),
        ("STORAGE_URL", "file://data/files"),
        ("TRUSTED_PROXIES", "proxy.local"),
        ("TRUSTED_PROXIES", "127.0.0.1,10.0.0.1/8"),
        ("TRUSTED_PROXIES", "10.0.0.0/33"),
        ("TRUSTED_PROXIES", "*"),
        ("MAIL_URL", "mail.example.org"),
        ("MAIL_FROM", "nobody\r\nBcc: everybody@example.org"),
        ("REPORT_DAYS", "-1"),
        ("SECRET", "short"),
        ("LOG_FORMAT", "xml"),
        ("PHOTO_SIZES", "256,1024"),
        ("PHOTO_SIZES", "1024,256,2048"),
        ("PHOTO_SIZES", "8,16,32"),
        ("PHOTO_SIZES", "256,1024,99999"),
        ("PHOTO_QUALITY", "101"),
    ],
)
def test_a_wrong_setting_is_one_sentence_that_names_it(monkeypatch: pytest.MonkeyPatch, name: str, value: str) -> None:
    monkeypatch.setenv(f"TAILRACE_{name}", value)
    with pytest.raises(SettingsError, match=f"^The setting TAILRACE_{name} is wrong: [^\n]+$"):
        load_settings()


def test_proxies_are_addresses_and_networks() -> None:
    assert load_settings(trusted_proxies=" 10.0.0.7, fd00::/8,,172.16.0.0/12").trusted_proxies == (
        "10.0.0.7,fd00::/8,172.16.0.0/12"
    )
    with pytest.raises(SettingsError, match=r"write 10\.0\.0\.0/8 for the network of 10\.0\.0\.1/8"):
        load_settings(trusted_proxies="10.0.0.1/8")


def test_a_wrong_secret_is_not_repeated(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("TAILRACE_SECRET", "hunter2")
    with pytest.raises(SettingsError) as caught:
        load_settings()
    assert "hunter2" not in str(caught.value)


@pytest.mark.parametrize("value", ['"$(cat /srv/tailrace/secret.key)"', "`cat /srv/tailrace/secret.key`", "$(pass)"])
def test_a_command_that_was_not_run_is_no_secret(monkeypatch: pytest.MonkeyPatch, value: str) -> None:
    monkeypatch.setenv("TAILRACE_SECRET", value)
    with pytest.raises(SettingsError, match="a command that no shell has run") as caught:
        load_settings()
    assert value not in str(caught.value)


def test_how_long_a_secret_must_be_is_told_in_characters(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("TAILRACE_SECRET", "short")
    with pytest.raises(SettingsError, match=r"TAILRACE_SECRET is wrong: it has 5 characters of at least 32\.$"):
        load_settings()


@pytest.mark.parametrize(
    ("host", "address"),
    [("0.0.0.0", "http://127.0.0.1:8000"), ("::", "http://[::1]:8000"), ("::1", "http://[::1]:8000")],
)
def test_the_public_address_can_be_opened(host: str, address: str) -> None:
    assert load_settings(host=host).public_url == address


def test_the_key_is_made_once_for_this_user_alone(tmp_path: Path) -> None:
    settings = load_settings(data=tmp_path / "data")
    first = load_secret(settings)
    assert len(first) >= 32
    assert load_secret(settings) == first
    assert stat.S_IMODE((tmp_path / "data" / "secret.key").stat().st_mode) == 0o600
    assert [path.name for path in (tmp_path / "data").iterdir()] == ["secret.key"]


def test_a_key_that_was_given_is_used_and_nothing_is_written(tmp_path: Path) -> None:
    settings = load_settings(data=tmp_path / "data", secret="x" * 32)
    assert load_secret(settings) == b"x" * 32
    assert not (tmp_path / "data").exists()


@pytest.mark.parametrize("content", [b"", b"\n", b"x" * 31 + b"\n\n"])
def test_a_key_that_is_too_short_is_not_signed_with(tmp_path: Path, content: bytes) -> None:
    (tmp_path / "secret.key").write_bytes(content)
    with pytest.raises(
        SettingsError, match=r"secret\.key cannot be used: it has \d+ bytes of at least 32; put [^\n]+\.$"
    ):
        load_secret(load_settings(data=tmp_path))
    assert (tmp_path / "secret.key").read_bytes() == content


def test_a_key_that_cannot_be_made_is_one_sentence(tmp_path: Path) -> None:
    (tmp_path / "data").write_text("a file, not a folder")
    with pytest.raises(SettingsError, match=r"secret\.key cannot be used"):
        load_secret(load_settings(data=tmp_path / "data"))
