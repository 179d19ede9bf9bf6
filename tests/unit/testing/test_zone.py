"""Zones for tests."""

import pytest

from fastsmtp.testing.zone import find, read_zone, strings


def test_lines() -> None:
    zone = read_zone(
        """
        ; the hosts
        A.example.TEST.   A     192.0.2.1   ; the first
        a.example.test    a     192.0.2.2
        example.test      TXT   "v=spf1 -all; really" "more"
        """
    )
    assert zone == {
        "a.example.test": {"A": ["192.0.2.1", "192.0.2.2"]},
        "example.test": {"TXT": ['"v=spf1 -all; really" "more"']},
    }


def test_a_mapping() -> None:
    zone = read_zone({"Example.test": {"mx": ["10 a.test", "20 b.test"], "TXT": '"one"'}})
    assert zone == {"example.test": {"MX": ["10 a.test", "20 b.test"], "TXT": ['"one"']}}


def test_strings_of_a_text_record() -> None:
    assert strings('"v=spf1 " "-all" bare') == ["v=spf1 ", "-all", "bare"]


@pytest.mark.parametrize("line", ["example.test", "example.test MX"])
def test_what_is_no_record(line: str) -> None:
    with pytest.raises(ValueError, match="line 2 of the zone"):
        read_zone(f"\n{line}")


def test_finding_a_name() -> None:
    zone = read_zone("a.b.test A 192.0.2.1\n*.w.test A 192.0.2.2\nx.w.test MX 10 y")
    assert find(zone, "a.b.test") == {"A": ["192.0.2.1"]}
    assert find(zone, "b.test") == {}
    assert find(zone, "c.test") is None
    assert find(zone, "q.r.w.test") == {"A": ["192.0.2.2"]}
    assert find(zone, "x.w.test") == {"MX": ["10 y"]}
