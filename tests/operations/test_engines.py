"""What doctor says of engines and queues, judged by what they wrote into the roster."""

from tailrace.database import Database
from tailrace.jobs import JobContext, enqueue, job
from tailrace.jobs.engines.roster import Membership, enrol, report_alive
from tailrace.operations.checks import check_engine, check_queues

ON_PHOTOS = Membership("a" * 32, "celery", 2, ["photos"])
ON_ALL = Membership("b" * 32, "celery", 3)


@job("tests.waits_for_an_engine", queue="default")
def waits(ctx: JobContext[None]) -> None:
    """Stand for any job."""


def test_an_engine_that_was_heard_of_is_there(database: Database) -> None:
    assert check_engine(database).state == "warn"
    with database.write() as session:
        enrol(session, ON_PHOTOS)
        enrol(session, ON_ALL)
    assert (check_engine(database).state, check_engine(database).detail) == ("ok", "2 running, 5 jobs at a time.")


def test_engines_that_all_have_trouble_are_as_good_as_none(database: Database) -> None:
    with database.write() as session:
        enrol(session, ON_ALL)
        report_alive(session, ON_ALL, trouble="The broker does not answer.")
    assert check_engine(database).state == "warn"
    assert "The broker does not answer." in check_engine(database).detail
    with database.write() as session:
        report_alive(session, ON_ALL)
    assert check_engine(database).state == "ok"


def test_the_trouble_of_one_engine_is_a_warning_for_it_may_be_the_one_that_publishes(database: Database) -> None:
    with database.write() as session:
        enrol(session, ON_ALL)
        enrol(session, ON_PHOTOS)
        report_alive(session, ON_ALL, trouble="Queue default takes no messages.")
    finding = check_engine(database)
    assert finding.state == "warn"
    assert finding.detail.startswith("2 running, 5 jobs at a time. ")
    assert "takes no messages" in finding.detail


def test_a_queue_that_no_engine_takes_is_named(database: Database) -> None:
    with database.write() as session:
        enrol(session, ON_PHOTOS)
        enqueue(session, waits)
    finding = check_queues(database)
    assert (finding.state, finding.cure) == ("warn", "Start `tailrace worker --queues default`.")
    with database.write() as session:
        enrol(session, ON_ALL)
    assert check_queues(database).state == "ok"


def test_queues_are_as_the_engines_are(database: Database) -> None:
    assert (check_queues(database).state, check_queues(database).detail) == ("ok", "No jobs wait.")
    with database.write() as session:
        enqueue(session, waits)
    assert (check_queues(database).state, check_queues(database).cure) == ("warn", check_engine(database).cure)
    with database.write() as session:
        enrol(session, ON_ALL)
        report_alive(session, ON_ALL, trouble="The broker does not answer.")
    finding = check_queues(database)
    assert (finding.state, finding.cure) == ("warn", check_engine(database).cure)
    assert finding.detail == "Jobs wait that no engine can take, in default."
    with database.write() as session:
        report_alive(session, ON_ALL)
    assert check_queues(database).detail == "An engine takes each queue in which jobs wait."


def test_of_a_queue_without_engine_and_one_in_trouble_the_first_is_to_be_mended_first(database: Database) -> None:
    with database.write() as session:
        enrol(session, ON_PHOTOS)
        report_alive(session, ON_PHOTOS, trouble="The broker does not answer.")
        enqueue(session, waits)
    assert check_queues(database).cure == "Start `tailrace worker --queues default`."
