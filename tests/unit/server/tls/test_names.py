"""Names that clients ask for, and whose they are."""

from pathlib import Path

import pytest
from certificates import as_settings, certificate, write
from hypothesis import given
from hypothesis import strategies as st

from fastsmtp.server.tls.certificates import read_certificates
from fastsmtp.server.tls.names import ByName, host_name


@pytest.mark.parametrize(
    ("asked", "name"),
    [("MX.Example.Test", "mx.example.test"), ("a.b.", "a.b"), ("-_.x", "-_.x"), ("", ""), ("a..b", ""), ("a b", "")],
)
def test_host_names(asked: str, name: str) -> None:
    assert host_name(asked) == name


@given(st.text(max_size=300))
def test_nothing_else_gets_through(asked: str) -> None:
    name = host_name(asked)
    assert name == "" or (name.isascii() and name.isprintable() and len(name) <= 255 and name.lower() == name)


def test_the_first_that_has_a_name(tmp_path: Path) -> None:
    files = [
        write(tmp_path, certificate("a.example", "b.example"), "one"),
        write(tmp_path, certificate("b.example", "*.example.org"), "two"),
        write(tmp_path, certificate("a.example", "b.example", rsa=True), "twin of one"),
    ]
    chosen = ByName(read_certificates(as_settings(*files)), lambda group: " ".join(one.files.key.stem for one in group))
    assert chosen.all == ["one twin of one", "two"]
    assert chosen.first == chosen.get("a.example") == chosen.get("b.example") == "one twin of one"
    assert chosen.get("mx.example.org") == "two"
    assert chosen.get("a.b.example.org") is None
    assert chosen.get("") is None
