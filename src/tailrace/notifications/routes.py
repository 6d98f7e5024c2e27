"""The inbox: what concerned you, and what you want to hear of. Its changes are `inbox.changed` on your `user:ID`."""

from typing import Annotated

from fastapi import APIRouter, Query

from tailrace.accounts.dependencies import CurrentUser
from tailrace.http.dependencies import ReadSession, WriteSession
from tailrace.notifications import inbox
from tailrace.notifications.schemas import ChoiceChanges, ChoiceList, InboxPage, InboxQuery, Marked, MarkInput

router = APIRouter(prefix="/inbox", tags=["inbox"])


@router.get("")
def list_inbox(query: Annotated[InboxQuery, Query()], user: CurrentUser, session: ReadSession) -> InboxPage:
    """List what concerned you, the newest first."""
    return inbox.list_entries(session, user, query)


@router.post("/read")
def mark_inbox(body: MarkInput, user: CurrentUser, session: WriteSession) -> Marked:
    """Mark entries as read or unread; ids that are not there any more are left out."""
    if body.all:
        marked, _ = inbox.mark_all(session, user, until=body.until)
    else:
        marked = inbox.mark(session, user, body.ids, read=body.read)
    return Marked(marked=marked, unread=inbox.count_unread(session, user))


@router.get("/settings")
def show_inbox_settings(user: CurrentUser, session: ReadSession) -> ChoiceList:
    """Show what you hear of, in the inbox and by mail."""
    return ChoiceList(items=inbox.list_settings(session, user))


@router.patch("/settings")
def change_inbox_settings(body: ChoiceChanges, user: CurrentUser, session: WriteSession) -> ChoiceList:
    """Change what you hear of, from now on."""
    return ChoiceList(items=inbox.change_settings(session, user, body.items))
