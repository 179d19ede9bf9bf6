from pathlib import Path

import pytest

from fastsmtp.cli.site import create_site
from fastsmtp.cli.survey import survey
from fastsmtp.errors import ConfigurationError


def test_one_finding_for_each_part(tmp_path: Path) -> None:
    configuration = create_site(tmp_path, {"log.destination": "mx.log"}, domain="example.org", users=["postmaster"])

    findings = survey(configuration)

    parts = ["configuration", "plugins", "directory", "mail root", "journal", "log"]
    assert [finding.subject for finding in findings] == parts
    assert {finding.level for finding in findings} == {"ok"}


def test_a_file_that_cannot_be_read(tmp_path: Path) -> None:
    with pytest.raises(ConfigurationError, match="cannot be read"):
        survey(tmp_path / "fastsmtp.toml")


def test_postmaster_without_a_domain_needs_a_mailbox(tmp_path: Path) -> None:
    configuration = create_site(tmp_path, {}, domain="example.org", users=["postmaster"])
    text = configuration.read_text()
    assert 'postmaster = "postmaster@example.org"' in text
    configuration.write_text(text.replace('postmaster = "postmaster@example.org"', ""))

    warnings = [finding.sentence for finding in survey(configuration) if finding.level == "warning"]

    assert warnings == [
        "mail for <postmaster> without a domain is refused (RFC 5321 section 4.5.1): set [directory] postmaster"
    ]
