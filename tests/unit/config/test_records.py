"""Where records are."""

from pathlib import Path

import pytest
from pydantic import ValidationError

from fastsmtp.config.model import Settings
from fastsmtp.config.records import RecordSettings


def test_they_are_beside_the_journal_unless_they_are_elsewhere() -> None:
    assert Settings().records_file == Path("records.db")
    settings = Settings.model_validate({"maildir": {"journal": "/var/lib/fastsmtp/journal"}})
    assert settings.records_file == Path("/var/lib/fastsmtp/records.db")
    settings = Settings.model_validate({"records": {"path": "/srv/what.db"}})
    assert settings.records_file == Path("/srv/what.db")


@pytest.mark.parametrize("wrong", [{"keep": "0d"}, {"size": "10KiB"}, {"keep": "14 days"}, {"days": 3}])
def test_limits_that_make_no_sense(wrong: dict[str, object]) -> None:
    with pytest.raises(ValidationError):
        RecordSettings.model_validate(wrong)
