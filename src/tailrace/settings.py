"""What the operator may choose: environment variables `TAILRACE_…`, all optional.

Only `cli`, `app` and `bootstrap` read settings; everything below receives what it needs. The table in the README is
tested against the fields here.
"""

import os
import re
import secrets
from collections.abc import Iterable
from difflib import get_close_matches
from ipaddress import ip_network
from pathlib import Path
from typing import Annotated, Any, Literal
from urllib.parse import SplitResult, urlsplit

from pydantic import AfterValidator, EmailStr, Field, SecretStr, ValidationError
from pydantic_settings import BaseSettings, SettingsConfigDict

# What `tailrace report` reads, from wherever it is run, and what Caddy reads, from the same file as Tailrace.
_VARIABLES_OF_OTHERS = {"TAILRACE_URL", "TAILRACE_TOKEN", "TAILRACE_SITE", "TAILRACE_UPSTREAMS"}
_SECRET_LENGTH = 32
_SIZES = re.compile(r"[0-9]{1,5}(,[0-9]{1,5}){2}")


class SettingsError(Exception):
    """A setting is wrong; the message is one sentence that names it and the cure."""


def _http_address(value: str | None) -> str | None:
    if value is None:
        return None
    parts = urlsplit(value)
    if parts.scheme not in {"http", "https"} or not parts.hostname or parts.query or parts.fragment:
        raise ValueError("give the whole address that people use, such as https://tasks.example.org")
    if parts.path.strip("/"):
        raise ValueError(
            f"Tailrace needs a name of its own, leave out {parts.path}; its pages begin at /web of the host"
        )
    return value.rstrip("/")


def _database_address(value: str | None) -> str | None:
    if value is not None and not value.startswith(("sqlite:///", "postgresql://", "postgresql+psycopg://")):
        raise ValueError("begin it with sqlite:/// or postgresql://")
    return value


def _broker_address(value: str | None) -> str | None:
    if value is not None and not value.startswith(("redis://", "rediss://", "redis+socket://", "amqp://", "amqps://")):
        raise ValueError("begin it with redis://, rediss://, amqp:// or amqps://")
    if value is not None and not value.startswith("redis+socket://"):
        _check_broker_parts(urlsplit(value))
    return value


def _check_broker_parts(parts: SplitResult) -> None:
    # The broker's library finds out later, in a thread that would end for good.
    if not parts.hostname:
        raise ValueError("name the broker's host")
    try:
        _ = parts.port
    except ValueError:
        raise ValueError("the broker's port is a number from 1 to 65535") from None
    if parts.scheme.startswith("redis") and not re.fullmatch(r"(/[0-9]*)?", parts.path):
        raise ValueError("a database of Redis is a number, as in redis://HOST:6379/0")


def _storage_address(value: str | None) -> str | None:
    if value is not None and not value.startswith(("s3://", "file://")):
        raise ValueError("begin it with s3:// or file:///, or leave it out for the data folder")
    if value is not None and value.startswith("file://") and not value.startswith("file:///"):
        raise ValueError("give the folder from the root on, with three slashes, as in file:///srv/tailrace/files")
    return value


def _mail_address(value: str) -> str:
    if value != "file" and not value.startswith(("smtp://", "smtps://", "smtp+starttls://")):
        raise ValueError("write file, smtp://HOST:PORT, smtp+starttls://USER:PASSWORD@HOST:PORT or smtps://…")
    return value


def _proxies(value: str) -> str:
    parts = [part.strip() for part in value.split(",") if part.strip()]
    for part in parts:
        try:
            ip_network(part)
        except ValueError:
            raise ValueError(f"{_network_at_fault(part)}; of any other no header would be believed") from None
    return ",".join(parts)


def _network_at_fault(part: str) -> str:
    try:
        meant = ip_network(part, strict=False)
    except ValueError:
        return f"{part!r} is no address and no network, such as 10.0.0.7 or 10.0.0.0/8"
    return f"write {meant} for the network of {part}"


def _photo_sizes(value: str) -> str:
    if _SIZES.fullmatch(value):
        sizes = [int(part) for part in value.split(",")]
        if sizes == sorted(set(sizes)) and sizes[0] >= 16 and sizes[-1] <= 8192:
            return value
    raise ValueError("write three growing numbers of pixels from 16 to 8192, such as 256,1024,2048")


def _signing_key(value: SecretStr | None) -> SecretStr | None:
    key = "" if value is None else value.get_secret_value()
    if "$(" in key or "`" in key:
        raise ValueError("it holds a command that no shell has run, $(…) or `…`: put there what the command prints")
    if value is not None and len(key) < _SECRET_LENGTH:
        raise ValueError(f"it has {len(key)} characters of at least {_SECRET_LENGTH}")
    return value


class Settings(BaseSettings):
    """The settings of one service, read once when it starts."""

    model_config = SettingsConfigDict(env_prefix="TAILRACE_", extra="ignore", frozen=True, hide_input_in_errors=True)

    data: Path = Field(Path("tailrace-data"), description="Folder for the database, files, mails, logs and the secret.")
    database_url: Annotated[str | None, AfterValidator(_database_address)] = Field(
        None,
        description="`sqlite:///PATH` or `postgresql://USER:PASSWORD@HOST/NAME`; by default a file in the data folder.",
    )
    host: str = Field("127.0.0.1", description="Address to listen on; `0.0.0.0` for every interface.")
    port: int = Field(8000, ge=0, le=65535, description="Port to listen on; 0 takes a free one.")
    base_url: Annotated[str | None, AfterValidator(_http_address)] = Field(
        None, description="Address that people use, for links in mails; by default made from host and port."
    )
    engine: Literal["local", "celery"] = Field(
        "local",
        description="What runs jobs: `local`, processes beside the API, or `celery`, `tailrace worker` on any machine.",
    )
    broker_url: Annotated[str | None, AfterValidator(_broker_address)] = Field(
        None,
        description="For `celery`: `redis://HOST:6379/0` or `amqp://USER:PASSWORD@HOST//`, for this service alone.",
    )
    workers: int = Field(2, ge=1, le=64, description="How many jobs run at the same time, in one engine.")
    storage_url: Annotated[str | None, AfterValidator(_storage_address)] = Field(
        None, description="`s3://BUCKET/PREFIX?endpoint=…` or `file:///PATH`; by default a folder in the data folder."
    )
    s3_redirect: bool = Field(
        False,
        description="Send downloads to the bucket by signed links that last five minutes; else they pass through here.",
    )
    mail_url: Annotated[str, AfterValidator(_mail_address)] = Field(
        "file",
        description="`file` keeps each mail in the data folder; `smtp+starttls://USER:PASSWORD@HOST:587` sends it.",
    )
    mail_from: EmailStr = Field("tailrace@localhost.localdomain", description="Sender of every mail.")
    report_days: int = Field(30, ge=1, le=3650, description="Days until a report's file, and its signed link, expires.")
    event_days: int = Field(7, ge=1, le=3650, description="Days that events stay for clients who come back.")
    job_days: int = Field(30, ge=1, le=3650, description="Days that finished jobs stay listed.")
    photo_megapixels: int = Field(
        100, ge=1, le=2000, description="Most millions of pixels of a photo: width × height × frames."
    )
    photo_bytes: int = Field(52_428_800, ge=65_536, le=2**31 - 1, description="Largest photo, in bytes.")
    photo_frames: int = Field(1000, ge=1, le=100_000, description="Most frames of an animated photo.")
    photo_sizes: Annotated[str, AfterValidator(_photo_sizes)] = Field(
        "256,1024,2048", description="Longest edges of the renditions thumb, small and large, in pixels."
    )
    photo_quality: int = Field(80, ge=1, le=100, description="WebP quality of the renditions, 1 to 100.")
    photo_trash_days: int = Field(7, ge=1, le=3650, description="Days in which a deleted photo can be restored.")
    upload_hours: int = Field(
        24, ge=1, le=8760, description="Hours until an upload that makes no progress is given up."
    )
    trusted_proxies: Annotated[str, AfterValidator(_proxies)] = Field(
        "127.0.0.1,::1",
        description="Addresses or networks of the proxies whose X-Forwarded-For and X-Forwarded-Proto are believed.",
    )
    keep_alive_s: int = Field(75, ge=1, le=3600, description="Seconds that an idle connection stays open.")
    max_body_bytes: int = Field(1_048_576, ge=1024, description="Largest request body, in bytes.")
    log_format: Literal["console", "json"] = Field(
        "console", description="Form of the log on the terminal: `console` or `json`."
    )
    log_level: Literal["debug", "info", "warning", "error"] = Field(
        "info", description="Least level that is logged: `debug`, `info`, `warning` or `error`."
    )
    secret: Annotated[SecretStr | None, AfterValidator(_signing_key)] = Field(
        None, description="Key that signs links, 32 characters or more; by default made once, in `secret.key`."
    )

    @property
    def database_address(self) -> str:
        """Return the database's address, the file in the data folder unless one was given."""
        given = self.database_url or f"sqlite:///{self.data.absolute() / 'tailrace.db'}"
        return given.replace("postgresql://", "postgresql+psycopg://", 1)

    @property
    def public_url(self) -> str:
        """Return the address that people use, without a slash at the end."""
        host = {"0.0.0.0": "127.0.0.1", "::": "[::1]"}.get(self.host, self.host)  # noqa: S104 -- compared, not listened on
        return self.base_url or f"http://{f'[{host}]' if ':' in host and host[0] != '[' else host}:{self.port}"


def load_settings(**overrides: Any) -> Settings:
    """Read the settings from the environment; `overrides` (without those that are None) win.

    Raises SettingsError with one sentence if a value is not acceptable.
    """
    try:
        return Settings(**{name: value for name, value in overrides.items() if value is not None})
    except ValidationError as error:
        first = error.errors()[0]
        name = "_".join(str(part) for part in first["loc"][:1]).upper()
        message = str(first["msg"]).removeprefix("Value error, ")
        raise SettingsError(f"The setting TAILRACE_{name} is wrong: {message[0].lower()}{message[1:]}.") from None


def misspelt() -> list[str]:
    """Return a sentence for each `TAILRACE_…` variable of the environment that is no setting, and so has no effect."""
    known = {f"TAILRACE_{name.upper()}" for name in Settings.model_fields} | _VARIABLES_OF_OTHERS
    unknown = sorted(name for name in os.environ if name.startswith("TAILRACE_") and name not in known)
    return [f"{name} is no setting and is ignored{_suggestion(name, known)}." for name in unknown]


def _suggestion(name: str, known: Iterable[str]) -> str:
    near = get_close_matches(name, known, n=1, cutoff=0.8)
    return f"; {near[0]} is one" if near else ""


def load_secret(settings: Settings) -> bytes:
    """Return the signing key: the setting, or the one in the data folder, which is made the first time.

    Raises SettingsError when the file cannot be read or written, or holds too little.
    """
    if settings.secret is not None:
        return settings.secret.get_secret_value().encode()
    path = settings.data / "secret.key"
    try:
        path.parent.mkdir(parents=True, exist_ok=True)
        _create_secret(path)
        key = path.read_bytes().strip()
    except OSError as error:
        cure = "mend it, or set TAILRACE_SECRET"
        raise SettingsError(f"The key {path} cannot be used: {error.strerror}; {cure}.") from error
    if len(key) < _SECRET_LENGTH:
        found = f"it has {len(key)} bytes of at least {_SECRET_LENGTH}"
        cure = "put the whole one back, or delete it for a new one, with which links in old mails fail"
        raise SettingsError(f"The key {path} cannot be used: {found}; {cure}.")
    return key


def _create_secret(path: Path) -> None:
    if path.exists():
        return
    # Written aside and linked, so that two processes starting at once agree on one whole key.
    draft = path.with_name(f"{path.name}.{secrets.token_hex(4)}")
    draft.touch(mode=0o600)
    try:
        draft.write_text(secrets.token_urlsafe(48))
        path.hardlink_to(draft)
    except FileExistsError:
        pass
    finally:
        draft.unlink()
