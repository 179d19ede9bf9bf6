"""What can be asked at all."""

import pytest

from fastsmtp.dns.names import is_dns_name


@pytest.mark.parametrize(
    "name", ["test", "a.test", "_dmarc.a.test", "a+b=c._spf.test", "*.test", "a" * 63 + ".test", ".".join(["a"] * 127)]
)
def test_names(name: str) -> None:
    assert is_dns_name(name)


@pytest.mark.parametrize(
    "name",
    ["", ".", "a..test", ".test", "a.test.", "a b.test", "a\0.test", "a\n", "ä.test", r"a\.test", "a" * 64 + ".test"],
)
def test_what_is_no_name(name: str) -> None:
    assert not is_dns_name(name)


def test_a_name_may_be_so_long() -> None:
    assert not is_dns_name(".".join(["a"] * 127) + "a")
