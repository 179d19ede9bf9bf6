from pathlib import Path

import pytest

from fastsmtp.cli.site import create_site
from fastsmtp.cli.survey import survey
from fastsmtp.errors import ConfigurationError


def test_one_finding_for_each_part(tmp_path: Path) -> None:
    configuration = create_site(tmp_path, {"log.destination": "mx.log"}, domain="example.org", users=["postmaster"])

    findings = survey(configuration)

    assert [finding.subject for finding in findings] == ["configuration", "plugins", "directory", "mail root", "log"]
    assert {finding.level for finding in findings} == {"ok"}


def test_a_file_that_cannot_be_read(tmp_path: Path) -> None:
    with pytest.raises(ConfigurationError, match="cannot be read"):
        survey(tmp_path / "fastsmtp.toml")
