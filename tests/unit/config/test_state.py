from pathlib import Path
from typing import Any

import pytest
from pydantic import ValidationError

from fastsmtp.config.places import PostgresUrl, SqliteUrl
from fastsmtp.config.state import RedisUrl, StateSettings


def settings(**data: Any) -> StateSettings:
    return StateSettings.model_validate(data, context={"base": Path("/srv/mx")})


def test_the_default_is_a_file_beside_the_directory() -> None:
    found = settings()
    assert found.url == SqliteUrl(Path("/srv/mx/state.db"))
    assert (found.timeout, found.buckets, found.records) == (0.5, 262_144, 1_000_000)


@pytest.mark.parametrize(
    "url",
    [
        "redis://10.0.0.1",
        "valkey://cache.example:6380/3",
        "rediss://user:p%40ss@cache.example",
        "valkeys://:secret@[::1]:1/0",
    ],
)
def test_a_server(url: str) -> None:
    found = settings(url=url).url
    assert isinstance(found, RedisUrl)
    assert found.client_url == url.replace("valkey", "redis", 1)
    assert "secret" not in f"{found} {found!r}"
    assert "p%40ss" not in f"{found} {found!r}"


def test_a_database() -> None:
    assert settings(url="postgresql://mx@db/mail").url == PostgresUrl("postgresql://mx@db/mail")
    assert settings(url="sqlite:/var/lib/state.db").url == SqliteUrl(Path("/var/lib/state.db"))


@pytest.mark.parametrize("url", ["", "sqlite:", "mysql://x", "redis:", "redis://", "redis://a@b@c", "redis://h/x", 7])
def test_what_is_no_state_is_refused_without_its_password(url: object) -> None:
    with pytest.raises(ValidationError, match="this names no state; write"):
        settings(url=url)


@pytest.mark.parametrize("wrong", [{"timeout": 0}, {"timeout": "1m"}, {"buckets": 10}, {"records": 1}, {"size": 1}])
def test_limits(wrong: dict[str, object]) -> None:
    with pytest.raises(ValidationError):
        settings(**wrong)
