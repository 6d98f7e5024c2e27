"""`tailrace user …` and `tailrace token …`: accounts without a browser, whether the service runs or not."""

import sys
from typing import TYPE_CHECKING, Annotated, TypeVar

import typer

if TYPE_CHECKING:
    from pydantic import BaseModel

M = TypeVar("M", bound="BaseModel")

user = typer.Typer(help="Create and list people.", no_args_is_help=True)
token = typer.Typer(help="Create API tokens.", no_args_is_help=True)


@user.command("create")
def create_user(
    email: Annotated[str, typer.Argument(metavar="EMAIL", help="The address to sign in with.")],
    admin: Annotated[bool, typer.Option("--admin", help="Let this person administer the installation.")] = False,
    name: Annotated[
        str, typer.Option(metavar="NAME", help="The name others see; else the part of the address before the @.")
    ] = "",
    password_stdin: Annotated[
        bool, typer.Option("--password-stdin", help="Read the password from standard input instead of asking for it.")
    ] = False,
) -> None:
    """Create a person."""
    from tailrace.accounts import service
    from tailrace.accounts.passwords import hash_password
    from tailrace.accounts.schemas import UserInput
    from tailrace.cli.common import existing_settings, opened

    # Whoever types a password should not learn after it that it was for nothing.
    email = _address(email)
    existing_settings()
    password = _piped_line() if password_stdin else typer.prompt("Password", hide_input=True, confirmation_prompt=True)
    new = _checked(UserInput, email=email, name=name or email.split("@", maxsplit=1)[0], password=password)
    password_hash = hash_password(new.password)
    with opened() as tailrace, tailrace.database.write() as session:
        person = service.create_user(
            session, email=new.email, name=new.name, password_hash=password_hash, is_admin=admin
        )
    typer.echo(f"Created {'the administrator' if admin else 'the user'} {person.email}, with id {person.id}.")


@user.command("list")
def list_users() -> None:
    """List people."""
    from rich.console import Console
    from rich.table import Table
    from rich.text import Text

    from tailrace.accounts import service
    from tailrace.cli.common import opened

    table = Table("id", "e-mail", "name", "role", "since")
    with opened() as tailrace, tailrace.database.read() as session:
        after: int | None = 0
        while after is not None:
            page = service.list_users(session, after=after, limit=200)
            for person in page.items:
                role = "disabled" if person.disabled else "administrator" if person.is_admin else "user"
                # As they are: rich would take [brackets] in a name for markup.
                cells = (str(person.id), person.email, person.name, role, f"{person.created_at:%Y-%m-%d}")
                table.add_row(*map(Text, cells))
            after = page.next
    Console().print(table)


@token.command("create")
def create_token(
    email: Annotated[str, typer.Argument(metavar="EMAIL", help="Whose token it will be.")],
    name: Annotated[str, typer.Option(metavar="NAME", help="What the token is for.")] = "command line",
    days: Annotated[
        int | None, typer.Option(metavar="NUMBER", min=1, max=3650, help="How long it is good; else for ever.")
    ] = None,
) -> None:
    """Create an API token and print it, alone, on standard output; it cannot be shown again."""
    from tailrace.accounts import service
    from tailrace.accounts.schemas import TokenInput
    from tailrace.cli.common import opened

    new = _checked(TokenInput, name=name, days=days)
    with opened() as tailrace, tailrace.database.write() as session:
        person = service.find_user_by_email(session, _address(email))
        made = service.create_token(session, person.id, name=new.name, days=new.days)
    typer.echo(made.token)


def _piped_line() -> str:
    return sys.stdin.readline().rstrip("\r\n")


def _address(email: str) -> str:
    from tailrace.cli.common import CommandError
    from tailrace.http.fields import normalize_email

    try:
        return normalize_email(email)
    except ValueError as error:
        raise CommandError(f"{email!r}: {error}.") from error


def _checked(model: type[M], **values: object) -> M:
    """Return the input that the API would accept too; raises CommandError with its reasons for a refusal."""
    from pydantic import ValidationError

    from tailrace.cli.common import CommandError
    from tailrace.http.faults import describe

    try:
        return model.model_validate(values)
    except ValidationError as error:
        reasons = [f"{fault['loc'][0]}: {describe(fault)}" for fault in error.errors()]
        raise CommandError("; ".join(reasons) + ".") from error
