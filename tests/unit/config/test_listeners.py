"""One listener, as an operator writes it."""

from pathlib import Path
from typing import Any

import pytest
from pydantic import ValidationError

from fastsmtp.config.listeners import ListenerEntry, users_of
from fastsmtp.config.model import Settings
from fastsmtp.config.places import ListenAddress, SystemdAddress, UnixAddress

BASE = Path("/srv/mx")


def settings(**data: Any) -> Settings:
    return Settings.model_validate(data, context={"base": BASE})


def listener(**keys: Any) -> ListenerEntry:
    return settings(listener=[keys]).listener[0]


def test_the_short_form_is_a_listener_for_each_address() -> None:
    found = settings(listen={"smtp": ["127.0.0.1:25", "[::1]:25"]}).listeners

    assert [(entry.title, entry.address, entry.plugins) for entry in found] == [
        ("127.0.0.1:25", ListenAddress("127.0.0.1", 25), None),
        ("[::1]:25", ListenAddress("::1", 25), None),
    ]


def test_the_default_of_the_short_form_counts_only_alone() -> None:
    one = {"address": "127.0.0.1:2525"}

    assert [entry.title for entry in settings().listeners] == ["0.0.0.0:25", "[::]:25"]
    assert [entry.title for entry in settings(listener=[one]).listeners] == ["127.0.0.1:2525"]
    assert [entry.title for entry in settings(listen={"backlog": 5}, listener=[one]).listeners] == ["127.0.0.1:2525"]
    both = settings(listen={"smtp": ["0.0.0.0:25"]}, listener=[one])
    assert [entry.title for entry in both.listeners] == ["0.0.0.0:25", "127.0.0.1:2525"]


def test_auth_is_on_off_or_as_everywhere() -> None:
    found = [listener(address="127.0.0.1:25", auth=auth).auth for auth in ("auto", True, False)]

    assert found == [None, True, False]
    with pytest.raises(ValidationError, match="'yes' does not say whether AUTH is offered"):
        listener(address="127.0.0.1:25", auth="yes")


def test_a_listener_says_what_it_is() -> None:
    found = listener(name="relay", address="unix:run/smtp.sock", plugins=["loop"], socket_mode="666")

    assert found.address == UnixAddress(BASE / "run/smtp.sock")
    assert (found.title, str(found.address)) == ("relay", "unix:/srv/mx/run/smtp.sock")
    assert (found.socket_mode, listener(address="unix:s").socket_mode) == (0o666, 0o660)
    assert (found.has_plugin("loop"), found.has_plugin("headers")) == (True, False)


def test_sockets_of_systemd_have_a_name() -> None:
    found = listener(address="systemd:smtp.socket")

    assert found.address == SystemdAddress("smtp.socket")
    assert found.title == "systemd:smtp.socket"


@pytest.mark.parametrize(
    ("keys", "sentence"),
    [
        ({}, "Field required"),
        (
            {"address": "unix:"},
            'is no address to listen on; write "HOST:PORT" or "[IPV6]:PORT", or "unix:PATH", or "systemd:NAME"',
        ),
        ({"address": "systemd:"}, "names no sockets of systemd; write what FileDescriptorName= says"),
        ({"address": "systemd:two words"}, "names no sockets of systemd"),
        ({"address": "systemd:a:b"}, "names no sockets of systemd"),
        ({"address": "unix:a\0b"}, "is not a path"),
        ({"address": "unix:" + "x" * 100}, "108 octets; the path of a Unix socket has at most 107"),
        ({"address": "unix:" + "ü" * 50}, "108 octets; the path of a Unix socket has at most 107"),
        ({"address": 25}, "is no address"),
        ({"address": "[::]:25", "name": "two words"}, "is no name; write up to 64"),
        ({"address": "[::]:25", "name": "\nforged"}, "is no name"),
        ({"address": "[::]:25", "plugins": "none"}, 'names no plugins; write "all", or a list like'),
        ({"address": "[::]:25", "plugins": [1]}, "names no plugins"),
        ({"address": "unix:s", "socket_mode": 660}, "is no mode of a file"),
        ({"address": "unix:s", "socket_mode": "0x1f"}, "is no mode of a file"),
        ({"address": "unix:s", "socket_mode": "4755"}, "is no mode of a file"),
    ],
)
def test_wrong_values_are_refused(keys: dict[str, Any], sentence: str) -> None:
    with pytest.raises(ValidationError) as caught:
        listener(**keys)

    assert caught.value.error_count() == 1
    assert sentence in str(caught.value)


def test_a_path_that_just_fits() -> None:
    address = listener(address="unix:" + "x" * 99).address

    assert isinstance(address, UnixAddress)
    assert len(str(address.path)) == 107


def test_who_has_a_plugin() -> None:
    found = settings(
        listener=[
            {"address": "127.0.0.1:1", "name": "all"},
            {"address": "127.0.0.1:2", "name": "some", "plugins": ["loop"]},
            {"address": "127.0.0.1:3", "name": "none", "plugins": []},
        ]
    ).listeners

    assert users_of("loop", found) == ["all", "some"]
    assert users_of("headers", found) == ["all"]
    assert users_of("loop", found[:2]) is None
    assert users_of("headers", found[2:]) == []
