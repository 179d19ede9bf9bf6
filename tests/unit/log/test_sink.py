import pytest

from fastsmtp.log.sink import priority


@pytest.mark.parametrize(
    ("level", "number"), [("critical", 2), ("error", 3), ("warning", 4), ("info", 6), ("debug", 7), ("another", 6)]
)
def test_levels_are_priorities(level: str, number: int) -> None:
    assert priority({"level": level}) == number


def test_a_transaction_is_information() -> None:
    assert priority({"event": "transaction"}) == 6
