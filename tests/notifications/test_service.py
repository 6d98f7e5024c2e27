"""A mail is asked for in a transaction, and sent once, by a job, if that commits."""

import json
import socket
from concurrent.futures import ThreadPoolExecutor, wait
from pathlib import Path

import pytest
from sqlalchemy import update
from sqlalchemy.orm import Session

from tailrace.accounts import service as accounts
from tailrace.accounts.principal import Principal
from tailrace.accounts.schemas import UserChanges
from tailrace.database import Database, utcnow
from tailrace.errors import Conflict, Invalid, NotFound
from tailrace.jobs import Job, State, enqueue, list_jobs, retry_job
from tailrace.jobs.testing import run_jobs
from tailrace.mailer import SmtpMailer
from tailrace.notifications import jobs
from tailrace.notifications.models import Mail, MailState
from tailrace.notifications.service import MailView, get_mail, resend_mail, send_mail, withdraw_mails
from tailrace.streams import read_events
from tests.mailer.conftest import StartServer
from tests.notifications.conftest import Post, body, read_mails

KINDS = [jobs.send_mail, jobs.fail_mail, jobs.prune_mails]
REPORT = {"title": "Tasks", "asked_by": "Ann", "created_at": "today", "error": "No.", "report_id": "r1"}


def ask(session: Session, *, key: str = "k1", to: str = "ann@example.org", **values: str) -> MailView:
    return send_mail(session, to=to, template="report_failed", context={**REPORT, **values}, key=key, owner="user:1")


def look(database: Database, key: str = "k1") -> MailView:
    with database.read() as session:
        return get_mail(session, key)


def run(database: Database, post: Post) -> list[Job]:
    return run_jobs(database, KINDS, post)


def retry_waiting(database: Database) -> None:
    with database.write() as session:
        (job,) = list_jobs(session, states=[State.RETRYABLE])
        retry_job(session, job.id)


def test_a_mail_is_sent_with_text_and_html(database: Database, post: Post, tmp_path: Path) -> None:
    with database.write() as session:
        ask(session, error="Fewer rows <than> asked & more.")
    run(database, post)
    (mail,) = read_mails(tmp_path / "mails")
    assert (mail["To"], mail["From"]) == ("ann@example.org", "Tailrace <tailrace@example.org>")
    assert mail["Subject"] == 'Your report "Tasks" could not be made'
    assert "Fewer rows <than> asked & more." in body(mail, "plain")
    assert "Fewer rows &lt;than&gt; asked &amp; more." in body(mail, "html")
    sent = look(database)
    assert sent.state is MailState.SENT
    assert sent.sent_at is not None


def test_a_mail_that_was_withdrawn_may_be_asked_for_again(database: Database, post: Post, tmp_path: Path) -> None:
    with database.write() as session:
        ask(session)
        withdraw_mails(session, "k1")
        ask(session)
    run(database, post)
    assert look(database).state is MailState.SENT
    assert len(read_mails(tmp_path / "mails")) == 1


def ask_and_break_off(database: Database) -> None:
    with database.write() as session:
        ask(session)
        raise RuntimeError("midway")


def test_a_mail_whose_transaction_fails_is_never_sent(database: Database, post: Post, tmp_path: Path) -> None:
    with pytest.raises(RuntimeError, match="midway"):
        ask_and_break_off(database)
    assert run(database, post) == []
    assert read_mails(tmp_path / "mails") == []
    with pytest.raises(NotFound):
        look(database)


def test_asking_twice_sends_once(database: Database, post: Post, tmp_path: Path) -> None:
    with database.write() as session:
        first = ask(session)
        assert ask(session, error="another text") == first
    run(database, post)
    with database.write() as session:
        assert ask(session).id == first.id
    assert run(database, post) == []
    assert len(read_mails(tmp_path / "mails")) == 1


def test_a_repeated_attempt_bears_the_same_message_id(
    database: Database, post: Post, start_server: StartServer
) -> None:
    server = start_server()
    post.mailer = SmtpMailer(f"smtp://127.0.0.1:{server.port}")
    with database.write() as session:
        mail_id = ask(session).id
    run(database, post)
    # As if the process had been killed after the server accepted and before that was noted.
    with database.write() as session:
        session.execute(update(Mail).values(state=MailState.QUEUED))
        enqueue(session, jobs.send_mail, {"mail_id": mail_id})
    run(database, post)
    first, second = server.messages
    assert first["Message-ID"] == second["Message-ID"]
    assert first["Message-ID"].endswith("@example.org>")


def test_a_mail_that_is_sent_is_not_sent_again_by_its_job(
    database: Database, post: Post, start_server: StartServer
) -> None:
    server = start_server()
    post.mailer = SmtpMailer(f"smtp://127.0.0.1:{server.port}")
    with database.write() as session:
        mail_id = ask(session).id
        enqueue(session, jobs.send_mail, {"mail_id": mail_id})
    assert [job.state for job in run(database, post)] == [State.COMPLETED, State.COMPLETED]
    assert len(server.messages) == 1


def test_a_server_that_is_down_is_waited_for_and_the_job_says_so(
    database: Database, post: Post, start_server: StartServer
) -> None:
    with socket.create_server(("127.0.0.1", 0)) as reserved:
        port = reserved.getsockname()[1]
    post.mailer = SmtpMailer(f"smtp://127.0.0.1:{port}")
    with database.write() as session:
        ask(session)
    (job,) = run(database, post)
    assert job.state is State.RETRYABLE
    assert "cannot be reached" in (job.error or "")
    waiting = look(database)
    assert waiting.state is MailState.QUEUED
    assert "cannot be reached" in (waiting.error or "")

    server = start_server(port=port)
    retry_waiting(database)
    assert [job.state for job in run(database, post)] == [State.COMPLETED]
    assert server.recipients == ["ann@example.org"]
    sent = look(database)
    assert (sent.state, sent.error) == (MailState.SENT, None)


def test_a_refused_mail_fails_at_once_with_the_servers_reason(
    database: Database, post: Post, start_server: StartServer
) -> None:
    server = start_server()
    server.replies["RCPT"] = "550 no such person"
    post.mailer = SmtpMailer(f"smtp://127.0.0.1:{server.port}")
    with database.write() as session:
        ask(session)
    sending, noting = run(database, post)
    assert (sending.state, noting.state) == (State.DISCARDED, State.COMPLETED)
    assert "550 no such person" in (sending.error or "")
    failed = look(database)
    assert failed.state is MailState.FAILED
    assert "550 no such person" in (failed.error or "")

    server.replies.clear()
    with database.write() as session:
        retry_job(session, sending.id)
    run(database, post)
    assert look(database).state is MailState.SENT


def told(database: Database) -> list[str]:
    """Return the state that each event on the owner's channel tells, in order."""
    with database.read() as session:
        events = read_events(session, channels=["user:1"], after=None, limit=100)
    return [json.loads(event.data)["state"] for event in events if event.name == "mail.changed"]


def test_its_owner_is_told_what_becomes_of_a_mail(database: Database, post: Post, start_server: StartServer) -> None:
    server = start_server()
    server.replies["RCPT"] = "450 later"
    post.mailer = SmtpMailer(f"smtp://127.0.0.1:{server.port}")
    with database.write() as session:
        mail = ask(session)
    run(database, post)
    server.replies["RCPT"] = "550 no such person"
    retry_waiting(database)
    run(database, post)
    server.replies.clear()
    with database.write() as session:
        resend_mail(session, mail.id)
    run(database, post)
    assert told(database) == ["queued", "failed", "queued", "sent"]


def test_a_mail_that_two_send_again_at_once_is_sent_once(database: Database, post: Post) -> None:
    with database.write() as session:
        mail_id = ask(session).id
    run(database, post)

    def send_again() -> None:
        with database.write() as session:
            resend_mail(session, mail_id)

    with ThreadPoolExecutor(1) as pool:
        with database.write() as session:
            resend_mail(session, mail_id)
            second = pool.submit(send_again)
            # The other one has begun by then, and can see nothing of this one yet.
            assert wait([second], timeout=0.5).not_done
        with pytest.raises(Conflict):
            second.result(30)
    assert len(run(database, post)) == 1


def test_a_mail_whose_job_was_taken_up_again_is_not_called_given_up(
    database: Database, post: Post, start_server: StartServer
) -> None:
    server = start_server()
    server.replies["RCPT"] = "550 no such person"
    post.mailer = SmtpMailer(f"smtp://127.0.0.1:{server.port}")
    with database.write() as session:
        ask(session)
    (sending,) = run_jobs(database, [jobs.send_mail], post)
    with database.write() as session:
        retry_job(session, sending.id)
    (noting,) = run_jobs(database, [jobs.fail_mail], post)
    assert noting.state is State.COMPLETED
    assert look(database).state is MailState.QUEUED


def test_a_mail_is_given_up_whose_job_is_forgotten_by_now(database: Database, post: Post) -> None:
    with database.write() as session:
        known = {"job_id": "0" * 32, "state": "discarded", "error": "No.", "args": {"mail_id": ask(session).id}}
        enqueue(session, jobs.fail_mail, known)
    run_jobs(database, [jobs.fail_mail], post)
    assert (look(database).state, look(database).error) == (MailState.FAILED, "No.")


def test_who_was_disabled_meanwhile_gets_no_mail(database: Database, post: Post, tmp_path: Path) -> None:
    with database.write() as session:
        boss = accounts.create_user(session, email="b@example.org", name="B", password_hash="-", is_admin=True)
        ann = accounts.create_user(session, email="ann@example.org", name="Ann", password_hash="-")
        ask(session)
        principal = Principal(boss.id, boss.email, boss.name, True, "token")
        accounts.update_user(session, principal, ann.id, UserChanges(disabled=True))
    assert [job.state for job in run(database, post)] == [State.COMPLETED]
    assert read_mails(tmp_path / "mails") == []
    given_up = look(database)
    assert (given_up.state, given_up.error) == (
        MailState.FAILED,
        "It was not sent: the account with this address is disabled.",
    )


def test_a_mail_that_is_withdrawn_is_not_sent_and_others_are(database: Database, post: Post, tmp_path: Path) -> None:
    with database.write() as session:
        for key in ("report:r1:ready", "report:r_:ready", "report:r12:ready"):
            ask(session, key=key)
    with database.write() as session:
        withdraw_mails(session, "report:r1:")
        withdraw_mails(session, "report:r_")
    assert {job.state for job in run(database, post)} == {State.COMPLETED}
    assert len(read_mails(tmp_path / "mails")) == 1
    assert look(database, "report:r12:ready").state is MailState.SENT


@pytest.mark.parametrize("value", ["two\r\nBcc: eve@example.org", "nul \0 and bell \a", "\u2028line", "x" * 5000])
def test_no_value_adds_a_header(database: Database, post: Post, tmp_path: Path, value: str) -> None:
    with database.write() as session:
        ask(session, title=value)
    assert [job.state for job in run(database, post)] == [State.COMPLETED]
    (mail,) = read_mails(tmp_path / "mails")
    assert mail["Bcc"] is None
    assert mail["Subject"].startswith('Your report "')
    assert len(mail["Subject"]) <= 200
    assert sorted(mail.keys()) == sorted(
        ["From", "To", "Subject", "Date", "Message-ID", "Auto-Submitted", "MIME-Version", "Content-Type"]
    )


@pytest.mark.parametrize(
    "to", ["", "ann", "ann@example.org\nBcc: eve@x.org", "ann@example.org, eve@x.org", "a\0@x.org"]
)
def test_what_is_no_address_is_refused_and_nothing_is_queued(database: Database, to: str) -> None:
    with database.write() as session:
        with pytest.raises(Invalid, match="no e-mail address"):
            ask(session, to=to)
        assert list_jobs(session) == []


def test_old_mails_are_forgotten_and_waiting_ones_are_not(database: Database, post: Post) -> None:
    with database.write() as session:
        for key, state in (("sent", MailState.SENT), ("queued", MailState.QUEUED), ("new", MailState.SENT)):
            ask(session, key=key)
            session.execute(update(Mail).where(Mail.key == key).values(state=state))
        old = Mail.key.in_(["sent", "queued"])
        session.execute(update(Mail).where(old).values(created_at=utcnow() - jobs.KEPT * 1.01))
    with database.write() as session:
        enqueue(session, jobs.prune_mails)
    run_jobs(database, [jobs.prune_mails], post)
    assert look(database, "queued").state is MailState.QUEUED
    assert look(database, "new").state is MailState.SENT
    with pytest.raises(NotFound):
        look(database, "sent")
