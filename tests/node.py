"""Programs for node.js that tests drive: found on this machine, with packages of npm kept outside the repository."""

import contextlib
import os
import shutil
import subprocess
import tempfile
from collections.abc import Sequence
from pathlib import Path

from tests.services import unavailable

_INSTALL_WITHIN_S = 180


def node_with(package: str, version: str) -> tuple[str, dict[str, str]]:
    """Return the node program, and an environment in which a script can require `package` in exactly this version."""
    node, npm = shutil.which("node"), shutil.which("npm")
    if node is None or npm is None:
        unavailable("There is no node.js with npm here: install Debian's packages nodejs and npm.")
    folder = _cache() / f"{package}-{version}"
    if not folder.exists():
        _install(npm, f"{package}@{version}", folder)
    return node, {**os.environ, "NODE_PATH": str(folder)}


def _cache() -> Path:
    root = Path(os.environ.get("XDG_CACHE_HOME") or Path.home() / ".cache")
    return root / "tailrace-tests"


def _install(npm: str, wanted: str, folder: Path) -> None:
    folder.parent.mkdir(parents=True, exist_ok=True)
    # Made aside and renamed: a folder that is there is whole.
    with tempfile.TemporaryDirectory(dir=folder.parent) as draft:
        options: Sequence[str] = ("--no-save", "--no-audit", "--no-fund", "--ignore-scripts", "--prefix", draft)
        command = [npm, "install", *options, wanted]
        done = subprocess.run(command, capture_output=True, text=True, timeout=_INSTALL_WITHIN_S, check=False)
        if done.returncode:
            unavailable(f"npm cannot install {wanted}: {done.stderr.strip()[-500:]}")
        with contextlib.suppress(OSError):  # Another run was faster.
            (Path(draft) / "node_modules").rename(folder)
