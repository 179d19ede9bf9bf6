import tomllib

import pytest
from hypothesis import given
from hypothesis import strategies as st

from fastsmtp.config.outline import outline, toml_value


def test_tables_in_the_order_of_the_file() -> None:
    assert [table.heading for table in outline() if table.name] == [
        "[listen]",
        "[[listener]]",
        "[limits]",
        "[timeouts]",
        "[overload]",
        "[tls]",
        "[smtp]",
        "[auth]",
        "[directory]",
        "[dns]",
        "[maildir]",
        "[state]",
        "[metrics]",
        "[log]",
        "[records]",
        "[process]",
        "[[plugin]]",
    ]


def test_a_key_says_type_default_and_meaning() -> None:
    keys = {(table.name, key.name): key for table in outline() for key in table.keys}

    size = keys["limits", "message_size"]
    assert (size.type_name, size.default, size.is_choice) == ("size", '"25MiB"', False)
    durability = keys["maildir", "durability"]
    assert (durability.type_name, durability.is_choice) == ('`"journal"`, `"fsync"`, `"none"`', True)
    assert keys["", "hostname"].default is None
    assert keys["plugin", "use"].default is None
    assert all(key.description for key in keys.values())
    assert all(table.description for table in outline())


@given(st.one_of(st.booleans(), st.integers(-(2**62), 2**62), st.text(), st.lists(st.text())))
def test_values_survive_toml(value: object) -> None:
    assert tomllib.loads(f"key = {toml_value(value)}") == {"key": value}


def test_what_has_no_toml_form_is_an_error() -> None:
    with pytest.raises(TypeError, match="no TOML form for None"):
        toml_value(None)
