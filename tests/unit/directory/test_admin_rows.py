"""How users and aliases are shown."""

import pytest

from fastsmtp.directory.admin_rows import AliasList, UserRow


@pytest.mark.parametrize(
    ("name", "address"),
    [("joe", "joe@example.test"), ("two words", '"two words"@example.test'), ("*", "*@example.test")],
)
def test_addresses_are_shown_as_they_are_written(name: str, address: str) -> None:
    assert UserRow("example.test", name, True, True).address == address
    assert AliasList("example.test", name, True, ()).address == address
