"""Tables that contradict each other."""

from typing import Any

import pytest

from fastsmtp.config.coherence import contradictions
from fastsmtp.config.explain import key_path
from fastsmtp.config.model import Settings

ONE: dict[str, Any] = {"address": "127.0.0.1:2525"}
WAYS_OUT = "write [tls] certificates, or auth.require_tls = false"


def found(*faulty_tables: str, **data: Any) -> list[str]:
    return [
        f"{key_path(key)}: {sentence}" for key, sentence in contradictions(Settings.model_validate(data), faulty_tables)
    ]


def test_nothing_is_wrong_with_the_defaults() -> None:
    assert found() == []
    assert found(listener=[ONE]) == []
    assert found(plugin=[{"use": "loop"}], listener=[{**ONE, "plugins": ["loop"]}]) == []


@pytest.mark.parametrize(
    ("data", "sentence"),
    [
        ({"listen": {"smtp": []}}, "listen.smtp: is empty, and there is no [[listener]]; write at least one address"),
        (
            {"listen": {"smtp": ["127.0.0.1:2525"]}, "listener": [ONE]},
            "listener[0]: 127.0.0.1:2525 has a listener already; write each address once",
        ),
        (
            {"listen": {"smtp": ["[::]:25", "[::]:25"]}},
            "listen.smtp[1]: [::]:25 has a listener already; write each address once",
        ),
        (
            {"listener": [{"address": "127.0.0.1:0", "name": "a"}, {"address": "127.0.0.1:0", "name": "a"}]},
            "listener[1].name: 'a' is the name of another listener; write one of its own",
        ),
        (
            {"auth": {"enabled": True}},
            f"auth.enabled: AUTH is for TLS alone, which 0.0.0.0:25 has not; {WAYS_OUT}",
        ),
        (
            {"listener": [{**ONE, "auth": True}]},
            f"listener[0].auth: AUTH is for TLS alone, which 127.0.0.1:2525 has not; {WAYS_OUT}",
        ),
        (
            {"listener": [{**ONE, "socket_mode": "0600"}]},
            "listener[0].socket_mode: is for Unix sockets of ours, which 127.0.0.1:2525 is not; leave it out",
        ),
        (
            {"listener": [{"address": "systemd:lmtp", "socket_user": "joe"}]},
            "listener[0].socket_user: is for Unix sockets of ours, which systemd:lmtp is not; leave it out",
        ),
        (
            {"listener": [{"address": "systemd:smtp"}, {"address": "systemd:smtp"}]},
            "listener[1]: systemd:smtp has a listener already; write each address once",
        ),
        (
            {"listener": [{"address": "[::]:25", "protocol": "lmtp"}]},
            (
                "listener[0].protocol: LMTP must not be spoken on port 25 (RFC 2033 section 5); "
                "listen on another one, like 24"
            ),
        ),
        (
            {"plugin": [{"use": "loop"}], "listener": [{**ONE, "plugins": ["lop"]}]},
            "listener[0].plugins[0]: no [[plugin]] is called 'lop'; did you mean \"loop\"?",
        ),
        (
            {"plugin": [{"use": "a:Loop"}, {"use": "b", "name": "c"}], "listener": [{**ONE, "plugins": ["xyz"]}]},
            "listener[0].plugins[0]: no [[plugin]] is called 'xyz'; there are Loop, c",
        ),
        (
            {"listener": [{**ONE, "plugins": ["loop"]}]},
            "listener[0].plugins[0]: no [[plugin]] is called 'loop'; there are none",
        ),
        (
            {"metrics": {"listen": "127.0.0.1:2525"}, "listener": [ONE]},
            "metrics.listen: 127.0.0.1:2525 is where 127.0.0.1:2525 listens; write another port",
        ),
        (
            {"metrics": {"listen": "127.0.0.1:2525"}, "listener": [{"address": "[::]:2525", "name": "mx"}]},
            "metrics.listen: 127.0.0.1:2525 is where mx listens; write another port",
        ),
        (
            {"process": {"group": "mail"}},
            "process.group: changes nothing without a user; write process.user, too, or leave it out",
        ),
    ],
)
def test_what_cannot_be(data: dict[str, Any], sentence: str) -> None:
    assert found(**data) == [sentence]


def test_auth_where_there_is_tls_or_none_is_wanted() -> None:
    tls = {"certificates": [{"certificate": "/c.pem", "key": "/k.pem"}]}
    assert found(auth={"enabled": True}, tls=tls) == []
    assert found(auth={"enabled": True, "require_tls": False}) == []
    assert found(auth={"enabled": True}, listener=[{**ONE, "auth": False}]) == []
    assert found("tls", auth={"enabled": True}) == []
    assert found("auth", auth={"enabled": True}) == []
    off = {**ONE, "tls": "off"}
    assert [line.partition(": ")[0] for line in found(auth={"enabled": True}, tls=tls, listener=[off])] == [
        "auth.enabled"
    ]


def test_port_0_may_be_had_twice() -> None:
    assert found(listen={"smtp": ["127.0.0.1:0", "127.0.0.1:0"]}) == []


def test_nothing_is_said_about_what_is_not_known() -> None:
    named = [{**ONE, "plugins": ["loop"]}]

    assert found("plugin", listener=named) == []
    assert found("listener", listen={"smtp": []}) == []
    assert found("listen", listener=named) == []
    assert found("metrics", metrics={"listen": "127.0.0.1:25"}) == []
    assert found("process", process={"group": "mail"}) == []


def test_metrics_have_a_port_of_their_own() -> None:
    assert found(metrics={"listen": "127.0.0.1:2525"}, listener=[{"address": "127.0.0.2:2525"}]) == []
    assert found(metrics={"listen": "127.0.0.1:0"}, listener=[{"address": "127.0.0.1:0"}]) == []
    assert found(metrics={"listen": False}, listener=[ONE]) == []
