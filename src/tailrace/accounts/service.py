"""People, and the set-up of the first administrator. Sessions and tokens live in `credentials`, offered here too."""

import secrets
from collections.abc import Collection
from datetime import timedelta

from sqlalchemy import FromClause, delete, exists, select
from sqlalchemy.exc import IntegrityError
from sqlalchemy.orm import Session

from tailrace.accounts.credentials import (
    authenticate,
    authenticate_session,
    authenticate_token,
    close_session,
    close_sessions,
    create_token,
    delete_token,
    hash_secret,
    list_tokens,
    open_session,
)
from tailrace.accounts.models import SetupSecret, User
from tailrace.accounts.principal import Principal
from tailrace.accounts.schemas import Person, UserChanges, UserPage, UserView
from tailrace.database import utcnow
from tailrace.errors import Conflict, Forbidden, NotFound

__all__ = [
    "authenticate",
    "authenticate_session",
    "authenticate_token",
    "check_setup_token",
    "close_session",
    "close_sessions",
    "complete_setup",
    "create_token",
    "create_user",
    "delete_token",
    "find_password_hash",
    "find_people",
    "find_user_by_email",
    "find_zones",
    "get_user",
    "get_visible_user",
    "holds_password_hash",
    "is_member_address",
    "issue_setup_token",
    "list_tokens",
    "list_users",
    "open_session",
    "people_table",
    "setup_needed",
    "update_user",
    "who_lives_in",
    "who_may_come_in",
]


def setup_needed(session: Session) -> bool:
    """Return whether there is no administrator yet."""
    return not session.scalar(select(exists().where(User.is_admin)))


def issue_setup_token(session: Session, *, spare: timedelta = timedelta(0)) -> str:
    """Return a new secret for the set-up link, which replaces one that is older than `spare`.

    Raises Conflict if set-up is over, or another service has just issued one.
    """
    if not setup_needed(session):
        raise Conflict("Tailrace has an administrator already; sign in, or ask them for an account.")
    session.execute(delete(SetupSecret).where(SetupSecret.created_at <= utcnow() - spare))
    secret = secrets.token_urlsafe(24)
    try:
        with session.begin_nested():
            session.add(SetupSecret(id=1, secret_hash=hash_secret(secret)))
    except IntegrityError as error:
        raise Conflict("Another service, which started just before, has printed the set-up link.") from error
    return secret


def check_setup_token(session: Session, token: str) -> None:
    """Raise Conflict if set-up is over, or Forbidden if `token` is not the latest set-up secret."""
    # In this order: who sets up between the two questions takes the secret away.
    latest = session.scalar(select(exists().where(SetupSecret.secret_hash == hash_secret(token))))
    if not setup_needed(session):
        raise Conflict("Tailrace is set up already; sign in instead.")
    if not latest:
        raise Forbidden("This is not the latest set-up link; open the one that Tailrace printed at its last start.")


def complete_setup(session: Session, token: str, *, email: str, name: str, password_hash: str) -> UserView:
    """Create the first administrator and use up the secret; of several at once exactly one succeeds.

    Raises what `check_setup_token` raises, and Conflict for an address that is taken.
    """
    check_setup_token(session, token)
    # On PostgreSQL two may have passed the check; the row goes only once: the other waits for its lock and finds none.
    used = delete(SetupSecret).where(SetupSecret.secret_hash == hash_secret(token)).returning(SetupSecret.id)
    if session.scalars(used).first() is None:
        raise Conflict("Tailrace was set up at this very moment; sign in instead.")
    return create_user(session, email=email, name=name, password_hash=password_hash, is_admin=True)


def create_user(
    session: Session, *, email: str, name: str, password_hash: str, is_admin: bool = False, time_zone: str = "UTC"
) -> UserView:
    """Create a person; `email` as `normalize_email` gives it. Raises Conflict if the address is taken."""
    user = User(email=email, name=name, password_hash=password_hash, is_admin=is_admin, time_zone=time_zone)
    session.add(user)
    try:
        session.flush()
    except IntegrityError as error:
        raise Conflict(f"There is an account with the address {email} already.") from error
    if is_admin:
        session.execute(delete(SetupSecret))
    return UserView.model_validate(user)


def update_user(
    session: Session,
    principal: Principal,
    user_id: int,
    changes: UserChanges,
    *,
    password_hash: str | None = None,
    replaces: str | None = None,
) -> UserView:
    """Change a person: everybody their own name, zone and password, administrators everything of everybody.

    `password_hash` is the hash of the new password in `changes`, made before the transaction, and `replaces` that of
    the one that was checked before. A new password or being disabled ends every session. Raises NotFound, Forbidden, or
    Conflict if no administrator would be left, or another password was set since the check.
    """
    if replaces is not None and not holds_password_hash(session, user_id, replaces):
        raise Conflict("The password was changed elsewhere at this moment; sign in with the new one.")
    user = _visible_user(session, principal, user_id)
    if not principal.is_admin and {changes.is_admin, changes.disabled} != {None}:
        raise Forbidden("Only an administrator can change who is an administrator or disabled.")
    _keep_an_administrator(session, user, changes)
    for field in ("name", "time_zone", "is_admin", "disabled"):
        if (value := getattr(changes, field)) is not None:
            setattr(user, field, value)
    if password_hash is not None:
        user.password_hash = password_hash
    if password_hash is not None or changes.disabled:
        close_sessions(session, user_id)
    session.flush()
    return UserView.model_validate(user)


def list_users(session: Session, *, after: int = 0, limit: int = 50) -> UserPage:
    """Return up to `limit` people whose id is above `after`, in the order they came."""
    rows = session.scalars(select(User).where(User.id > after).order_by(User.id).limit(limit + 1)).all()
    items = [UserView.model_validate(row) for row in rows[:limit]]
    return UserPage(items=items, next=items[-1].id if len(rows) > limit else None)


def get_user(session: Session, user_id: int) -> UserView:
    """Return a person; raises NotFound."""
    user = session.get(User, user_id)
    if user is None:
        raise NotFound("There is nobody with this id.")
    return UserView.model_validate(user)


def get_visible_user(session: Session, principal: Principal, user_id: int) -> UserView:
    """Return a person whom the caller may look up: oneself, or anybody for administrators; raises NotFound."""
    return UserView.model_validate(_visible_user(session, principal, user_id))


def find_user_by_email(session: Session, email: str) -> UserView:
    """Return the person with this normalised address; raises NotFound."""
    user = session.scalars(select(User).where(User.email == email)).one_or_none()
    if user is None:
        raise NotFound(f"Nobody here has the address {email}.")
    return UserView.model_validate(user)


def find_people(session: Session, ids: set[int]) -> dict[int, Person]:
    """Return those of the people `ids` that exist, by id."""
    rows = session.scalars(select(User).where(User.id.in_(ids)))
    return {row.id: Person.model_validate(row) for row in rows}


def is_member_address(session: Session, email: str) -> bool:
    """Return whether this normalised address belongs to somebody who may come in."""
    return bool(session.scalar(select(exists().where(User.email == email, User.disabled.is_(False)))))


def who_may_come_in(session: Session, ids: Collection[int]) -> set[int]:
    """Return those of the people `ids` whose account is not disabled."""
    return set(session.scalars(select(User.id).where(User.id.in_(ids), User.disabled.is_(False))))


def who_lives_in(session: Session, zone: str, ids: Collection[int]) -> set[int]:
    """Return those of the people `ids` who chose this time zone."""
    return set(session.scalars(select(User.id).where(User.id.in_(ids), User.time_zone == zone)))


def find_zones(session: Session) -> set[str]:
    """Return the time zones that people who may come in chose."""
    return set(session.scalars(select(User.time_zone).where(User.disabled.is_(False)).distinct()))


def people_table() -> FromClause:
    """Return the people as a table of id, email and name, for another feature's query to join."""
    return select(User.id, User.email, User.name).subquery("people")


def find_password_hash(session: Session, email: str) -> tuple[int, str]:
    """Return id and password hash of the person with this address; raises NotFound if nobody with it may come in."""
    query = select(User.id, User.password_hash).where(User.email == email, User.disabled.is_(False))
    row = session.execute(query).one_or_none()
    if row is None:
        raise NotFound(f"Nobody here has the address {email}.")
    return row.id, row.password_hash


def holds_password_hash(session: Session, user_id: int, password_hash: str) -> bool:
    """Return whether this is still the hash of somebody who may come in, and keep it so until the transaction ends."""
    mine = (User.id == user_id, User.password_hash == password_hash, User.disabled.is_(False))
    return session.scalars(select(User.id).where(*mine).with_for_update(key_share=True)).one_or_none() is not None


def _visible_user(session: Session, principal: Principal, user_id: int) -> User:
    user = session.get(User, user_id) if principal.is_admin or principal.user_id == user_id else None
    if user is None:
        raise NotFound("There is nobody with this id.")
    return user


def _keep_an_administrator(session: Session, user: User, changes: UserChanges) -> None:
    if changes.is_admin is not False and not changes.disabled:
        return
    # Locked, so that on PostgreSQL the last two cannot step down at the same moment.
    admins = session.scalars(select(User.id).where(User.is_admin, User.disabled.is_(False)).with_for_update()).all()
    if set(admins) == {user.id}:
        raise Conflict("This is the only administrator; make somebody else one first.")
