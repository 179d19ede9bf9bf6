"""The resolver of the server."""

import pytest

from fastsmtp.dns.resolver import CaresResolver
from fastsmtp.errors import DnsError
from fastsmtp.ports import DnsAnswer


def test_a_name_that_cannot_be_does_not_exist() -> None:
    assert CaresResolver().mx("a..test") == DnsAnswer(exists=False)


def test_without_servers_nothing_is_known() -> None:
    with pytest.raises(DnsError):
        CaresResolver().txt("a.test")
