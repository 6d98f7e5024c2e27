"""Real mail servers on this machine, with and without TLS and login."""

import shutil
import ssl
import subprocess
from asyncio import Server
from collections.abc import Callable, Iterator
from contextlib import ExitStack
from dataclasses import dataclass, field
from email import message_from_bytes
from email.message import EmailMessage, Message
from email.policy import default
from pathlib import Path
from typing import Any

import pytest
from aiosmtpd.controller import Controller
from aiosmtpd.smtp import SMTP, AuthResult, Envelope, LoginPassword, Session

from tests.services import unavailable

PASSWORD = "s3cret/ &@"


@dataclass
class Post:
    """What a server got, and what it answers: `replies` by stage (`RCPT`, `DATA`)."""

    port: int = 0
    messages: list[Message] = field(default_factory=list)
    recipients: list[str] = field(default_factory=list)
    replies: dict[str, str] = field(default_factory=dict)

    async def handle_RCPT(  # noqa: N802 -- aiosmtpd looks the name up
        self, server: SMTP, session: Session, envelope: Envelope, address: str, options: list[str]
    ) -> str:
        if "RCPT" in self.replies:
            return self.replies["RCPT"]
        envelope.rcpt_tos.append(address)
        return "250 OK"

    async def handle_DATA(  # noqa: N802 -- see above
        self, server: SMTP, session: Session, envelope: Envelope
    ) -> str:
        if "DATA" in self.replies:
            return self.replies["DATA"]
        assert isinstance(envelope.content, bytes)
        self.messages.append(message_from_bytes(envelope.content, policy=default))
        self.recipients += envelope.rcpt_tos
        return "250 accepted"


class _Server(Controller):
    """A controller that says which port it got."""

    def _trigger_server(self) -> None:
        # The base class greets the port that it was given, which is 0: any free one.
        assert isinstance(self.server, Server)
        self.port = self.server.sockets[0].getsockname()[1]
        super()._trigger_server()  # type: ignore[no-untyped-call]


StartServer = Callable[..., Post]


@pytest.fixture
def start_server() -> Iterator[StartServer]:
    """Give a function that starts a mail server with the options of aiosmtpd's `Controller` and returns its `Post`."""
    with ExitStack() as stack:

        def start(*, port: int = 0, **options: Any) -> Post:
            post = Post()
            server = _Server(post, hostname="127.0.0.1", port=port, **options)
            server.start()
            stack.callback(server.stop)
            post.port = server.port
            return post

        yield start


@pytest.fixture
def login(server_tls: ssl.SSLContext) -> dict[str, Any]:
    """Give the options of a server that demands STARTTLS and a login, and lets `ann` in with PASSWORD."""

    def authenticate(_server: SMTP, _session: Session, _envelope: Envelope, _mechanism: str, data: Any) -> AuthResult:
        good = isinstance(data, LoginPassword) and (data.login, data.password) == (b"ann", PASSWORD.encode())
        return AuthResult(success=good, handled=False)

    return {"authenticator": authenticate, "auth_required": True, "tls_context": server_tls, "require_starttls": True}


@pytest.fixture(scope="session")
def certificate(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """Give a file with a key and a certificate for 127.0.0.1."""
    if shutil.which("openssl") is None:
        unavailable("A certificate cannot be made: apt install openssl.")
    path = tmp_path_factory.mktemp("tls") / "server.pem"
    command = [
        "openssl",
        "req",
        "-x509",
        "-newkey",
        "ec",
        "-pkeyopt",
        "ec_paramgen_curve:P-256",
        "-nodes",
        "-days",
        "2",
    ]
    names = ["-subj", "/CN=127.0.0.1", "-addext", "subjectAltName=IP:127.0.0.1"]
    subprocess.run(
        [*command, *names, "-keyout", path, "-out", path.with_suffix(".crt")], check=True, capture_output=True
    )
    path.write_bytes(path.read_bytes() + path.with_suffix(".crt").read_bytes())
    return path


@pytest.fixture
def server_tls(certificate: Path) -> ssl.SSLContext:
    context = ssl.SSLContext(ssl.PROTOCOL_TLS_SERVER)
    context.load_cert_chain(certificate)
    return context


@pytest.fixture
def trust(certificate: Path) -> ssl.SSLContext:
    return ssl.create_default_context(cafile=str(certificate.with_suffix(".crt")))


def make_message(**headers: str) -> EmailMessage:
    message = EmailMessage()
    values = {
        "From": "tailrace@example.org",
        "To": "ann@example.org",
        "Subject": "Prêt ✓",
        "Message-ID": "<m1@example.org>",
    }
    for name, value in {**values, **headers}.items():
        message[name] = value
    message.set_content("Voilà: € 5.\n" + "long " * 400 + "\n")
    message.add_alternative("<p>Voilà</p>", subtype="html")
    return message
