"""Server-sent events as bytes, and read back."""

import pytest
from hypothesis import given
from hypothesis import strategies as st

from tailrace.streams import encode_message
from tailrace.streams.testing import Message, parse_messages

lines = st.text(st.characters(exclude_characters="\r\n\0", exclude_categories=["Cs"]))
texts = st.text(st.characters(exclude_characters="\r\0", exclude_categories=["Cs"]))


def test_a_message_has_its_fields_on_lines() -> None:
    message = encode_message(data="one\r\ntwo\rthree", name="told", message_id="7", retry_ms=100)
    assert message == b"id: 7\nevent: told\nretry: 100\ndata: one\ndata: two\ndata: three\n\n"


@pytest.mark.parametrize("fields", [{"name": "a\nb"}, {"message_id": "a\rb"}])
def test_a_name_or_id_of_two_lines_is_refused(fields: dict[str, str]) -> None:
    with pytest.raises(ValueError, match="one line"):
        encode_message(data="x", **fields)  # type: ignore[arg-type]


@given(st.lists(st.tuples(lines, lines.filter(bool), texts), max_size=4), st.integers(min_value=1, max_value=50))
def test_messages_are_read_back_however_they_are_cut(fields: list[tuple[str, str, str]], size: int) -> None:
    stream = b"".join(encode_message(message_id=key, name=name, data=data) for key, name, data in fields)
    pieces = [stream[start : start + size] for start in range(0, len(stream), size)]
    assert list(parse_messages(pieces)) == [Message(*each) for each in fields]


def test_comments_and_bare_ids_are_no_messages_but_ids_count() -> None:
    stream = b": hello\n\nid: 5\nretry: 10\n\nevent: told\ndata: {}\n\ndata: unfinished\n"
    [message] = parse_messages([stream])
    assert (message.id, message.name, message.json()) == ("5", "told", {})
