"""What a session asks of the world."""

import pytest

from fastsmtp.smtp.effects import Ask, ClientChanged, Ended, Stage, StartTls, VerbLine
from fastsmtp.smtp.transaction import Connection, Transaction


def test_every_stage_is_a_hook_with_a_label() -> None:
    for stage in Stage:
        assert stage.value == f"on_{stage.name.lower()}"
        assert stage.label == stage.name.lower()


def test_the_stages_in_the_order_of_a_session() -> None:
    labels = "connect hello auth mail rcpt data headers message queue stored reset disconnect verb verdict"
    assert [stage.label for stage in Stage] == labels.split()


@pytest.mark.parametrize("stage", [Stage.CONNECT, Stage.DATA, Stage.QUEUE])
def test_an_ask_may_be_about_nothing_in_particular(stage: Stage) -> None:
    assert Ask(stage) == Ask(stage, None)


def test_asks_are_equal_when_they_ask_the_same() -> None:
    assert Ask(Stage.VERB, VerbLine("VRFY", "x")) == Ask(Stage.VERB, VerbLine("VRFY", "x"))
    assert Ask(Stage.VERB, VerbLine("VRFY", "x")) != Ask(Stage.VERB, VerbLine("VRFY", "y"))


def test_an_end_is_about_one_transaction() -> None:
    connection = Connection("c", "192.0.2.1", 1, "192.0.2.2", 25)
    one, other = Transaction("1", connection), Transaction("1", connection)
    assert Ended(one) == Ended(one)
    assert Ended(one) != Ended(other)


def test_the_start_of_tls_says_how_much_was_thrown_away() -> None:
    assert StartTls(5).discarded == 5


def test_a_change_names_who_was_there() -> None:
    connection = Connection("c", "192.0.2.1", 1, "192.0.2.2", 25)
    assert ClientChanged(connection).previous is connection
