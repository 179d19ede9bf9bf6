"""What is wrong with a certificate or a key is said in a sentence, with its file."""

from collections.abc import Callable
from datetime import UTC, datetime
from pathlib import Path

import pytest
from certificates import as_settings, certificate, write
from cryptography.hazmat.primitives.serialization import (
    BestAvailableEncryption,
    Encoding,
    PrivateFormat,
    load_pem_private_key,
)

from fastsmtp.config.tls import CertificateFiles
from fastsmtp.errors import ConfigurationError
from fastsmtp.server.tls.certificates import read_certificate, read_certificates

DAY_S = 86_400
NOW = datetime.now(UTC).timestamp()


@pytest.fixture
def files(tmp_path: Path) -> CertificateFiles:
    return write(tmp_path, certificate("mx.example.test", "*.example.org"))


def test_a_good_one(files: CertificateFiles) -> None:
    read = read_certificate(files)
    assert read.names == {"mx.example.test", "*.example.org"}
    assert (read.kind, read.chain) == ("EC", 1)
    assert abs(read.expires - NOW - 90 * DAY_S) < DAY_S
    assert (read.ailment(NOW), read.warning(NOW), read.warnings) == ("", "", ())
    assert [read.fits(name) for name in ("mx.example.test", "a.example.org", "a.b.example.org", "example.org")] == [
        True,
        True,
        False,
        False,
    ]


def test_key_and_certificate_in_one_file(tmp_path: Path) -> None:
    made = certificate()
    file = tmp_path / "both.pem"
    file.touch(0o600)
    file.write_bytes(made.private_key_and_cert_chain_pem.bytes())
    assert read_certificate(CertificateFiles(file, file)).names == {"mx.example.test"}


def remove_certificate(files: CertificateFiles) -> None:
    files.certificate.unlink()


def remove_key(files: CertificateFiles) -> None:
    files.key.unlink()


def lock_key(files: CertificateFiles) -> None:
    key = load_pem_private_key(files.key.read_bytes(), None)
    files.key.write_bytes(key.private_bytes(Encoding.PEM, PrivateFormat.PKCS8, BestAvailableEncryption(b"secret")))


def other_key(files: CertificateFiles) -> None:
    files.key.write_bytes(certificate("other.example.test").private_key_pem.bytes())


def wrong_order(files: CertificateFiles) -> None:
    other = certificate("other.example.test").cert_chain_pems[0].bytes()
    files.certificate.write_bytes(other + files.certificate.read_bytes())


FAULTS: dict[Callable[[CertificateFiles], object], str] = {
    remove_certificate: "tls.pem cannot be read: No such file or directory",
    remove_key: "tls.key cannot be read: No such file or directory",
    lambda files: files.certificate.write_text("hello"): "tls.pem has no certificate that can be read; a PEM file",
    lambda files: files.key.write_text("hello"): "tls.key has no private key that can be read; a PEM file",
    lambda files: files.key.write_bytes(files.certificate.read_bytes()): "tls.key has no private key that can be read",
    lock_key: "tls.key is locked with a passphrase, which nobody is there to type; `openssl pkey -in ",
    other_key: "tls.key does not belong to the certificate ",
    wrong_order: "that is not the first one; put that first",
}


@pytest.mark.parametrize(("fault", "sentence"), FAULTS.items(), ids=FAULTS.values())
def test_a_bad_one(files: CertificateFiles, fault: Callable[[CertificateFiles], object], sentence: str) -> None:
    fault(files)
    with pytest.raises(ConfigurationError) as caught:
        read_certificate(files)
    [problem] = caught.value.problems
    assert sentence in problem
    assert "secret" not in problem


def test_every_problem_at_once_with_its_key(tmp_path: Path) -> None:
    good = write(tmp_path, certificate())
    gone = CertificateFiles(tmp_path / "gone.pem", tmp_path / "gone.pem")
    with pytest.raises(ConfigurationError) as caught:
        read_certificates(as_settings(gone, good, gone))
    assert [problem.partition(":")[0] for problem in caught.value.problems] == [
        "tls.certificates[0]",
        "tls.certificates[2]",
    ]


def test_two_of_a_kind_for_the_same_names(tmp_path: Path) -> None:
    one, twin = write(tmp_path, certificate(), "one"), write(tmp_path, certificate(), "twin")
    with pytest.raises(ConfigurationError, match=r"same names as .*one\.pem"):
        read_certificates(as_settings(one, twin))
    other_kind = write(tmp_path, certificate(rsa=True), "rsa")
    assert [read.kind for read in read_certificates(as_settings(one, other_kind))] == ["EC", "RSA"]


def test_its_time(tmp_path: Path) -> None:
    read = read_certificate(write(tmp_path, certificate()))
    assert "has expired on " in read.ailment(read.expires)
    assert "is valid from " in read.ailment(read.begins - 1)
    assert read.warning(read.expires - 15 * DAY_S) == ""
    assert "expires on " in read.warning(read.expires - 13 * DAY_S)
    assert read.warning(read.expires + 1) == ""  # that is an ailment


def test_one_that_lives_for_a_week_is_not_old_on_its_first_day(tmp_path: Path) -> None:
    read = read_certificate(write(tmp_path, certificate(days=6, begun_days_ago=0)))
    assert read.warning(NOW) == ""
    assert read.warning(read.expires - 1.5 * DAY_S) != ""


@pytest.mark.parametrize(("mode", "warns"), [(0o600, False), (0o640, False), (0o604, True), (0o602, True)])
def test_a_key_for_everybody(files: CertificateFiles, mode: int, warns: bool) -> None:
    files.key.chmod(mode)
    assert any("chmod o=" in warning for warning in read_certificate(files).warnings) is warns
