from pathlib import Path

import pytest
from pydantic import ValidationError

from fastsmtp.config.process import ProcessSettings


def test_nothing_is_changed_unless_asked_for() -> None:
    settings = ProcessSettings()
    assert (settings.user, settings.group, settings.pid_file) == ("", "", None)


def test_the_pid_file_is_relative_to_the_configuration(tmp_path: Path) -> None:
    settings = ProcessSettings.model_validate({"pid_file": "run/pid"}, context={"base": tmp_path})
    assert settings.pid_file == tmp_path / "run/pid"
    with pytest.raises(ValidationError, match="is not a path"):
        ProcessSettings.model_validate({"pid_file": 1})
