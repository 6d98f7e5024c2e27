"""`tailrace mail`: find out whether mail works."""

from typing import Annotated

import typer

mail = typer.Typer(help="Send a mail to see that it works.", no_args_is_help=True)


@mail.callback()
def _group() -> None:
    """Keep `test` a word of its own, though it is the only command."""


@mail.command()
def test(address: Annotated[str, typer.Argument(metavar="EMAIL", help="Who gets the mail.")]) -> None:
    """Send a test mail at once, through the configured mailer, and say what became of it."""
    from tailrace.bootstrap import build
    from tailrace.cli.common import existing_settings
    from tailrace.mailer import FileMailer
    from tailrace.notifications.service import send_test_mail

    tailrace = build(existing_settings())
    identifier = send_test_mail(tailrace.mailer, to=address, sender=tailrace.mail_from, base_url=tailrace.base_url)
    if isinstance(tailrace.mailer, FileMailer):
        print(f"No mail server is set: the mail is {tailrace.mailer.path_of(identifier)}.")
        print("Set TAILRACE_MAIL_URL to send it.")
    else:
        print(f"The mail server accepted the mail for {address}, {identifier}. Look for it there, in the spam too.")
