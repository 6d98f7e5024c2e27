"""What is particular to a mail server: TLS, login, and its refusals, all from a real one."""

import logging
import socket
import ssl
from typing import Any
from urllib.parse import quote

import pytest

from tailrace.mailer import MailError, MailRefused, MailUnavailable, SmtpMailer
from tests.mailer.conftest import PASSWORD, StartServer, make_message


def test_a_login_is_used_over_starttls(start_server: StartServer, login: dict[str, Any], trust: ssl.SSLContext) -> None:
    post = start_server(**login)
    SmtpMailer(f"smtp+starttls://ann:{quote(PASSWORD, safe='')}@127.0.0.1:{post.port}", tls=trust).send(make_message())
    assert post.recipients == ["ann@example.org"]


def test_a_wrong_password_waits_for_the_operator_and_is_never_shown(
    start_server: StartServer, login: dict[str, Any], trust: ssl.SSLContext, caplog: pytest.LogCaptureFixture
) -> None:
    mailer = SmtpMailer(f"smtp+starttls://ann:hunter2@127.0.0.1:{start_server(**login).port}", tls=trust)
    with caplog.at_level(logging.DEBUG), pytest.raises(MailUnavailable, match="refused the login") as caught:
        mailer.send(make_message())
    assert "hunter2" not in f"{caught.value} {caplog.text} {mailer!r}"


def test_a_server_that_wants_a_login_waits_for_the_operator(
    start_server: StartServer, login: dict[str, Any], trust: ssl.SSLContext
) -> None:
    post = start_server(**login)
    with pytest.raises(MailUnavailable, match="530"):
        SmtpMailer(f"smtp+starttls://127.0.0.1:{post.port}", tls=trust).send(make_message())


def test_smtps_is_secure_from_the_start(
    start_server: StartServer, server_tls: ssl.SSLContext, trust: ssl.SSLContext
) -> None:
    post = start_server(ssl_context=server_tls)
    SmtpMailer(f"smtps://127.0.0.1:{post.port}", tls=trust).send(make_message())
    assert len(post.messages) == 1


@pytest.mark.parametrize("scheme", ["smtp+starttls", "smtps"])
def test_a_certificate_nobody_vouches_for_is_not_accepted(
    start_server: StartServer, server_tls: ssl.SSLContext, scheme: str
) -> None:
    options: dict[str, Any] = {"tls_context": server_tls} if scheme == "smtp+starttls" else {"ssl_context": server_tls}
    post = start_server(**options)
    with pytest.raises(MailUnavailable, match="no trustworthy TLS"):
        SmtpMailer(f"{scheme}://127.0.0.1:{post.port}").send(make_message())
    assert post.messages == []


def test_a_server_without_starttls_gets_nothing_in_the_clear(start_server: StartServer) -> None:
    post = start_server()
    with pytest.raises(MailUnavailable, match="offers no STARTTLS"):
        SmtpMailer(f"smtp+starttls://127.0.0.1:{post.port}").send(make_message())
    assert post.messages == []


@pytest.mark.parametrize(
    ("stage", "reply", "expected"),
    [
        ("RCPT", "550 no such person", MailRefused),
        ("RCPT", "450 try later", MailUnavailable),
        ("DATA", "554 looks like spam", MailRefused),
        ("DATA", "451 busy", MailUnavailable),
    ],
)
def test_a_reply_of_five_hundred_is_final_and_one_of_four_hundred_is_not(
    start_server: StartServer, stage: str, reply: str, expected: type[MailError]
) -> None:
    post = start_server()
    post.replies[stage] = reply
    mailer = SmtpMailer(f"smtp://127.0.0.1:{post.port}")
    with pytest.raises(expected, match=reply):
        mailer.send(make_message())
    post.replies.clear()
    mailer.send(make_message())
    assert len(post.messages) == 1


def test_a_server_that_is_down_is_unavailable() -> None:
    with socket.create_server(("127.0.0.1", 0)) as reserved:
        port = reserved.getsockname()[1]
    for use in (SmtpMailer(f"smtp://127.0.0.1:{port}").check, lambda: _send(port)):
        with pytest.raises(MailUnavailable, match=r"cannot be reached: Connection refused\.$"):
            use()


def _send(port: int, timeout_s: float = 20) -> None:
    SmtpMailer(f"smtp://127.0.0.1:{port}", timeout_s=timeout_s).send(make_message())


def test_a_server_that_never_answers_is_given_up() -> None:
    with (
        socket.create_server(("127.0.0.1", 0)) as silent,
        pytest.raises(MailUnavailable, match="did not answer in time"),
    ):
        _send(silent.getsockname()[1], timeout_s=0.2)


def test_a_login_that_the_client_could_not_send_is_refused_at_once() -> None:
    with pytest.raises(ValueError, match="ASCII"):
        SmtpMailer("smtp://ann:%C2%A7@127.0.0.1")


@pytest.mark.parametrize(
    "url", ["", "http://mail.example.org", "smtp://", "smtp+ssl://ann:hunter2@host", "mail.example.org:25"]
)
def test_an_address_that_is_none_is_refused_without_repeating_it(url: str) -> None:
    with pytest.raises(ValueError, match="begins with") as caught:
        SmtpMailer(url)
    assert "hunter2" not in str(caught.value)
