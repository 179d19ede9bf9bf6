"""Quick enumerations are still enumerations."""

import enum
import pickle

import pytest

from fastsmtp.enums import quick
from fastsmtp.smtp.transitions import State


@quick
class Colour(enum.Enum):
    RED = "red"
    BLUE = "blue"


def test_members_hash_as_objects() -> None:
    assert hash(Colour.RED) == object.__hash__(Colour.RED)


def test_it_behaves_as_before() -> None:
    assert list(Colour) == [Colour.RED, Colour.BLUE]
    assert Colour("blue") is Colour["BLUE"] is Colour.BLUE
    assert {Colour.RED: 1, Colour.BLUE: 2}[Colour("red")] == 1
    assert (Colour.RED.name, Colour.RED.value) == ("RED", "red")
    with pytest.raises(ValueError, match="green"):
        Colour("green")


def test_members_are_the_same_after_a_round_trip() -> None:
    assert pickle.loads(pickle.dumps(State.MESSAGE)) is State.MESSAGE  # noqa: S301 - our own bytes
