"""What a request with an Idempotency-Key was answered: sent again, it gets the same answer before its body is read."""

from collections.abc import Mapping
from dataclasses import dataclass
from datetime import datetime, timedelta
from typing import Any

from sqlalchemy import delete
from sqlalchemy.exc import IntegrityError
from sqlalchemy.orm import Session

from tailrace.accounts.principal import Principal
from tailrace.database import utcnow
from tailrace.errors import Invalid
from tailrace.photos.models import PhotoReceipt

LIFE = timedelta(days=7)


@dataclass(frozen=True, slots=True)
class Receipt:
    """An answer: its status, its JSON, its Location, and the path (`target`) that the request was sent to."""

    target: str
    status: int
    body: Mapping[str, Any]
    location: str | None = None


class AnsweredMeanwhile(Exception):
    """Another request with this Idempotency-Key was faster; `receipt` is its answer, and this one's."""

    def __init__(self, receipt: Receipt) -> None:
        self.receipt = receipt
        super().__init__(self.__doc__)


def find_receipt(session: Session, principal: Principal, key: str, target: str) -> Receipt | None:
    """Return what the caller's earlier request with this key was answered, None if there was none.

    Raises Invalid if that request went to another address.
    """
    row = session.get(PhotoReceipt, (principal.user_id, key))
    if row is None:
        return None
    if row.target != target:
        raise Invalid(f"This Idempotency-Key was used for {row.target}: take a new one for each new upload.")
    return Receipt(row.target, row.status, row.body, row.location)


def keep_receipt(session: Session, principal: Principal, key: str, receipt: Receipt) -> None:
    """Keep an answer in the transaction that makes it true.

    Raises AnsweredMeanwhile if an answer is kept under this key already: leave the transaction with it, so that what
    it did is undone. Raises Invalid as `find_receipt` does.
    """
    row = PhotoReceipt(
        user_id=principal.user_id,
        key=key,
        target=receipt.target,
        status=receipt.status,
        location=receipt.location,
        body=dict(receipt.body),
    )
    try:
        with session.begin_nested():
            session.add(row)
    except IntegrityError as error:
        earlier = find_receipt(session, principal, key, receipt.target)
        if earlier is None:
            raise
        raise AnsweredMeanwhile(earlier) from error


def forget_receipts(session: Session, *, before: datetime | None = None) -> int:
    """Delete the answers kept before that moment (by default 7 days ago), and return how many they were."""
    old = delete(PhotoReceipt).where(PhotoReceipt.created_at < (before or utcnow() - LIFE))
    return len(session.scalars(old.returning(PhotoReceipt.key)).all())
