"""Hosts on this machine: network namespaces on a bridge, whose links can be cut and healed. For root, on Linux."""

import ctypes
import os
import shutil
import subprocess
from dataclasses import dataclass
from types import TracebackType
from typing import Self

import pytest

from tests.services import unavailable

_NET = "10.64.0"
_BRIDGE = "bridge"
_CLONE_NEWNET = 0x40000000


@dataclass(frozen=True)
class Host:
    """A host: its address, and what a command begins with to run there. It shares files with all others."""

    name: str
    address: str

    @property
    def prefix(self) -> tuple[str, ...]:
        """What a command begins with to run there."""
        return ("ip", "netns", "exec", self.name)

    def cut(self) -> None:
        """Pull its cable: nothing comes through any more, and nobody is told."""
        _ip("link", "set", self.name, "down")

    def heal(self) -> None:
        """Plug its cable in."""
        _ip("link", "set", self.name, "up")


class Network:
    """A network of hosts, on which this thread is one too, and what it starts; use it as a context manager.

    It is a world of its own, also for this thread: a browser that another test drives gives up what it is loading
    whenever the machine's own network changes.
    """

    def __init__(self) -> None:
        """Prepare it; skips the test where namespaces cannot be made."""
        if os.geteuid() != 0:
            pytest.skip("Network namespaces are for root.")
        if shutil.which("ip") is None:
            unavailable("There is no `ip` here: install iproute2.")
        # Several runs of the tests may share this machine.
        self._name = f"tr{os.getpid()}"
        self._hosts: list[Host] = []
        self._home = -1

    @property
    def address(self) -> str:
        """The address of this thread's own host."""
        return f"{_NET}.1"

    def add(self) -> Host:
        """Return a new host."""
        host = Host(f"{self._name}-{len(self._hosts)}", f"{_NET}.{len(self._hosts) + 2}")
        _ip("netns", "add", host.name)
        self._hosts.append(host)
        _ip("link", "add", host.name, "type", "veth", "peer", "name", "eth0", "netns", host.name)
        _ip("link", "set", host.name, "master", _BRIDGE, "up")
        _ip("-n", host.name, "address", "add", f"{host.address}/24", "dev", "eth0")
        for device in ("lo", "eth0"):
            _ip("-n", host.name, "link", "set", device, "up")
        return host

    def __enter__(self) -> Self:
        self._home = os.open("/proc/thread-self/ns/net", os.O_RDONLY)
        try:
            _call("unshare", _CLONE_NEWNET)
        except OSError as error:
            os.close(self._home)
            unavailable(f"Network namespaces cannot be made here: {error}.")
        _ip("link", "add", _BRIDGE, "type", "bridge")
        _ip("address", "add", f"{self.address}/24", "dev", _BRIDGE)
        for device in ("lo", _BRIDGE):
            _ip("link", "set", device, "up")
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        for host in self._hosts:
            _ip("netns", "delete", host.name)
        # The bridge and the cables go with the namespace, when nobody is in it any more.
        _call("setns", self._home, _CLONE_NEWNET)
        os.close(self._home)


def _call(function: str, *arguments: int) -> None:
    """Call what `os` has from Python 3.12 on."""
    libc = ctypes.CDLL(None, use_errno=True)
    if getattr(libc, function)(*arguments) != 0:
        raise OSError(ctypes.get_errno(), os.strerror(ctypes.get_errno()))


def _ip(*arguments: str) -> None:
    subprocess.run(["ip", *arguments], check=True, capture_output=True, text=True)
