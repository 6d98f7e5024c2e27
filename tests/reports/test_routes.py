"""The addresses of reports: what is asked for, what is answered, and what is refused."""

import base64
import hashlib
import json
from contextlib import ExitStack
from datetime import timedelta
from typing import Any

import pytest
from sqlalchemy import func, select, update

from tailrace.database import utcnow
from tailrace.jobs import list_jobs
from tailrace.reports.links import sign_path
from tailrace.reports.models import Report
from tailrace.streams import DOWNLOAD_SLOTS
from tests.reports.conftest import World

# What is tested here is the same on every database.
pytestmark = pytest.mark.parametrize("database", ["sqlite"], indirect=True)


def count_reports(world: World) -> int:
    with world.database.read() as session:
        return session.scalar(select(func.count()).select_from(Report)) or 0


def make_ready(world: World, *titles: str, **order: Any) -> str:
    world.add_tasks(*titles)
    report_id = world.ask(**order)
    world.run()
    return report_id


def test_without_a_body_it_is_all_tasks_as_csv(world: World) -> None:
    answer = world.client().post("/reports")
    assert answer.status_code == 202
    started = answer.json()
    report = world.look(started["id"])
    assert started == {
        "detail": "Report in progress",
        "id": report.id,
        "state": "waiting",
        "url": f"/reports/{report.id}/file",
        "job": report.job,
        "events": f"/jobs/{report.job}/events",
    }
    assert answer.headers["Location"] == f"/reports/{report.id}"
    assert int(answer.headers["Retry-After"]) > 0
    assert (report.kind, report.format, report.filters, report.email) == ("tasks", "csv", {}, None)


def test_a_body_chooses_kind_format_filters_and_address(world: World) -> None:
    order = {"kind": "tasks", "format": "jsonl", "filters": {"status": "todo"}, "email": "Ann@Example.org"}
    report = world.look(world.client().post("/reports", json=order).json()["id"])
    assert (report.format, report.filters, report.email) == ("jsonl", {"status": ["todo"]}, "ann@example.org")


def test_the_address_may_stand_in_the_query(world: World) -> None:
    client = world.client()
    report = world.look(client.post("/reports", params={"email": "ann@example.org"}).json()["id"])
    assert report.email == "ann@example.org"
    both = client.post("/reports", params={"email": "ann@example.org"}, json={"email": "bob@example.org"})
    assert both.status_code == 422


def test_a_wrong_filter_is_told_in_words_for_people(world: World) -> None:
    client = world.client()
    for filters, told in (
        ({"colour": "red"}, "filters.colour: there is nothing of this name here; check the spelling."),
        ({"due": "soon"}, "filters.due: must be 'set' or 'none'."),
    ):
        answer = client.post("/reports", json={"filters": filters})
        assert (answer.status_code, answer.json()["detail"]) == (422, told)


def test_the_same_idempotency_key_returns_the_first_answer(world: World) -> None:
    client = world.client()
    first = client.post("/reports", headers={"Idempotency-Key": "k1"})
    world.run()
    second = client.post("/reports", headers={"Idempotency-Key": "k1"})
    assert (second.status_code, second.content) == (202, first.content)
    assert second.headers["Location"] == first.headers["Location"]
    assert count_reports(world) == 1
    assert client.post("/reports", headers={"Idempotency-Key": "k2"}).json()["id"] != first.json()["id"]


def test_an_idempotency_key_belongs_to_one_request_of_one_person(world: World) -> None:
    client = world.client()
    first = client.post("/reports", headers={"Idempotency-Key": "k1"}).json()
    other = client.post("/reports", json={"format": "jsonl"}, headers={"Idempotency-Key": "k1"})
    assert other.status_code == 422
    assert "Idempotency-Key" in other.json()["detail"]
    assert world.client("bob").post("/reports", headers={"Idempotency-Key": "k1"}).json()["id"] != first["id"]


@pytest.mark.parametrize("key", ["", "x" * 201, "ümlaut", "tab\there"])
def test_an_idempotency_key_that_is_none_is_refused(world: World, key: str) -> None:
    answer = world.client().post("/reports", headers=[(b"Idempotency-Key", key.encode())])
    assert answer.status_code == 422
    assert count_reports(world) == 0


def test_only_an_administrator_mails_an_address_of_nobody(world: World) -> None:
    order = {"email": "stranger@example.com"}
    refused = world.client().post("/reports", json=order)
    assert refused.status_code == 403
    assert "only an administrator" in refused.json()["detail"]
    assert world.client().post("/reports", json={"email": "bob@example.org"}).status_code == 202
    assert world.client("ada").post("/reports", json=order).status_code == 202


HOSTILE: list[Any] = [
    {"kind": "passwords"},
    {"kind": None},
    {"format": "pdf"},
    {"format": 5},
    {"filters": {"colour": "red"}},
    {"filters": {"status": "asleep"}},
    {"filters": {"due_before": "tomorrow"}},
    {"filters": {"q": "nul \0"}},
    {"filters": {"q": "x" * 100_000}},
    {"filters": {"project": -1}},
    {"filters": {"project": 2**70}},
    {"filters": []},
    {"filters": None},
    {"filters": "status=todo"},
    {"filters": {"\0": 1}},
    {"filters": {"\ud800": "\ud800"}},
    {"email": "ann@example.org\nBcc: eve@example.org"},
    {"email": "ann@example.org\r\n"},
    {"email": "ann\0@example.org"},
    {"email": "a" * 5000 + "@example.org"},
    {"email": ["ann@example.org"]},
    {"email": ""},
    {"unknown": 1},
    [],
    "tasks",
    7,
    {"filters": {"label": [["deep"]] * 200}},
]


@pytest.mark.parametrize("order", HOSTILE, ids=lambda order: repr(order)[:40])
def test_a_bad_order_is_refused_with_a_sentence_and_nothing_happens(world: World, order: Any) -> None:
    headers = {"Content-Type": "application/json"}
    answer = world.client().post("/reports", content=json.dumps(order), headers=headers)
    assert answer.status_code == 422
    assert answer.headers["Content-Type"] == "application/problem+json"
    assert len(answer.json()["detail"]) > 10
    assert count_reports(world) == 0
    with world.database.read() as session:
        assert list_jobs(session) == []


@pytest.mark.parametrize("body", [b"{", b"\xff\xfe", b'{"kind": "tasks"', b"\0"])
def test_what_is_no_json_is_refused(world: World, body: bytes) -> None:
    answer = world.client().post("/reports", content=body, headers={"Content-Type": "application/json"})
    assert 400 <= answer.status_code < 500
    assert count_reports(world) == 0


@pytest.mark.parametrize("email", ["ann@example.org\nBcc: x@y.org", "ann", "", "ann@example.org\0", "a" * 4000])
def test_a_bad_address_in_the_query_is_refused(world: World, email: str) -> None:
    assert world.client().post("/reports", params={"email": email}).status_code == 422
    assert count_reports(world) == 0


def test_reports_are_listed_newest_first_page_by_page(world: World) -> None:
    ids = [world.ask() for _ in range(5)]
    world.ask(world.bob)
    client = world.client()
    seen: list[str] = []
    after: str | None = ""
    while after is not None:
        page = client.get("/reports", params={"limit": 2, "after": after}).json()
        seen += [item["id"] for item in page["items"]]
        after = page["next"]
    assert seen == ids[::-1]


@pytest.mark.parametrize("query", [{"limit": 0}, {"limit": -1}, {"limit": 1000}, {"after": "'; --"}, {"colour": "red"}])
def test_a_bad_page_is_refused(world: World, query: dict[str, Any]) -> None:
    assert world.client().get("/reports", params=query).status_code == 422


def test_a_report_of_somebody_else_does_not_exist(world: World) -> None:
    report_id = make_ready(world, "secret")
    for name in ("bob", "ada"):
        client = world.client(name)
        assert client.get(f"/reports/{report_id}").status_code == 404
        assert client.get(f"/reports/{report_id}/file").status_code == 404
        assert client.delete(f"/reports/{report_id}").status_code == 404
    assert world.client().get(f"/reports/{report_id}").status_code == 200
    assert world.client().get("/reports/none").status_code == 404


def test_without_signing_in_nothing_is_answered(world: World) -> None:
    report_id = make_ready(world, "secret")
    client = world.client(None)
    for path in ("/reports", f"/reports/{report_id}", f"/reports/{report_id}/file"):
        assert client.get(path).status_code == 401
    assert client.post("/reports").status_code == 401
    assert client.delete(f"/reports/{report_id}").status_code == 401


def test_a_file_comes_with_its_digest_name_and_type(world: World) -> None:
    report_id = make_ready(world, "one", "two")
    answer = world.client().get(f"/reports/{report_id}/file")
    digest = hashlib.sha256(answer.content)
    report = world.look(report_id)
    assert answer.status_code == 200
    assert digest.hexdigest() == report.sha256
    assert answer.headers["Repr-Digest"] == f"sha-256=:{base64.b64encode(digest.digest()).decode()}:"
    assert answer.headers["Content-Type"] == "text/csv; charset=utf-8"
    assert f'filename="tasks-{report.created_at:%Y-%m-%d}.csv"' in answer.headers["Content-Disposition"]
    assert int(answer.headers["Content-Length"]) == report.bytes
    head = world.client().head(f"/reports/{report_id}/file")
    assert (head.status_code, head.content) == (200, b"")
    assert head.headers["ETag"] == answer.headers["ETag"]


def test_a_part_of_a_file_is_resumed_only_while_it_is_the_same_file(world: World) -> None:
    report_id = make_ready(world, "one", "two")
    client = world.client()
    path = f"/reports/{report_id}/file"
    whole = client.get(path)
    rest = client.get(path, headers={"Range": "bytes=10-", "If-Range": whole.headers["ETag"]})
    assert (rest.status_code, rest.content) == (206, whole.content[10:])
    other = client.get(path, headers={"Range": "bytes=10-", "If-Range": '"another"'})
    assert (other.status_code, other.content) == (200, whole.content)
    assert client.get(path, headers={"If-None-Match": whole.headers["ETag"]}).status_code == 304
    assert client.get(path, headers={"Range": f"bytes={len(whole.content)}-"}).status_code == 416


def test_a_file_that_is_not_ready_is_a_conflict_that_says_when_to_ask_again(world: World) -> None:
    report_id = world.ask()
    answer = world.client().get(f"/reports/{report_id}/file")
    assert answer.status_code == 409
    assert answer.json()["state"] == "waiting"
    assert int(answer.headers["Retry-After"]) > 0


def test_a_file_that_will_never_be_is_a_conflict_that_says_why(world: World) -> None:
    report_id = world.ask()
    with world.database.write() as session:
        session.execute(update(Report).values(kind="ghosts"))
    world.run()
    answer = world.client().get(f"/reports/{report_id}/file")
    assert (answer.status_code, answer.json()["state"]) == (409, "failed")
    assert "ghosts" in answer.json()["detail"]
    assert "Retry-After" not in answer.headers


def test_an_expired_file_is_gone_also_by_its_link(world: World) -> None:
    report_id = make_ready(world, "one")
    with world.database.write() as session:
        session.execute(update(Report).values(expires_at=utcnow() - timedelta(seconds=1)))
    assert world.client().get(f"/reports/{report_id}/file").status_code == 410
    assert world.client(None).get(sign_path(world.resources.secret, report_id)).status_code == 410
    assert world.client().get(f"/reports/{report_id}").json()["state"] == "expired"


def test_a_signed_link_works_for_its_report_alone(world: World) -> None:
    report_id = make_ready(world, "one")
    other_id = world.ask()
    client = world.client(None)
    link = sign_path(world.resources.secret, report_id)
    assert client.get(link).status_code == 200
    assert client.get(link, headers={"Range": "bytes=0-3"}).status_code == 206
    assert client.head(link).status_code == 200
    assert client.get(link.replace(report_id, other_id)).status_code == 403
    assert client.get(sign_path(b"another secret", report_id)).status_code == 403
    garbage = link.replace("signature=", "signature=%00")
    for forged in (link[:-1], link + "x", f"/reports/{report_id}/file?signature=", garbage):
        assert client.get(forged).status_code == 403


def test_who_downloads_a_lot_keeps_nobody_else_from_it(world: World) -> None:
    report_id = make_ready(world, "one")
    large = bytes(2 * 1024 * 1024)
    with world.resources.storage.write("reports/large") as writer:
        writer.write(large)
    with world.database.write() as session:
        session.execute(update(Report).values(storage_key="reports/large", bytes=writer.size, sha256=writer.sha256))
    link = sign_path(world.resources.secret, report_id)
    with ExitStack() as slots:
        for _ in range(8):
            DOWNLOAD_SLOTS.take("testclient")
            slots.callback(DOWNLOAD_SLOTS.give_back, "testclient")
        answer = world.client(None).get(link)
        assert (answer.status_code, answer.headers["retry-after"]) == (503, "5")
        assert world.client().get(f"/reports/{report_id}/file").content == large
    assert world.client(None).get(link).content == large


def test_a_signed_link_works_with_a_stale_cookie(world: World) -> None:
    report_id = make_ready(world, "one")
    client = world.client(None)
    client.cookies.set("tailrace_session", "trs_stale")
    assert client.get(sign_path(world.resources.secret, report_id)).status_code == 200


def test_a_file_that_is_missing_in_storage_is_an_error_and_never_empty(world: World) -> None:
    report_id = make_ready(world, "one")
    (key,) = world.resources.storage.keys()
    with world.resources.storage.write(key) as writer:
        writer.write(b"short")
    assert world.client().get(f"/reports/{report_id}/file").status_code == 503
    world.resources.storage.delete(key)
    answer = world.client().get(f"/reports/{report_id}/file")
    assert answer.status_code == 503
    assert answer.headers["Content-Type"] == "application/problem+json"


def test_deleting_removes_the_report_its_file_and_its_link(world: World) -> None:
    report_id = make_ready(world, "one", email="ann@example.org")
    client = world.client()
    answer = client.delete(f"/reports/{report_id}")
    assert (answer.status_code, answer.content) == (204, b"")
    assert client.get(f"/reports/{report_id}").status_code == 404
    assert client.delete(f"/reports/{report_id}").status_code == 404
    assert client.get("/reports").json()["items"] == []
    assert world.client(None).get(sign_path(world.resources.secret, report_id)).status_code == 404
    world.run()
    assert list(world.resources.storage.keys()) == []
    assert count_reports(world) == 0


def test_deleting_a_waiting_report_cancels_its_job(world: World) -> None:
    report_id = world.ask()
    job_id = world.look(report_id).job
    world.client().delete(f"/reports/{report_id}")
    with world.database.read() as session:
        states = {job.id: job.state for job in list_jobs(session)}
    assert states[job_id] == "cancelled"
    world.run()
    assert count_reports(world) == 0
    assert list(world.resources.storage.keys()) == []
