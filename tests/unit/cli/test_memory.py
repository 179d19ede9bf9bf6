"""What is for each worker is multiplied where somebody looks."""

from typing import Any

from fastsmtp.cli.memory import memory_need
from fastsmtp.config.model import Settings


def need(physical_octets: int | None = None, **tables: Any) -> tuple[bool, str]:
    listen = {"workers": 4}
    limits = {"message_memory": "128MiB"}
    return memory_need(Settings.model_validate({"listen": listen, "limits": limits, **tables}), physical_octets)


def test_it_is_for_all_workers() -> None:
    assert need(2 << 30) == (
        True,
        "896 MiB at most, about: 4 workers, each limits.message_memory 128 MiB, and 96 MiB; this machine has 2 GiB",
    )


def test_the_memory_of_the_dns_counts_where_plugins_may_ask_it() -> None:
    plugin = [{"use": "fcrdns"}]
    has_room, sentence = need(1 << 30, plugin=plugin, listen={"workers": 1}, dns={"cache_size": "1MiB"})
    assert has_room
    assert sentence.startswith(
        "225 MiB at most, about: 1 worker, each limits.message_memory 128 MiB, dns.cache_size 1 MiB, and 96 MiB; "
    )


def test_more_than_there_is() -> None:
    assert not need(800 << 20)[0]
    assert not need(listen={"workers": 512}, limits={"message_memory": "1024GiB"})[0]
