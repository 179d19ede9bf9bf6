import json
import re
from pathlib import Path

from hypothesis import given
from hypothesis import strategies as st

from fastsmtp.log.journald import JournaldSink


def fields(entry: bytes) -> list[tuple[str, str]]:
    """The simple form of the native protocol: NAME=value, one a line."""
    assert entry.endswith(b"\n")
    pairs = [line.split("=", 1) for line in entry.decode("ascii").split("\n")[:-1]]
    return [(name, value) for name, value in pairs]


def test_values_are_fields() -> None:
    line = {
        "time": "2024-01-01T00:00:00.000Z",
        "level": "warning",
        "event": "transaction",
        "recipients": ["ann@example.org", "bob@example.org"],
        "size": 17,
        "tls": None,
        "results": [{"plugin": "headers"}],
        "a-key": True,
    }
    found = fields(JournaldSink(Path("x")).encode(line))
    assert found[0][0] == "MESSAGE"
    assert json.loads(found[0][1]) == line
    assert found[1:] == [
        ("PRIORITY", "4"),
        ("SYSLOG_IDENTIFIER", "fastsmtp"),
        ("FASTSMTP_EVENT", "transaction"),
        ("FASTSMTP_RECIPIENTS", "ann@example.org"),
        ("FASTSMTP_RECIPIENTS", "bob@example.org"),
        ("FASTSMTP_SIZE", "17"),
        ("FASTSMTP_A_KEY", "true"),
    ]


@given(st.dictionaries(st.text(), st.text() | st.lists(st.text())))
def test_nothing_forges_a_field(line: dict[str, str | list[str]]) -> None:
    found = fields(JournaldSink(Path("x")).encode(line))
    assert json.loads(found[0][1]) == line
    assert [name for name, _ in found[1:3]] == ["PRIORITY", "SYSLOG_IDENTIFIER"]
    for name, value in found[3:]:
        assert re.fullmatch(r"FASTSMTP_[A-Z0-9_]{0,55}", name)
        assert value.isprintable()


def test_an_entry_fits_into_a_datagram() -> None:
    line = {"event": "transaction", "recipients": ["é" * 100] * 1000, "sender": "x" * 100_000}
    entry = JournaldSink(Path("x")).encode(line)
    assert len(entry) < 120_000
