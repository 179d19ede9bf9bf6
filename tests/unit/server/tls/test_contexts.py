"""Which certificate a client sees, what is spoken with it, and what is not."""

import ssl
import sys
from pathlib import Path

import pytest
from certificates import TlsClient, as_settings, certificate, client_context, shown_names, write

from fastsmtp.config.tls import TlsSettings
from fastsmtp.errors import ConfigurationError
from fastsmtp.server.tls.certificates import read_certificates
from fastsmtp.server.tls.contexts import ignore_bad_names, make_context
from fastsmtp.server.tls.layer import TlsLayer, TlsObject


def context(settings: TlsSettings) -> ssl.SSLContext:
    made = make_context(settings, read_certificates(settings))
    assert isinstance(made, ssl.SSLContext)
    return made


def shake(server: ssl.SSLContext, client: TlsClient) -> TlsLayer:
    """A handshake to its end. Raises ssl.SSLError like either side."""
    layer = TlsLayer(server)
    answer = b""
    while not client.is_secured:
        layer.receive(client.handshake(answer))
        layer.handshake()
        answer = layer.take_output()
    return layer


@pytest.fixture
def three(tmp_path: Path) -> ssl.SSLContext:
    return context(
        as_settings(
            write(tmp_path, certificate("mx.example.test", "mail.example.test"), "first"),
            write(tmp_path, certificate("*.example.org"), "wild"),
            write(tmp_path, certificate("mx.example.com", "mx.example.test"), "third"),
        )
    )


@pytest.mark.parametrize(
    ("asked", "shown"),
    [
        ("mx.example.test", "mail.example.test"),  # the first that has it
        ("MAIL.example.test", "mail.example.test"),
        ("mx.example.com", "mx.example.com"),
        ("anything.example.org", "*.example.org"),
        ("a.b.example.org", "mail.example.test"),  # a wildcard is one label
        ("example.org", "mail.example.test"),
        ("nobody.example", "mail.example.test"),
        ("-_.example", "mail.example.test"),
        (None, "mail.example.test"),
    ],
)
def test_the_name_chooses_and_the_first_is_for_all_others(three: ssl.SSLContext, asked: str | None, shown: str) -> None:
    trusting = client_context()
    trusting.check_hostname = False
    trusting.verify_mode = ssl.CERT_NONE
    client = TlsClient(trusting, asked)
    layer = shake(three, client)
    assert shown in shown_names(client.object)
    assert isinstance(layer.object, TlsObject)
    assert layer.object.asked_name == (asked or "").lower()


def test_an_old_client_gets_rsa_and_a_new_one_ec(tmp_path: Path) -> None:
    both = context(as_settings(write(tmp_path, certificate(), "ec"), write(tmp_path, certificate(rsa=True), "rsa")))
    for ciphers, expected in (("ECDHE+ECDSA", "ECDSA"), ("ECDHE+aRSA", "RSA")):
        picky = client_context(ssl.TLSVersion.TLSv1_2)
        picky.set_ciphers(ciphers)
        agreed = shake(both, TlsClient(picky)).object.cipher()
        assert agreed is not None
        assert expected in agreed[0]


def test_a_listener_does_not_take_the_ticket_of_another(tmp_path: Path) -> None:
    settings = as_settings(write(tmp_path, certificate()))
    one, other = context(settings), context(settings)
    once = client_context(ssl.TLSVersion.TLSv1_2)
    first = TlsClient(once)
    shake(one, first)
    for server, is_resumed in ((one, True), (other, False)):
        again = TlsClient(once, session=first.object.session)
        shake(server, again)
        assert again.object.session_reused is is_resumed


@pytest.mark.parametrize("minimum", ["1.2", "1.3"])
def test_the_oldest_version(tmp_path: Path, minimum: str) -> None:
    server = context(as_settings(write(tmp_path, certificate()), minimum=minimum))
    if minimum == "1.2":
        assert shake(server, TlsClient(client_context(ssl.TLSVersion.TLSv1_2))).object.version() == "TLSv1.2"
    else:
        with pytest.raises(ssl.SSLError, match="UNSUPPORTED_PROTOCOL"):
            shake(server, TlsClient(client_context(ssl.TLSVersion.TLSv1_2)))
    assert shake(server, TlsClient()).object.version() == "TLSv1.3"


def test_no_suite_without_forward_secrecy(tmp_path: Path) -> None:
    names = [cipher["name"] for cipher in context(as_settings(write(tmp_path, certificate()))).get_ciphers()]
    assert all(name.startswith(("TLS_", "ECDHE-")) for name in names)


def test_suites_of_the_operator(tmp_path: Path) -> None:
    files = write(tmp_path, certificate())
    names = {cipher["name"] for cipher in context(as_settings(files, ciphers="ECDHE+AES128:!SHA256")).get_ciphers()}
    assert "ECDHE-ECDSA-AES128-GCM-SHA256" in names
    assert "ECDHE-ECDSA-CHACHA20-POLY1305" not in names
    with pytest.raises(ConfigurationError, match=r"tls\.ciphers: 'ROT13' names no suite"):
        context(as_settings(files, ciphers="ROT13"))


def test_what_openssl_does_not_take(tmp_path: Path) -> None:
    files = write(tmp_path, certificate())
    read = read_certificates(as_settings(files))
    files.key.write_bytes(certificate("other.example.test").private_key_pem.bytes())  # behind our back
    with pytest.raises(ConfigurationError, match=r"OpenSSL does not take .*tls\.pem: KEY_VALUES_MISMATCH"):
        make_context(as_settings(files), read)


def test_a_name_that_is_not_ascii_fails_without_a_traceback(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    seen: list[object] = []
    monkeypatch.setattr(sys, "unraisablehook", seen.append)
    server = context(as_settings(write(tmp_path, certificate())))
    hello = TlsClient().handshake().replace(b"mx.example.test", b"mx.ex\xffmple.test")
    for is_quiet in (False, True):
        if is_quiet:
            ignore_bad_names()
        layer = TlsLayer(server)
        layer.receive(hello)
        with pytest.raises(ssl.SSLError):
            layer.handshake()
        assert len(seen) == 1  # of the first time
    sys.unraisablehook(unraisable := type("", (), {"exc_value": ValueError(), "object": b"x"})())
    assert seen[1] is unraisable
