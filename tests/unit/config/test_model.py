import socket
import tomllib
from pathlib import Path
from typing import Any

import pytest
from pydantic import BaseModel, ValidationError

from fastsmtp.config.model import Settings
from fastsmtp.config.places import ListenAddress, SqliteUrl
from fastsmtp.smtp.address import Address

BASE = Path("/srv/mx")


def settings(**data: Any) -> Settings:
    return Settings.model_validate(data, context={"base": BASE})


def test_an_empty_file_has_the_defaults_of_the_contract() -> None:
    found = settings()

    assert found.hostname == socket.gethostname().lower()
    assert found.plugin_path == ()
    assert found.listen.smtp == (ListenAddress("0.0.0.0", 25), ListenAddress("::", 25))  # noqa: S104 - nothing is bound
    assert found.listen.workers == 0
    assert found.limits.message_size == 25 * 1024 * 1024
    assert found.limits.recipients == 100
    assert found.timeouts.command == 120.0
    assert found.smtp.bare_newline == "normalize"
    assert found.directory.url == SqliteUrl(BASE / "directory.db")
    assert found.directory.cache_entries == 100_000
    assert (found.directory.cache_ttl, found.directory.negative_ttl, found.directory.stale_ttl) == (
        60.0,
        10.0,
        14_400.0,
    )
    assert found.directory.postmaster is None
    assert found.maildir.root == BASE / "mail"
    assert found.maildir.durability == "journal"
    assert found.metrics.listen == ListenAddress("127.0.0.1", 9125)
    assert found.log.destination == "stdout"
    assert found.plugin == ()


def test_the_contracts_example_is_understood() -> None:
    example = tomllib.loads("""
        hostname = "MX.Example.org"
        [listen]
        smtp = ["0.0.0.0:25", "[::]:25"]
        workers = 0
        [limits]
        message_size = "25MiB"
        recipients = 100
        [directory]
        url = "sqlite:directory.db"
        cache_entries = 100_000
        cache_ttl = "60s"
        negative_ttl = "10s"
        stale_ttl = "4h"
        [maildir]
        root = "mail"
        durability = "journal"
        [metrics]
        listen = "127.0.0.1:9125"
        [[plugin]]
        use = "block_sender"
        options = { domains = ["spam.example"] }
    """)
    found = settings(**example)

    assert found.hostname == "mx.example.org"
    assert [(entry.use, entry.options) for entry in found.plugin] == [("block_sender", {"domains": ["spam.example"]})]
    assert (found.plugin[0].mode, found.plugin[0].on_fault, found.plugin[0].timeout) == ("active", "defer", 10.0)


def test_paths_are_relative_to_the_file() -> None:
    found = settings(
        plugin_path=["plugins", "/opt/plugins"],
        directory={"url": "sqlite:db/users.db"},
        maildir={"root": "/var/mail"},
        log={"destination": "log/mx.log"},
    )

    assert found.plugin_path == (BASE / "plugins", Path("/opt/plugins"))
    assert found.directory.url == SqliteUrl(BASE / "db" / "users.db")
    assert found.maildir.root == Path("/var/mail")
    assert found.log.destination == BASE / "log" / "mx.log"


def test_switches_and_addresses() -> None:
    assert settings(metrics={"listen": False}).metrics.listen is None
    assert settings(metrics={"listen": ""}).metrics.listen is None
    assert settings(directory={"postmaster": "Admin@Example.org"}).directory.postmaster == Address(
        "Admin", "example.org"
    )
    assert settings(directory={"subaddress_separator": ""}).directory.subaddress_separator == ""


def test_settings_are_frozen() -> None:
    with pytest.raises(ValidationError, match="frozen"):
        settings().limits.recipients = 1


@pytest.mark.parametrize(
    ("data", "sentence"),
    [
        ({"hostname": "not a name"}, "is not a domain name; write a name like"),
        ({"hostname": 3}, "valid string"),
        ({"plugin_path": [""]}, "is not a path"),
        ({"plugin_path": ["a\0b"]}, "is not a path"),
        ({"plugin_path": "plugins"}, "valid tuple"),
        ({"listen": {"smtp": ["25"]}}, "is no address to listen on"),
        ({"listen": {"workers": -1}}, "greater than or equal to 0"),
        ({"limits": {"recipients": "100"}}, "valid integer"),
        ({"limits": {"recipients": True}}, "valid integer"),
        ({"limits": {"recipients": 1.0}}, "valid integer"),
        ({"limits": {"command_line": 511}}, "greater than or equal to 512"),
        ({"timeouts": {"command": "0s"}}, "greater than 0"),
        ({"smtp": {"bare_newline": "accept"}}, "'normalize' or 'reject'"),
        ({"smtp": {"banner": "two\r\nlines"}}, "on one line"),
        ({"directory": {"url": "postgresql:db"}}, "is not of the form postgresql://"),
        ({"directory": {"url": "postgresql://joe:se/cret@h/db"}}, "write @ as %40, / as %2F"),
        ({"directory": {"listen_url": "sqlite:directory.db"}}, "is not of the form postgresql://"),
        ({"directory": {"url": "mysql://u@h/db"}}, "names no directory"),
        ({"directory": {"url": "directory.db"}}, "names no directory"),
        ({"directory": {"url": "sqlite:"}}, "names no directory"),
        ({"directory": {"postmaster": "admin"}}, "is not an address"),
        ({"directory": {"postmaster": 3}}, "is not an address"),
        ({"directory": {"subaddress_separator": "+-"}}, "cannot separate"),
        ({"directory": {"subaddress_separator": "@"}}, "cannot separate"),
        ({"log": {"destination": False}}, "is not a path"),
        ({"metrics": {"listen": True}}, "is no address"),
        ({"plugin": [{"use": ""}]}, "at least 1 character"),
        ({"plugin": [{}]}, "Field required"),
        ({"surprise": 1}, "Extra inputs"),
    ],
)
def test_wrong_values_are_refused(data: dict[str, Any], sentence: str) -> None:
    with pytest.raises(ValidationError) as caught:
        settings(**data)

    assert caught.value.error_count() == 1
    assert sentence in str(caught.value)


def test_every_key_is_described() -> None:
    tables: list[type[BaseModel]] = [Settings]
    tables += [type(value) for _, value in settings() if isinstance(value, BaseModel)]
    described = {
        f"{table.__name__}.{key}": bool(field.description)
        or issubclass(type(getattr(settings(), key, None)), BaseModel)
        for table in tables
        for key, field in table.model_fields.items()
        if key not in ("listener", "plugin")
    }

    assert len(described) > 30
    assert [key for key, has_description in described.items() if not has_description] == []


def test_the_postmaster_of_last_resort() -> None:
    own = Settings(hostname="mx.example.org")
    configured = Settings.model_validate({"hostname": "mx.example.org", "directory": {"postmaster": "joe@example.net"}})
    assert str(own.postmaster) == "postmaster@example.org"
    assert str(configured.postmaster) == "joe@example.net"
    assert Settings(hostname="localhost").postmaster is None
