"""What is written for containers and for systemd fits Tailrace as it is. No image is built here: that takes Docker."""

import configparser
import http.server
import json
import os
import re
import shutil
import subprocess
import sys
import threading
import tomllib
from collections.abc import Iterator, Mapping
from pathlib import Path
from typing import Any

import pytest
import typer
import yaml  # type: ignore[import-untyped] # it comes with another tool, and without types

from tailrace.bootstrap import build
from tailrace.cli import app
from tailrace.settings import Settings, load_settings

ROOT = Path(__file__).parents[2]
UNITS = sorted((ROOT / "deploy" / "systemd").glob("*.service"))
GIVEN = {"TAILRACE_SECRET": "s" * 64, "POSTGRES_PASSWORD": "p" * 32}


@pytest.fixture(scope="module")
def compose() -> Any:
    return yaml.safe_load((ROOT / "compose.yaml").read_text())


def interpolate(text: str, given: Mapping[str, str] = GIVEN) -> str:
    """Fill in variables as Compose does: `${NAME:-default}`, which may hold others, and `${NAME:?required}`."""
    filled = re.sub(r"\$\{(\w+):([-?])([^${}]*)\}", lambda match: given.get(match[1], match[3]), text)
    return filled if filled == text else interpolate(filled, given)


def environment_of(service: Any, given: Mapping[str, str] = GIVEN) -> dict[str, str]:
    """Return what a container gets if the file `.env` holds what is `given`."""
    assert all("$" not in value for value in given.values())
    own = {name: interpolate(str(value), given) for name, value in service["environment"].items() if value is not None}
    from_file = given if {"path": ".env", "required": False} in service.get("env_file", []) else {}
    return {**from_file, **own}


def test_every_part_is_there_and_knows_the_others(compose: Any) -> None:
    services = compose["services"]
    assert sorted(services) == ["api-1", "api-2", "postgres", "proxy", "valkey", "worker-1", "worker-2"]
    for service in services.values():
        assert set(service.get("depends_on", {})) <= services.keys()
        assert re.search(r"^tailrace$|:\d", service["image"]), "a version is named"
        for volume in service.get("volumes", ()):
            source = volume.split(":")[0]
            assert (ROOT / source).is_file() if source.startswith("./") else source in compose["volumes"]
    upstreams = environment_of(services["proxy"])["TAILRACE_UPSTREAMS"].split()
    assert [upstream.split(":")[0] for upstream in upstreams] == ["api-1", "api-2"]


@pytest.mark.parametrize("name", ["api-1", "api-2", "worker-1", "worker-2"])
def test_the_settings_in_compose_are_such_as_tailrace_starts_with(
    compose: Any, name: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    environment = environment_of(compose["services"][name])
    own = {variable for variable in environment if variable.startswith("TAILRACE_")}
    assert own <= {f"TAILRACE_{field.upper()}" for field in Settings.model_fields}
    for variable, value in environment.items():
        monkeypatch.setenv(variable, value.replace("/data/", f"{tmp_path}/"))
    monkeypatch.setenv("TAILRACE_DATA", str(tmp_path))
    tailrace = build(load_settings())
    assert tailrace.settings.engine == "celery"
    assert not tailrace.database.is_sqlite
    tailrace.database.dispose()


@pytest.mark.parametrize("name", ["api-1", "worker-2"])
def test_every_setting_in_the_file_beside_it_has_its_effect(compose: Any, name: str) -> None:
    given = {
        **GIVEN,
        "TAILRACE_PHOTO_BYTES": "100000000",
        "TAILRACE_WORKERS": "7",
        "TAILRACE_DATABASE_URL": "postgresql://tailrace@db.example.org/tailrace",
        "TAILRACE_BROKER_URL": "rediss://broker.example.org:6380/0",
        "TAILRACE_STORAGE_URL": "s3://tailrace/production",
        "TAILRACE_TRUSTED_PROXIES": "10.0.0.7",
        "AWS_REGION": "eu-central-1",
    }
    assert environment_of(compose["services"][name], given).items() >= given.items()


@pytest.mark.parametrize(
    ("given", "address"),
    [
        ({}, "https://localhost"),
        ({"TAILRACE_SITE": "tasks.example.org"}, "https://tasks.example.org"),
        ({"TAILRACE_SITE": ":80", "TAILRACE_BASE_URL": "http://tasks.lan"}, "http://tasks.lan"),
    ],
)
def test_links_lead_to_the_name_that_the_proxy_answers_to(compose: Any, given: dict[str, str], address: str) -> None:
    environment = environment_of(compose["services"]["api-1"], {**GIVEN, **given})
    assert environment["TAILRACE_BASE_URL"] == address
    site = environment_of(compose["services"]["proxy"], {**GIVEN, **given})["TAILRACE_SITE"]
    assert site == given.get("TAILRACE_SITE", "localhost")


def test_no_secret_has_a_default(compose: Any) -> None:
    text = (ROOT / "compose.yaml").read_text()
    assert set(re.findall(r"\$\{(\w+):\?", text)) == {"TAILRACE_SECRET", "POSTGRES_PASSWORD"}


@pytest.mark.parametrize("file", [".env", "examples/parcels.db", "examples/parcels.db-wal", "tailrace-data/secret.key"])
def test_git_takes_neither_secrets_nor_data(file: str) -> None:
    if not (ROOT / ".git").exists():
        pytest.skip("This is no clone.")
    subprocess.run(["git", "check-ignore", "--quiet", "--no-index", file], cwd=ROOT, check=True)


def test_an_image_takes_nothing_that_is_not_named() -> None:
    everything, *others = (ROOT / ".dockerignore").read_text().split()
    assert everything == "*"
    assert [name for name in others if name.startswith("!.") or "data" in name] == []


def test_the_proxy_is_believed_and_nobody_else(compose: Any) -> None:
    (network,) = compose["networks"]["default"]["ipam"]["config"]
    assert environment_of(compose["services"]["api-1"])["TAILRACE_TRUSTED_PROXIES"] == network["subnet"]


def test_compose_itself_accepts_the_file() -> None:
    command = ["docker", "compose", "--file", str(ROOT / "compose.yaml"), "config", "--quiet"]
    if shutil.which("docker") is None or subprocess.run(["docker", "compose", "version"], check=False).returncode:
        pytest.skip("There is no Docker Compose here; the other tests read the file.")
    subprocess.run(command, env={**os.environ, **GIVEN}, check=True)


def test_the_image_is_of_what_is_there_and_runs_as_nobody_special() -> None:
    stages = re.split(r"^FROM ", (ROOT / "Dockerfile").read_text(), flags=re.MULTILINE)[1:]
    copied = [
        word for words in re.findall(r"^COPY (?!--from)(.+) \S+$", stages[0], re.MULTILINE) for word in words.split()
    ]
    allowed = (ROOT / ".dockerignore").read_text()
    for source in copied:
        assert (ROOT / source).exists()
        assert f"!{source}" in allowed
    extras = re.search(r"'\.\[(.+)\]'", stages[0])
    assert extras is not None
    project = tomllib.loads((ROOT / "pyproject.toml").read_text())["project"]
    assert set(extras[1].split(",")) == set(project["optional-dependencies"])
    user = stages[-1].index("\nUSER tailrace")
    assert user < stages[-1].index("\nENTRYPOINT")


@pytest.mark.parametrize(("kind", "file"), [("nginx", "nginx/tailrace.conf"), ("caddyfile", "caddy/Caddyfile")])
def test_the_how_to_shows_the_settings_that_are_tested(kind: str, file: str) -> None:
    page = (ROOT / "docs" / "how-to" / "behind-a-proxy.md").read_text()
    (shown,) = re.findall(rf"^```{kind}\n(.*?)^```$", page, re.MULTILINE | re.DOTALL)
    lines = (ROOT / "deploy" / file).read_text().splitlines(keepends=True)
    assert shown == "".join(line for line in lines if not line.startswith("#")).lstrip("\n")


def test_the_commands_are_those_of_tailrace(compose: Any) -> None:
    commands = typer.main.get_command(app).commands  # type: ignore[attr-defined] # it is a group
    given = [service["command"] for name, service in compose["services"].items() if name.startswith(("api", "worker"))]
    for line in UNITS:
        start = _unit(line)["Service"]["ExecStart"]
        given.append(start.replace("%i", "8000").split()[1:])
    for name, *arguments in given:
        commands[name].make_context(name, arguments)


@pytest.fixture
def port() -> Iterator[int]:
    """Give the port of a server whose /readyz answers 200 once and then 503."""

    class Handler(http.server.BaseHTTPRequestHandler):
        answers = iter((200, 503))

        def do_GET(self) -> None:
            self.send_response(next(self.answers) if self.path == "/readyz" else 404)
            self.end_headers()

        def log_message(self, *_arguments: object) -> None:
            pass

    server = http.server.HTTPServer(("127.0.0.1", 0), Handler)
    threading.Thread(target=server.serve_forever, daemon=True).start()
    yield server.server_port
    server.shutdown()
    server.server_close()


def test_the_health_check_tells_ready_from_not_ready(port: int) -> None:
    found = re.search(r"^HEALTHCHECK .*?CMD (\[.*?\])$", (ROOT / "Dockerfile").read_text(), re.MULTILINE | re.DOTALL)
    assert found is not None
    _python, *arguments = json.loads(found[1].replace("\\\n", ""))
    command = [sys.executable, *(argument.replace(":8000", f":{port}") for argument in arguments)]
    codes = [subprocess.run(command, capture_output=True, check=False).returncode for _ in range(2)]
    assert codes == [0, 1]


def _unit(path: Path) -> configparser.RawConfigParser:
    unit = configparser.RawConfigParser(strict=False)
    unit.optionxform = str  # type: ignore[assignment, method-assign] # the names of systemd are in mixed case
    unit.read(path)
    return unit


@pytest.mark.parametrize("unit", UNITS, ids=lambda path: path.stem)
def test_systemd_understands_the_units(unit: Path, tmp_path: Path) -> None:
    if shutil.which("systemd-analyze") is None:
        pytest.skip("There is no systemd-analyze here.")
    program = Path(sys.executable).with_name("tailrace")
    file = tmp_path / unit.name.replace("@", "@8000")
    file.write_text(unit.read_text().replace("/opt/tailrace/.venv/bin/tailrace", str(program)))
    done = subprocess.run(["systemd-analyze", "verify", file], capture_output=True, text=True, check=False)
    told = [line for line in done.stderr.splitlines() if unit.stem.split("@")[0] in line]
    assert (done.returncode, told) == (0, [])


def _shown_settings() -> str:
    """Return the settings of many machines that the how-to shows for systemd, with something in each gap."""
    page = (ROOT / "docs" / "how-to" / "many-machines.md").read_text().partition("\n## systemd\n")[2]
    (block,) = re.findall(r"```sh\n( +TAILRACE_BASE_URL=.*?)```", page, re.DOTALL)
    return re.sub("^ +", "", block, flags=re.MULTILINE).replace("…", "s" * 64)


def _as_systemd_reads(settings: str) -> dict[str, str]:
    return dict(re.findall(r"^(\w+)='([^']*)'$", settings, re.MULTILINE))


def test_the_settings_in_the_how_to_are_such_as_tailrace_starts_with(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    settings = _as_systemd_reads(_shown_settings())
    assert {name for name in settings if name.startswith("TAILRACE_")} <= {
        f"TAILRACE_{field.upper()}" for field in Settings.model_fields
    }
    for name, value in {**settings, "TAILRACE_DATA": str(tmp_path)}.items():
        monkeypatch.setenv(name, value)
    tailrace = build(load_settings())
    assert tailrace.unshared == []
    tailrace.database.dispose()


def test_the_command_of_the_administrator_has_the_settings_of_the_services(tmp_path: Path) -> None:
    if os.geteuid() != 0:
        pytest.skip("Only root may be another user.")
    settings = f"{_shown_settings()}TAILRACE_MAIL_FROM='a&b;$c d@example.org'\n"
    (tmp_path / "environment").write_text(settings)
    script = (ROOT / "deploy" / "systemd" / "tailrace.sh").read_text()
    for installed, here in (
        ("/etc/tailrace/environment", tmp_path / "environment"),
        ("/var/lib/tailrace", tmp_path),
        ("-u tailrace", "-u nobody"),
        ("/opt/tailrace/.venv/bin/tailrace", "/usr/bin/env"),
    ):
        assert installed in script
        script = script.replace(installed, str(here))
    command = ["sh", "-c", script, "tailrace", "sh", "-c", "id -un; env"]
    user, *variables = subprocess.run(command, capture_output=True, text=True, check=True).stdout.splitlines()
    assert user == "nobody"
    expected = {**_as_systemd_reads(settings), "TAILRACE_DATA": str(tmp_path)}
    assert expected.items() <= dict(line.partition("=")[::2] for line in variables).items()
