"""Sessions and API tokens: random secrets of which only the SHA-256 is stored.

A fast hash is right here: 256 random bits cannot be guessed, unlike a password.
"""

import hashlib
import secrets
from datetime import datetime, timedelta
from typing import Literal

from sqlalchemy import delete, or_, select, update
from sqlalchemy.exc import OperationalError
from sqlalchemy.orm import Session

from tailrace.accounts.models import ApiToken, User, UserSession
from tailrace.accounts.principal import Principal
from tailrace.accounts.schemas import NewTokenView, TokenView
from tailrace.database import Database, utcnow
from tailrace.database.engine import BUSY_TIMEOUT_MS
from tailrace.errors import NotFound, Unauthorized

SESSION_LIFE = timedelta(days=30)
LAST_USE_PRECISION = timedelta(minutes=1)


def hash_secret(secret: str) -> str:
    """Return what is stored of a secret."""
    return hashlib.sha256(secret.encode()).hexdigest()


def open_session(session: Session, user_id: int) -> str:
    """Sign a person in: return the secret for the cookie, good for 30 days; their expired sessions are removed."""
    now = utcnow()
    session.execute(delete(UserSession).where(UserSession.user_id == user_id, UserSession.expires_at <= now))
    secret = "trs_" + secrets.token_urlsafe(32)
    session.add(UserSession(user_id=user_id, secret_hash=hash_secret(secret), expires_at=now + SESSION_LIFE))
    session.flush()
    return secret


def close_session(session: Session, secret: str) -> None:
    """Sign out: the session of this secret is no more; an unknown one is fine."""
    session.execute(delete(UserSession).where(UserSession.secret_hash == hash_secret(secret)))


def close_sessions(session: Session, user_id: int) -> None:
    """Sign a person out everywhere."""
    session.execute(delete(UserSession).where(UserSession.user_id == user_id))


def create_token(session: Session, user_id: int, *, name: str, days: int | None = None) -> NewTokenView:
    """Create an API token and return it with its secret, which cannot be had again; without `days` it never expires."""
    secret = "trt_" + secrets.token_urlsafe(32)
    expires_at = None if days is None else utcnow() + timedelta(days=days)
    token = ApiToken(user_id=user_id, name=name, secret_hash=hash_secret(secret), expires_at=expires_at)
    session.add(token)
    session.flush()
    return NewTokenView(**TokenView.model_validate(token).model_dump(), token=secret)


def list_tokens(session: Session, user_id: int) -> list[TokenView]:
    """Return a person's API tokens, newest first, expired ones too."""
    rows = session.scalars(select(ApiToken).where(ApiToken.user_id == user_id).order_by(ApiToken.id.desc()))
    return [TokenView.model_validate(row) for row in rows]


def delete_token(session: Session, user_id: int, token_id: int) -> None:
    """Revoke an API token of this person; raises NotFound if they have none with this id."""
    gone = delete(ApiToken).where(ApiToken.id == token_id, ApiToken.user_id == user_id).returning(ApiToken.id)
    if session.scalars(gone).first() is None:
        raise NotFound("You have no API token with this id.")


def authenticate_session(session: Session, secret: str) -> Principal:
    """Return who holds this session secret; raises Unauthorized if it is unknown, expired, or its person disabled."""
    return _authenticate(session, "session", secret)[0]


def authenticate_token(session: Session, secret: str) -> Principal:
    """Return who holds this API token; raises Unauthorized if it is unknown, expired, or its person disabled."""
    return _authenticate(session, "token", secret)[0]


def authenticate(database: Database, via: Literal["session", "token"], secret: str) -> Principal:
    """Return who holds this secret, in a transaction of its own, and note the use; raises Unauthorized as above."""
    with database.read() as session:
        principal, credential_id, last_used_at = _authenticate(session, via, secret)
    if last_used_at is None or utcnow() - last_used_at >= LAST_USE_PRECISION:
        _note_use(database, via, credential_id)
    return principal


def _kind(via: Literal["session", "token"]) -> type[UserSession] | type[ApiToken]:
    return ApiToken if via == "token" else UserSession


def _authenticate(
    session: Session, via: Literal["session", "token"], secret: str
) -> tuple[Principal, int, datetime | None]:
    kind = _kind(via)
    alive = or_(kind.expires_at.is_(None), kind.expires_at > utcnow())
    query = (
        select(User.id, User.email, User.name, User.is_admin, kind.id.label("credential_id"), kind.last_used_at)
        .join(User, User.id == kind.user_id)
        .where(kind.secret_hash == hash_secret(secret), alive, User.disabled.is_(False))
    )
    row = session.execute(query).one_or_none()
    if row is None:
        raise Unauthorized(f"This {'API token' if via == 'token' else 'sign-in'} is not or no longer valid.")
    principal = Principal(row.id, row.email, row.name, row.is_admin, via)
    return principal, row.credential_id, row.last_used_at


def _note_use(database: Database, via: Literal["session", "token"], credential_id: int) -> None:
    # No request may wait for the write lock, let alone fail, for the sake of this note: if somebody else is writing
    # just now, the next request of this caller tries again.
    kind = _kind(via)
    with database.engine.connect() as connection:
        driver = connection.connection.driver_connection
        if database.is_sqlite and driver is not None:
            driver.execute("PRAGMA busy_timeout=0")
        try:
            connection.execute(update(kind).where(kind.id == credential_id).values(last_used_at=utcnow()))
            connection.commit()
        except OperationalError:
            connection.rollback()
        finally:
            if database.is_sqlite and driver is not None:
                driver.execute(f"PRAGMA busy_timeout={BUSY_TIMEOUT_MS}")
