"""What every table promises: frozen, strict, no unknown keys, defaults that are validated."""

import pytest
from pydantic import ValidationError

from fastsmtp.config.table import Table, default
from fastsmtp.config.units import Size


class Shelf(Table):
    """An example."""

    room: Size = default("4KiB", "How much it holds.", ge=1)


def test_a_default_is_read_like_a_value_of_the_file() -> None:
    assert Shelf().room == 4096
    assert Shelf.model_fields["room"].description == "How much it holds."


def test_nothing_is_guessed_and_nothing_changes() -> None:
    for wrong in ({"room": "4 apples"}, {"room": 0}, {"rooms": 1}, {"room": True}):
        with pytest.raises(ValidationError):
            Shelf.model_validate(wrong)
    with pytest.raises(ValidationError):
        Shelf().room = 1
