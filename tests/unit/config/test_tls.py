from pathlib import Path

import pytest
from pydantic import ValidationError

from fastsmtp.config.tls import CertificateFiles, TlsSettings

BASE = {"base": Path("/etc/fastsmtp")}


def test_without_a_certificate_there_is_none() -> None:
    assert not TlsSettings().is_on
    assert TlsSettings().client_authorities is None


def test_paths_are_relative_to_the_file() -> None:
    settings = TlsSettings.model_validate(
        {
            "certificates": [{"certificate": "tls.pem", "key": "/srv/tls.key"}, {"certificate": "both.pem"}],
            "client_authorities": "ca.pem",
        },
        context=BASE,
    )
    assert settings.is_on
    assert settings.certificates == (
        CertificateFiles(Path("/etc/fastsmtp/tls.pem"), Path("/srv/tls.key")),
        CertificateFiles(Path("/etc/fastsmtp/both.pem"), Path("/etc/fastsmtp/both.pem")),
    )
    assert settings.client_authorities == Path("/etc/fastsmtp/ca.pem")


@pytest.mark.parametrize(
    ("item", "sentence"),
    [
        ("tls.pem", "'tls.pem' names no certificate; write { certificate = "),
        ({"key": "tls.key"}, "names no certificate"),
        ({"certificate": "a", "kay": "b"}, "unknown key 'kay'"),
        ({"certificate": 5}, "5 is not a path"),
    ],
)
def test_what_is_no_certificate(item: object, sentence: str) -> None:
    with pytest.raises(ValidationError) as caught:
        TlsSettings.model_validate({"certificates": [item]}, context=BASE)
    [fault] = caught.value.errors()
    assert fault["loc"] == ("certificates", 0)
    assert sentence in fault["msg"]


def test_no_version_that_nobody_should_speak() -> None:
    with pytest.raises(ValidationError):
        TlsSettings(minimum="1.1")  # type: ignore[arg-type] # that is the test
