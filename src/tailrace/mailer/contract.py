"""The contract of a mailer, and what can go wrong with one.

MailError
├── MailRefused       this message will never be accepted; another attempt is pointless
└── MailUnavailable   not now: the server is down, busy, or misconfigured; try again later

Each carries a sentence for the person who runs the service, and never a password.
"""

from email.message import EmailMessage
from typing import Protocol


class MailError(Exception):
    """The mail could not be sent."""

    def __init__(self, detail: str | None = None) -> None:
        self.detail = detail or self.__doc__ or "The mail could not be sent."
        super().__init__(self.detail)


class MailRefused(MailError):
    """The mail server refused this message for good."""


class MailUnavailable(MailError):
    """The mail server cannot take messages at the moment."""


class Mailer(Protocol):
    """Sends messages that have their From, To, Subject and Message-ID. It blocks, and may be called from any thread."""

    @property
    def delivers(self) -> bool:
        """Whether messages go out to people; else they are kept where only who runs the service finds them."""

    def describe(self) -> str:
        """Say for people, in plain sentences, what becomes of messages; names no password."""

    def send(self, message: EmailMessage) -> None:
        """Send `message`; when this returns, it was accepted. Raises MailRefused or MailUnavailable."""

    def check(self) -> None:
        """Try everything but sending. Raises MailUnavailable with a sentence about what is wrong."""
