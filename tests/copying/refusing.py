"""An S3 server that has had enough: a proxy before a real one, which refuses to write any more from some point on."""

import http.client
import threading
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from urllib.parse import urlsplit

_REFUSAL = b"<Error><Code>AccessDenied</Code><Message>Over quota.</Message></Error>"
# These belong to one connection, not to what is sent over it (RFC 9110, section 7.6.1).
_HOP_BY_HOP = {"connection", "keep-alive", "transfer-encoding", "content-length"}


class RefusingProxy(ThreadingHTTPServer):
    """Passes requests on; after `writes` of those that write, every further one is refused until `writes` is raised."""

    daemon_threads = True

    def __init__(self, endpoint: str, writes: int) -> None:
        super().__init__(("127.0.0.1", 0), _Handler)
        self.target = urlsplit(endpoint).netloc
        self.writes = writes
        self._lock = threading.Lock()

    @property
    def endpoint(self) -> str:
        """Its address."""
        return f"http://127.0.0.1:{self.server_address[1]}"

    def may_write(self) -> bool:
        """Count a request that writes; return whether it is passed on."""
        with self._lock:
            self.writes -= 1
            return self.writes >= 0


class _Handler(BaseHTTPRequestHandler):
    protocol_version = "HTTP/1.1"
    server: RefusingProxy

    def __getattr__(self, name: str) -> Callable[[], None]:
        if name.startswith("do_"):  # Whatever the method.
            return self._pass_on
        raise AttributeError(name)

    def log_message(self, *_: object) -> None:
        """Say nothing."""

    def _pass_on(self) -> None:
        body = self.rfile.read(int(self.headers.get("content-length", 0)))
        if self.command in {"PUT", "POST"} and not self.server.may_write():
            self._answer(403, {"content-type": "application/xml"}, _REFUSAL)
            return
        # With the Host header that the client signed.
        onward = http.client.HTTPConnection(self.server.target, timeout=30)
        onward.request(self.command, self.path, body=body, headers=dict(self.headers))
        answer = onward.getresponse()
        headers = {name: value for name, value in answer.getheaders() if name.lower() not in _HOP_BY_HOP}
        self._answer(answer.status, headers, answer.read(), length=answer.headers.get("content-length"))
        onward.close()

    def _answer(self, status: int, headers: dict[str, str], body: bytes, *, length: str | None = None) -> None:
        self.send_response_only(status)
        for name, value in headers.items():
            self.send_header(name, value)
        # The answer to HEAD tells the length of what it does not send.
        self.send_header("Content-Length", length if self.command == "HEAD" and length else str(len(body)))
        self.end_headers()
        self.wfile.write(body)


@contextmanager
def refusing(endpoint: str, *, after_writes: int) -> Iterator[RefusingProxy]:
    """Give a running proxy before the S3 server at `endpoint`."""
    with RefusingProxy(endpoint, after_writes) as proxy:
        thread = threading.Thread(target=proxy.serve_forever)
        thread.start()
        try:
            yield proxy
        finally:
            proxy.shutdown()
            thread.join()
