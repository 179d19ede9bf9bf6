from typing import Any

import pytest
from pydantic import ValidationError

from fastsmtp.config.auth import AuthSettings
from fastsmtp.config.model import Settings

ADDRESS = {"address": "127.0.0.1:2525"}


def test_an_mx_does_without() -> None:
    auth = AuthSettings()
    assert (auth.enabled, auth.require_tls) == (False, True)
    assert not Settings().has_auth


@pytest.mark.parametrize(
    ("enabled", "listener", "offered"),
    [(False, {}, False), (True, {}, True), (False, {"auth": True}, True), (True, {"auth": False}, False)],
)
def test_a_listener_may_differ(enabled: bool, listener: dict[str, Any], offered: bool) -> None:
    settings = Settings.model_validate({"auth": {"enabled": enabled}, "listener": [{**ADDRESS, **listener}]})
    assert settings.offers_auth(settings.listeners[0]) is offered
    assert settings.has_auth is offered


@pytest.mark.parametrize("values", [{"mechanisms": []}, {"mechanisms": ["CRAM-MD5"]}, {"tries": 0}, {"waiting": -1}])
def test_what_makes_no_sense(values: dict[str, Any]) -> None:
    with pytest.raises(ValidationError):
        AuthSettings.model_validate(values)
