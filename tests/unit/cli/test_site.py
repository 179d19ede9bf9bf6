from pathlib import Path

import pytest

from fastsmtp.cli.admin import open_admin
from fastsmtp.cli.site import create_site, demo_site
from fastsmtp.cli.survey import survey
from fastsmtp.config.load import load
from fastsmtp.config.tls import CertificateFiles
from fastsmtp.directory.admin import BadAddressError


def test_the_demo_site_is_made_once(tmp_path: Path) -> None:
    configuration = demo_site(tmp_path / "var")
    settings = load(configuration)

    assert [str(address) for address in settings.listen.smtp] == ["127.0.0.1:2525"]
    assert str(settings.metrics.listen) == "127.0.0.1:9125"
    with open_admin(configuration) as admin:
        assert [row.name for row in admin.list_users("example.test")] == ["alice", "bob", "carol", "postmaster"]

    assert settings.tls.certificates == (CertificateFiles(tmp_path / "var/tls.pem", tmp_path / "var/tls.key"),)
    assert not [finding for finding in survey(configuration) if finding.level != "ok"]

    configuration.write_text(configuration.read_text().replace("2525", "2526"))
    assert load(demo_site(tmp_path / "var")).listen.smtp[0].port == 2526


def test_a_site_that_fails_leaves_nothing_in_the_way(tmp_path: Path) -> None:
    with pytest.raises(BadAddressError):
        create_site(tmp_path, {}, domain="example.org", users=["a b"])

    assert create_site(tmp_path, {}, domain="example.org", users=["alice"]).exists()
