"""The page of what runs on what is of today's tests."""

from tests.support_matrix import cases, cases_of_the_page


def test_the_page_tells_of_every_case_that_there_is_that_it_held() -> None:
    assert cases_of_the_page() == cases(), "run `make support`"
