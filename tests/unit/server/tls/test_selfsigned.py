from pathlib import Path
from stat import S_IMODE

import pytest
from unit.server.tls.test_certificates import DAY_S, NOW

from fastsmtp.config.tls import CertificateFiles
from fastsmtp.server.tls.certificates import read_certificate
from fastsmtp.server.tls.selfsigned import make_self_signed


def test_it_can_be_used_for_years(tmp_path: Path) -> None:
    files = CertificateFiles(tmp_path / "tls.pem", tmp_path / "tls.key")
    make_self_signed(files, "mx.example.test")
    read = read_certificate(files)
    assert read.names == {"mx.example.test"}
    assert read.warnings == ()
    assert [read.ailment(NOW), read.warning(NOW), read.ailment(NOW + 3600 * DAY_S)] == ["", "", ""]
    assert S_IMODE(files.key.stat().st_mode) & 0o077 == 0


def test_it_takes_the_place_of_nothing(tmp_path: Path) -> None:
    files = CertificateFiles(tmp_path / "tls.pem", tmp_path / "tls.key")
    files.key.write_text("precious")
    with pytest.raises(FileExistsError):
        make_self_signed(files, "mx.example.test")
    assert files.key.read_text() == "precious"
    assert not files.certificate.exists()


def test_a_name_that_is_longer_than_a_common_name_may_be(tmp_path: Path) -> None:
    files = CertificateFiles(tmp_path / "tls.pem", tmp_path / "tls.key")
    name = f"{'a' * 60}.{'b' * 60}.example"
    make_self_signed(files, name)
    assert read_certificate(files).names == {name}
