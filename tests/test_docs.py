"""What the README says is true: its tour is run line by line, its table of settings is compared with the code."""

import os
import re
import subprocess
import sys
import threading
from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path

import pytest
from pydantic import SecretStr

import tailrace
from tailrace.settings import Settings
from tests.service import Service, environment

ROOT = Path(tailrace.__file__).parents[2]
README = (ROOT / "README.md").read_text()
_ADDRESS = "127.0.0.1:8000"
_SENTINEL = "--- end of the output ---"
_STEP_WITHIN_S = 60
# What differs from one day to the next: identifiers, digests. Everything else must be as printed, but for an ellipsis.
_CHANGING = (re.compile(r"\b[0-9a-f]{64}\b"), re.compile(r"\b[0-9a-f]{32}\b"))


@dataclass(frozen=True)
class Step:
    """One command of the tour, and what it is said to print."""

    command: str
    output: str


def _steps(text: str) -> list[Step]:
    steps = []
    for block in re.findall(r"^```console\n(.*?)^```$", text, re.MULTILINE | re.DOTALL):
        for part in re.split(r"^\$ ", block, flags=re.MULTILINE)[1:]:
            command, _, output = part.partition("\n")
            steps.append(Step(command, output))
    return steps


def _pattern(output: str) -> str:
    for changing in _CHANGING:
        output = changing.sub("IDENTIFIER", output)
    return re.escape(output).replace("…", ".*").replace("IDENTIFIER", "[0-9a-f]+")


class _Shell:
    """A bash that is given one command after the other."""

    def __init__(self, folder: Path, variables: dict[str, str]) -> None:
        self._process = subprocess.Popen(
            ["bash", "--norc"], cwd=folder, env=variables, stdin=subprocess.PIPE, stdout=subprocess.PIPE, text=True
        )

    def run(self, command: str) -> str:
        """Return what the command prints; one that hangs is ended with the shell."""
        assert self._process.stdin is not None
        assert self._process.stdout is not None
        # A group keeps what a command defines, and keeps it from reading the commands after it.
        self._process.stdin.write(f"{{ {command}\n}} </dev/null\nprintf '\\n%s\\n' '{_SENTINEL}'\n")
        self._process.stdin.flush()
        guard = threading.Timer(_STEP_WITHIN_S, self._process.kill)
        guard.start()
        printed: list[str] = []
        for line in self._process.stdout:
            if line.rstrip("\n") == _SENTINEL:
                break
            printed.append(line)
        guard.cancel()
        assert self._process.poll() is None, f"the shell ended at: {command}"
        return "".join(printed).removesuffix("\n")

    def close(self) -> None:
        """End the shell."""
        self._process.communicate()


def _use_the_setup_link(service: Service) -> None:
    person = {"email": "bob@example.org", "name": "Bob", "password": "correct horse battery"}
    with service.client() as client:
        created = client.post("/setup", json={**person, "token": service.setup_url.partition("token=")[2]})
    assert created.status_code == 201, created.text


@pytest.mark.acceptance
@pytest.mark.parametrize("set_up", [False, True], ids=["at once", "after the set-up link"])
def test_the_tour_of_the_readme_is_true_line_by_line(
    server: Callable[..., Service], tmp_path: Path, set_up: bool
) -> None:
    service = server()
    if set_up:
        _use_the_setup_link(service)
    (tmp_path / "tailrace-data").symlink_to(service.data)
    path = f"{Path(sys.executable).parent}:{os.environ['PATH']}"
    shell = _Shell(tmp_path, {**environment(service.data), "PATH": path, "TAILRACE_URL": service.url})
    steps = _steps(README)
    assert len(steps) > 15
    for step in steps:
        printed = shell.run(step.command.replace(f"http://{_ADDRESS}", service.url))
        assert re.fullmatch(_pattern(step.output.rstrip("\n")), printed.rstrip("\n")), f"$ {step.command}\n{printed}"
    shell.close()


def test_every_setting_is_in_the_table_with_its_default_and_meaning() -> None:
    table = dict(re.findall(r"^\| `(TAILRACE_\w+)` \| (.*) \|$", README, re.MULTILINE))
    expected = {}
    for name, field in Settings.model_fields.items():
        assert not isinstance(field.default, SecretStr)
        default = "" if field.default is None else f"`{field.default}`"
        expected[f"TAILRACE_{name.upper()}"] = f"{default} | {field.description}"
    assert table == expected


def test_every_command_of_make_is_described() -> None:
    listed = subprocess.run(["make", "help"], cwd=ROOT, capture_output=True, text=True, check=True).stdout
    for target in ("setup", "serve", "test", "check", "bench"):
        assert re.search(rf"^  make {target} +\S", listed, re.MULTILINE), listed


def test_make_installs_the_extras_that_are_asked_for() -> None:
    command = ["make", "--dry-run", "--always-make", "setup", "EXTRAS=postgres,s3"]
    planned = subprocess.run(command, cwd=ROOT, capture_output=True, text=True, check=True).stdout
    assert "-e '.[postgres,s3]'" in planned


def test_the_changelog_knows_this_version() -> None:
    changelog = (ROOT / "CHANGELOG.md").read_text()
    assert f"\n## [{tailrace.__version__}]" in changelog


@pytest.mark.parametrize("page", [*sorted(ROOT.glob("docs/**/*.md")), ROOT / "README.md"], ids=lambda page: page.name)
def test_links_between_pages_lead_somewhere(page: Path) -> None:
    for target in re.findall(r"\]\((?!https?://|#)([^)#]+)[^)]*\)", page.read_text()):
        assert (page.parent / target).exists(), f"{page.name} links to {target}"
