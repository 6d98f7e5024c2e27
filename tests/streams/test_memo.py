"""What was worked out for a statement is found again for the same statement with the same values, and no other."""

from sqlalchemy import column, select, table

from tailrace.streams.memo import StatementMemo

notes = table("notes", column("id"), column("text"))


def test_the_same_statement_is_worked_out_once_and_another_value_apart() -> None:
    memo: StatementMemo[str] = StatementMemo()
    made: list[str] = []

    def get(text: str, option: bool = False) -> str:
        statement = select(notes.c.id).where(notes.c.text == text)

        def make() -> str:
            made.append(text)
            return f"{text} {option}"

        return memo.get(statement, option, make=make)

    assert [get("a"), get("a"), get("b"), get("a", True), get("b")] == [
        "a False",
        "a False",
        "b False",
        "a True",
        "b False",
    ]
    assert made == ["a", "b", "a"]


def test_an_empty_list_of_values_is_not_taken_for_a_full_one() -> None:
    memo: StatementMemo[list[int]] = StatementMemo()

    def get(ids: list[int]) -> list[int]:
        return memo.get(select(notes.c.id).where(notes.c.id.in_(ids)), make=lambda: ids)

    assert [get([1, 2]), get([]), get([2, 1]), get([1, 2])] == [[1, 2], [], [2, 1], [1, 2]]
