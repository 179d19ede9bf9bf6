from typing import Any

import pytest
from pydantic import ValidationError

from fastsmtp.config.explain import explain, key_path
from fastsmtp.config.model import Settings


@pytest.mark.parametrize(
    ("location", "path"),
    [
        ((), ""),
        (("hostname",), "hostname"),
        (("limits", "message_size"), "limits.message_size"),
        (("plugin", 2, "timeout"), "plugin[2].timeout"),
        (("listen", "smtp", 0), "listen.smtp[0]"),
    ],
)
def test_key_paths(location: tuple[int | str, ...], path: str) -> None:
    assert key_path(location) == path


@pytest.mark.parametrize(
    ("data", "sentence"),
    [
        ({"hostnam": "x"}, 'hostnam: unknown key; did you mean "hostname"?'),
        ({"limit": {}}, 'limit: unknown key; did you mean "limits"?'),
        ({"plugins": []}, 'plugins: unknown key; did you mean "plugin"?'),
        ({"message_size": 1}, "message_size: unknown key here; it belongs into [limits]"),
        ({"limits": {"qqq": 1}}, "limits.qqq: unknown key; the keys here are message_size, recipients, command_line, "),
        (
            {"plugin": [{"use": "block_sender", "domains": []}]},
            (
                "plugin[0].domains: unknown key; the keys here are use, name, mode, on_fault, timeout, options; "
                "what is the plugin's own goes into options"
            ),
        ),
        ({"plugin": [{}]}, "plugin[0].use: is missing"),
        ({"plugin": {}}, "plugin: {} is something else; write a list, like [ … ]"),
        ({"plugin": [3]}, "plugin[0]: 3 is a number; write a table"),
        ({"plugin": [{"use": ""}]}, "plugin[0].use: '' is empty; write at least one"),
        ({"plugin": [{"use": "x", "options": "y"}]}, "plugin[0].options: 'y' is text; write a table"),
        ({"limits": 3}, "limits: 3 is a number; write a table"),
        ({"limits": {"recipients": "many"}}, "limits.recipients: 'many' is text; write a whole number"),
        ({"limits": {"recipients": True}}, "limits.recipients: true is a truth value; write a whole number"),
        ({"limits": {"recipients": 0}}, "limits.recipients: 0 is too small; write 1 or more"),
        ({"timeouts": {"data": 0}}, "timeouts.data: 0.0 is too small; write more than 0"),
        ({"smtp": {"banner": 5}}, 'smtp.banner: 5 is a number; write text in quotes, like "this"'),
        (
            {"log": {"level": "warn"}},
            (
                "log.level: 'warn' is not one of the choices; "
                'write "debug", "info", "warning" or "error" (did you mean "warning"?)'
            ),
        ),
        (
            {"maildir": {"durability": 5}},
            'maildir.durability: 5 is not one of the choices; write "journal", "fsync" or "none"',
        ),
        ({"limits": {"message_size": "big"}}, "limits.message_size: 'big' is not a size; write octets, or text like"),
    ],
)
def test_sentences(data: dict[str, Any], sentence: str) -> None:
    with pytest.raises(ValidationError) as caught:
        Settings.model_validate(data)

    (error,) = caught.value.errors(include_url=False)
    assert explain(error).startswith(sentence)


def test_long_values_are_cut() -> None:
    with pytest.raises(ValidationError) as caught:
        Settings.model_validate({"limits": {"recipients": "9" * 10_000}})

    assert len(explain(caught.value.errors(include_url=False)[0])) < 200
