"""What is particular to mail that becomes files."""

import logging
import shutil
from pathlib import Path

import pytest

from tailrace.mailer import FileMailer, MailUnavailable
from tests.mailer.conftest import make_message


def test_the_log_names_recipient_subject_and_file(tmp_path: Path, caplog: pytest.LogCaptureFixture) -> None:
    with caplog.at_level(logging.INFO):
        FileMailer(tmp_path).send(make_message())
    (line,) = caplog.messages
    assert line == f"mail for ann@example.org: Prêt ✓ ({tmp_path}/m1@example.org.eml)"


def test_the_same_message_sent_twice_is_one_file(tmp_path: Path) -> None:
    mailer = FileMailer(tmp_path)
    mailer.send(make_message())
    mailer.send(make_message())
    assert [path.name for path in tmp_path.iterdir()] == ["m1@example.org.eml"]


@pytest.mark.parametrize("identifier", ["<../../etc/passwd@x>", "<.hidden@x>", "<a/b\\c@x>", f"<{'a' * 300}@x>"])
def test_no_message_id_leads_out_of_the_folder(tmp_path: Path, identifier: str) -> None:
    FileMailer(tmp_path / "mail").send(make_message(**{"Message-ID": identifier}))
    assert len(list((tmp_path / "mail").glob("[!.]*.eml"))) == 1
    assert [path.name for path in tmp_path.iterdir()] == ["mail"]


def test_messages_are_for_the_service_alone(tmp_path: Path) -> None:
    FileMailer(tmp_path / "mail").send(make_message())
    (path,) = (tmp_path / "mail").iterdir()
    assert path.stat().st_mode & 0o077 == 0


def test_a_folder_that_cannot_be_written_is_unavailable_until_it_is_mended(tmp_path: Path) -> None:
    mailer = FileMailer(tmp_path / "mail")
    (tmp_path / "mail").write_text("a file in its place")
    with pytest.raises(MailUnavailable, match="cannot be written"):
        mailer.send(make_message())
    with pytest.raises(MailUnavailable, match="cannot be written"):
        mailer.check()
    (tmp_path / "mail").unlink()
    mailer.send(make_message())
    shutil.rmtree(tmp_path / "mail")
    mailer.send(make_message())
    assert len(list((tmp_path / "mail").iterdir())) == 1
