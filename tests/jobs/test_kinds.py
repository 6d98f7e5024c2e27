"""Kinds are checked before anything depends on them."""

import pytest

from tailrace.jobs import BadArguments, DuplicateKind, JobContext, UnregisteredKind, check_kinds, discover_kinds, job
from tests.jobs.kinds_for_tests import KINDS, failed, flaky, note


def test_two_functions_cannot_be_one_kind() -> None:
    with pytest.raises(DuplicateKind, match=r"tests\.flaky"):

        @job("tests.flaky")
        def another(ctx: JobContext[None]) -> None: ...


def test_a_schedule_must_be_a_cron_expression() -> None:
    with pytest.raises(ValueError, match="cron"):
        job("tests.sometimes", schedule="every now and then")


def test_an_engine_that_could_not_answer_a_failure_is_refused() -> None:
    check_kinds(KINDS)
    with pytest.raises(UnregisteredKind, match=r"tests\.failed"):
        check_kinds([kind for kind in KINDS if kind is not failed])
    assert flaky.on_failure is failed


def test_every_kind_of_the_service_is_found_by_itself() -> None:
    names = {kind.name for kind in discover_kinds("tailrace")}
    assert {"reports.build", "notifications.send_mail"} <= names


def test_an_answer_to_failure_must_take_what_it_is_told() -> None:
    with pytest.raises(BadArguments, match=r"tests\.note"):
        job("tests.unanswered", on_failure=note)
