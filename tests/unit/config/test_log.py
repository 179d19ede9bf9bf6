from pathlib import Path

import pytest
from pydantic import ValidationError

from fastsmtp.config.log import LogSettings

BASE = {"base": Path("/etc/fastsmtp")}


@pytest.mark.parametrize("word", ["stdout", "syslog", "journald"])
def test_words_are_destinations(word: str) -> None:
    assert LogSettings.model_validate({"destination": word}, context=BASE).destination == word


def test_anything_else_is_a_file() -> None:
    settings = LogSettings.model_validate({"destination": "mx.log", "socket": "dev/log"}, context=BASE)
    assert settings.destination == Path("/etc/fastsmtp/mx.log")
    assert settings.socket == Path("/etc/fastsmtp/dev/log")
    assert LogSettings().socket is None


@pytest.mark.parametrize(
    ("key", "value"), [("destination", 1), ("destination", ""), ("facility", "kern"), ("level", "loud"), ("socket", 0)]
)
def test_what_is_wrong_is_refused(key: str, value: object) -> None:
    with pytest.raises(ValidationError):
        LogSettings.model_validate({key: value}, context=BASE)
