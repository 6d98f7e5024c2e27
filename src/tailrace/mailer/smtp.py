"""A mailer that hands messages to a mail server, with the standard library's client.

What the server says about a message or a recipient with a code of 500 or above is final. Whatever goes wrong before
that (the address, the certificate, the login) is the operator's to mend, and a message must not be lost over it: it
counts as unavailable.
"""

import logging
import smtplib
import ssl
from collections.abc import Iterator
from contextlib import contextmanager, suppress
from email.message import EmailMessage
from urllib.parse import unquote, urlsplit

from tailrace.mailer.contract import MailError, MailRefused, MailUnavailable

_log = logging.getLogger(__name__)
_PORTS = {"smtp": 25, "smtp+starttls": 587, "smtps": 465}
_AUTHENTICATION_REQUIRED = 530


class SmtpMailer:
    """Sends through one server: `smtp://` as it is, `smtp+starttls://` after STARTTLS, `smtps://` over TLS."""

    delivers = True

    def __init__(self, url: str, *, timeout_s: float = 20, tls: ssl.SSLContext | None = None) -> None:
        """Use the server at `url`, `SCHEME://[USER:PASSWORD@]HOST[:PORT]`, user and password percent-encoded.

        No step may take longer than `timeout_s` seconds. `tls` replaces the system's trust. Raises ValueError for an
        address that is none, which it does not repeat, for it may hold a password.
        """
        parts = urlsplit(url)
        if parts.scheme not in _PORTS or not parts.hostname:
            raise ValueError("A mail server's address begins with smtp://, smtp+starttls:// or smtps:// and a host.")
        self._scheme = parts.scheme
        self._host = parts.hostname
        self._port = parts.port or _PORTS[parts.scheme]
        self._user = unquote(parts.username or "")
        self._password = unquote(parts.password or "")
        if not f"{self._user}{self._password}".isascii():
            raise ValueError("The mail server's user and password must be ASCII: the client can send no others.")
        self._timeout_s = timeout_s
        self._tls = tls or ssl.create_default_context()

    def __repr__(self) -> str:
        return f"SmtpMailer({self._scheme}://{self._host}:{self._port})"

    def describe(self) -> str:
        """See `Mailer.describe`."""
        return f"Mails are sent by the mail server {self._host}:{self._port}."

    def send(self, message: EmailMessage) -> None:
        """See `Mailer.send`. A recipient that the server refuses makes it raise, whoever else was accepted."""
        with self._connected() as server:
            try:
                refused = server.send_message(message)
            except (smtplib.SMTPException, OSError) as error:
                raise self._explain(error) from error
        if refused:
            raise self._explain(smtplib.SMTPRecipientsRefused(refused))
        _log.info("mail for %s: %s (%s)", message["To"], message["Subject"], self._host)

    def check(self) -> None:
        """See `Mailer.check`: connects, secures and logs in."""
        with self._connected() as server:
            try:
                server.noop()
            except (smtplib.SMTPException, OSError) as error:
                raise self._explain(error) from error

    @contextmanager
    def _connected(self) -> Iterator[smtplib.SMTP]:
        try:
            server = self._connect()
        except (smtplib.SMTPException, OSError) as error:
            raise MailUnavailable(self._describe_connecting(error)) from error
        try:
            yield server
        finally:
            # The server took the message or said why not; how it takes leave changes nothing.
            with suppress(smtplib.SMTPException, OSError):
                server.quit()
            server.close()

    def _connect(self) -> smtplib.SMTP:
        if self._scheme == "smtps":
            server = smtplib.SMTP_SSL(self._host, self._port, timeout=self._timeout_s, context=self._tls)
            return self._log_in(server)
        return self._log_in(smtplib.SMTP(self._host, self._port, timeout=self._timeout_s))

    def _log_in(self, server: smtplib.SMTP) -> smtplib.SMTP:
        try:
            if self._scheme == "smtp+starttls":
                server.starttls(context=self._tls)
            if self._user:
                server.login(self._user, self._password)
        except BaseException:
            server.close()
            raise
        return server

    def _describe_connecting(self, error: Exception) -> str:
        where = f"The mail server {self._host}:{self._port}"
        if isinstance(error, smtplib.SMTPAuthenticationError):
            # Without the server's own words, which might repeat what it was sent.
            return f"{where} refused the login ({error.smtp_code}): correct the user or the password."
        if isinstance(error, smtplib.SMTPNotSupportedError):
            return f"{where} offers no STARTTLS or no login: correct the scheme or the port of its address."
        if isinstance(error, ssl.SSLError):
            return f"{where} has no trustworthy TLS: {error.reason or error}."
        if isinstance(error, smtplib.SMTPResponseException):
            return f"{where} does not serve us: {_reply(error.smtp_code, error.smtp_error)}."
        slow = isinstance(error, TimeoutError) or isinstance(error.__context__, TimeoutError)
        reason = "it did not answer in time" if slow else _reason(error)
        return f"{where} cannot be reached: {reason}."

    def _explain(self, error: Exception) -> MailError:
        where = f"The mail server {self._host}:{self._port}"
        if isinstance(error, smtplib.SMTPRecipientsRefused):
            replies = [_reply(code, text) for code, text in error.recipients.values()]
            final = all(code >= 500 for code, _ in error.recipients.values())
            return (MailRefused if final else MailUnavailable)(f"{where} refused the recipient: {'; '.join(replies)}.")
        if isinstance(error, smtplib.SMTPResponseException):
            final = error.smtp_code >= 500 and error.smtp_code != _AUTHENTICATION_REQUIRED
            reply = _reply(error.smtp_code, error.smtp_error)
            return (MailRefused if final else MailUnavailable)(f"{where} refused the message: {reply}.")
        if isinstance(error, smtplib.SMTPNotSupportedError):
            return MailRefused(f"{where} cannot take addresses with letters beyond ASCII.")
        return MailUnavailable(f"{where} broke off before it accepted the message: {_reason(error)}.")


def _reason(error: Exception) -> str:
    """Return what went wrong without the number or the kind of the error, which say nothing to people."""
    told = (error.strerror if isinstance(error, OSError) else "") or str(error)
    return told.strip().rstrip(".") or "the connection ended"


def _reply(code: int, text: bytes | str) -> str:
    words = text.decode("utf-8", "replace") if isinstance(text, bytes) else text
    return " ".join(f"{code} {words}".split())[:300].rstrip(".")
