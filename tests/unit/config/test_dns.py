from typing import Any

import pytest
from pydantic import ValidationError

from fastsmtp.config.dns import DnsSettings
from fastsmtp.config.model import PluginEntry


@pytest.mark.parametrize(
    ("written", "meant"),
    [
        ("192.0.2.53", "192.0.2.53:53"),
        ("127.0.0.1:5353", "127.0.0.1:5353"),
        ("2001:db8::53", "[2001:db8::53]:53"),
        ("[::1]:5353", "[::1]:5353"),
    ],
)
def test_servers(written: str, meant: str) -> None:
    assert [str(server) for server in DnsSettings.model_validate({"servers": [written]}).servers] == [meant]


@pytest.mark.parametrize("written", ["", "dns.example", "dns.example:53", "192.0.2.53:0", "192.0.2", 53, None])
def test_what_is_no_server(written: object) -> None:
    with pytest.raises(ValidationError, match=r"is no DNS server; write its address, like"):
        DnsSettings.model_validate({"servers": [written]})


@pytest.mark.parametrize(
    "values", [{"timeout": 0}, {"budget": 0}, {"cache_entries": 0}, {"cache_size": "63KiB"}, {"failure_ttl": "100ms"}]
)
def test_what_makes_no_sense(values: dict[str, Any]) -> None:
    with pytest.raises(ValidationError):
        DnsSettings.model_validate(values)


def test_dns_trouble_is_over_before_a_plugin_is_out_of_time() -> None:
    assert DnsSettings().budget < PluginEntry(use="x").timeout
