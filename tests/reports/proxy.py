"""A network that breaks: a TCP proxy on this machine that cuts connections in the middle of what a server sends."""

import socket
import threading
from collections.abc import Iterator
from contextlib import contextmanager, suppress
from urllib.parse import urlsplit


class CuttingProxy:
    """Passes bytes on, but cuts the first connections: each of `cuts` after that many bytes of what comes back."""

    def __init__(self, url: str, cuts: list[int]) -> None:
        parts = urlsplit(url)
        self._target = (parts.hostname or "127.0.0.1", parts.port or 80)
        self._listener = socket.create_server(("127.0.0.1", 0))
        self.cuts = cuts
        self.url = f"http://127.0.0.1:{self._listener.getsockname()[1]}"

    def serve(self) -> None:
        """Accept connections until the listener is closed."""
        with suppress(OSError):
            while True:
                client, _ = self._listener.accept()
                threading.Thread(target=self._pass_on, args=(client,), daemon=True).start()

    def close(self) -> None:
        # Waking `accept` takes a shutdown; closing alone would leave it waiting.
        self._listener.shutdown(socket.SHUT_RDWR)
        self._listener.close()

    def _pass_on(self, client: socket.socket) -> None:
        with client, socket.create_connection(self._target) as server:
            threading.Thread(target=_copy, args=(client, server), daemon=True).start()
            with suppress(OSError):
                self._copy_and_cut(server, client)
            for end in (client, server):
                # Closing alone ends nothing while the other thread still reads.
                with suppress(OSError):
                    end.shutdown(socket.SHUT_RDWR)

    def _copy_and_cut(self, server: socket.socket, client: socket.socket) -> None:
        passed = 0
        while data := server.recv(4096):
            client.sendall(data)
            passed += len(data)
            if self.cuts and passed > self.cuts[0]:
                self.cuts.pop(0)
                return


def _copy(source: socket.socket, target: socket.socket) -> None:
    with suppress(OSError):
        while data := source.recv(65536):
            target.sendall(data)


@contextmanager
def cutting(url: str, cuts: list[int]) -> Iterator[CuttingProxy]:
    """Give a running proxy before the server at `url`."""
    proxy = CuttingProxy(url, cuts)
    thread = threading.Thread(target=proxy.serve)
    thread.start()
    try:
        yield proxy
    finally:
        proxy.close()
        thread.join()
