import pytest

from tests.web.browsing import Browser

_ADDRESSES = {
    "a moment before there was time": "/web/inbox?undo=0001-01-01T00:00:00%2B14:00",
    "an id that no database holds": "/web/projects/1/filters?removed=99999999999999999999",
    "a place that is none": "/web/reports?after=x",
    "a task of five thousand digits": f"/web/photos/upload?task={'9' * 5000}",
}


@pytest.mark.parametrize("address", _ADDRESSES.values(), ids=_ADDRESSES.keys())
def test_what_a_person_types_into_the_address_is_met_with_a_page(ada: Browser, address: str) -> None:
    answer = ada.client.get(address)
    assert answer.status_code < 500
    assert answer.headers["content-type"].startswith("text/html")


def test_a_choice_of_five_thousand_digits_is_forgotten(ada: Browser) -> None:
    ada.client.cookies.set("tailrace_upload_task", "9" * 5000)
    assert ada.client.get("/web/photos/upload").status_code == 200
