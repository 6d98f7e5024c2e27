"""What sends mail: one contract, and behind it files in a folder (`file`) or a mail server (`smtp`)."""

from tailrace.mailer.contract import Mailer, MailError, MailRefused, MailUnavailable
from tailrace.mailer.file import FileMailer
from tailrace.mailer.smtp import SmtpMailer

__all__ = ["FileMailer", "MailError", "MailRefused", "MailUnavailable", "Mailer", "SmtpMailer"]
