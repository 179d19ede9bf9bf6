"""A client is asked for a certificate, and served whatever it shows."""

import ssl
from pathlib import Path

import pytest
import trustme
from certificates import NAME, TlsClient, as_settings, authority, certificate, client_context, shown_names, write
from unit.server.tls.test_layer import BYTE_BY_BYTE, WHOLE, cut, every_version, read_all

from fastsmtp.config.tls import TlsSettings
from fastsmtp.errors import ConfigurationError
from fastsmtp.server.tls.asking import AskingContext
from fastsmtp.server.tls.certificates import read_certificates
from fastsmtp.server.tls.contexts import make_context
from fastsmtp.server.tls.facts import tls_facts
from fastsmtp.server.tls.layer import TlsLayer

STRANGER = trustme.CA(key_type=trustme.KeyType.ECDSA)


@pytest.fixture
def settings(tmp_path: Path) -> TlsSettings:
    (tmp_path / "ca.pem").write_bytes(authority().cert_pem.bytes())
    return as_settings(
        write(tmp_path, certificate()),
        client_certificates="request",
        client_authorities=str(tmp_path / "ca.pem"),
    )


def context(settings: TlsSettings) -> AskingContext:
    made = make_context(settings, read_certificates(settings))
    assert isinstance(made, AskingContext)
    return made


def connected(server: AskingContext, client: TlsClient, lengths: tuple[int, ...] = WHOLE) -> TlsLayer:
    layer = TlsLayer(server)
    answer, is_done = b"", False
    for _ in range(3):
        for piece in cut(client.handshake(answer), lengths):
            layer.receive(piece)
            is_done = layer.handshake()
        answer = layer.take_output()
    assert is_done
    client.handshake(answer)
    return layer


def with_certificate(signed_by: trustme.CA, version: ssl.TLSVersion = ssl.TLSVersion.TLSv1_3) -> ssl.SSLContext:
    made = client_context(version)
    signed_by.issue_cert("client.example", key_type=trustme.KeyType.ECDSA).configure_cert(made)
    return made


@every_version
def test_one_without(settings: TlsSettings, version: ssl.TLSVersion) -> None:
    layer = connected(context(settings), TlsClient(client_context(version)))
    facts = tls_facts(layer.object)
    assert facts.version == {771: "TLSv1.2", 772: "TLSv1.3"}[version]
    assert (facts.server_name, facts.client_certificate) == (NAME, None)
    assert facts.cipher.startswith("TLS_")


@every_version
@pytest.mark.parametrize(("signed_by", "is_verified"), [(authority(), True), (STRANGER, False)])
def test_one_with(settings: TlsSettings, version: ssl.TLSVersion, signed_by: trustme.CA, is_verified: bool) -> None:
    layer = connected(context(settings), TlsClient(with_certificate(signed_by, version)))
    shown = tls_facts(layer.object).client_certificate
    assert shown is not None
    assert shown.is_verified is is_verified
    assert shown.names == ("client.example",)
    assert "CN=" in shown.issuer or "O=" in shown.issuer
    assert len(bytes.fromhex(shown.fingerprint)) == 32


def test_nobody_is_verified_where_nobody_verifies(settings: TlsSettings) -> None:
    nobody = settings.model_copy(update={"client_authorities": None})
    shown = tls_facts(connected(context(nobody), TlsClient(with_certificate(authority()))).object).client_certificate
    assert shown is not None
    assert not shown.is_verified


@every_version
def test_nothing_is_resumed(settings: TlsSettings, version: ssl.TLSVersion) -> None:
    """Who resumes a session shows nothing."""
    server, once = context(settings), with_certificate(authority(), version)
    first = TlsClient(once)
    connected(server, first)
    again = TlsClient(once, session=first.object.session)
    layer = connected(server, again)
    assert not again.object.session_reused
    assert tls_facts(layer.object).client_certificate is not None


@every_version
@pytest.mark.parametrize("lengths", [WHOLE, BYTE_BY_BYTE], ids=["whole", "bytes"])
def test_both_directions_and_the_end(settings: TlsSettings, version: ssl.TLSVersion, lengths: tuple[int, ...]) -> None:
    client = TlsClient(with_certificate(STRANGER, version))
    layer = connected(context(settings), client, lengths)
    layer.write(b"220 ready\r\n")
    assert client.decrypt(layer.take_output()) == b"220 ready\r\n"
    plain = b""
    for piece in cut(client.encrypt(b"x" * 30_000), lengths):
        layer.receive(piece)
        plain += read_all(layer)
    assert plain == b"x" * 30_000
    layer.receive(client.encrypt(b"QUIT\r\n") + client.end())
    assert layer.read() == b"QUIT\r\n"
    assert layer.read() == b""
    layer.end()
    client.decrypt(layer.take_output())
    assert client.has_heard_end


def test_errors_are_those_of_ssl(settings: TlsSettings) -> None:
    layer = TlsLayer(context(settings))
    layer.receive(b"EHLO client.example\r\n")
    with pytest.raises(ssl.SSLError) as caught:
        layer.handshake()
    assert caught.value.reason == "WRONG_VERSION_NUMBER"
    layer.end()

    client = TlsClient()
    layer = connected(context(settings), client)
    record = bytearray(client.encrypt(b"NOOP\r\n"))
    record[-1] ^= 1
    layer.receive(bytes(record))
    with pytest.raises(ssl.SSLError):
        layer.read()
    with pytest.raises(ssl.SSLError, match="ALERT_BAD_RECORD_MAC"):
        client.decrypt(layer.take_output())


def test_a_name_chooses_and_any_name_will_do(settings: TlsSettings, tmp_path: Path) -> None:
    both = settings.model_copy(
        update={"certificates": (*settings.certificates, write(tmp_path, certificate("*.example.org"), "wild"))}
    )
    careless = client_context()
    careless.check_hostname = False
    for name, asked in (("mx.example.org", "mx.example.org"), ("nobody.example", "nobody.example"), (None, "")):
        client = TlsClient(careless, name)
        layer = connected(context(both), client)
        assert tls_facts(layer.object).server_name == asked
        assert shown_names(client.object) == {"*.example.org" if asked == "mx.example.org" else NAME}


def test_a_name_that_is_not_ascii(settings: TlsSettings) -> None:
    layer = TlsLayer(context(settings))
    layer.receive(TlsClient().handshake().replace(b"mx.example.test", b"mx.ex\xffmple.test"))
    assert not layer.handshake()
    assert layer.take_output()


def test_no_other_end(settings: TlsSettings) -> None:
    with pytest.raises(ValueError, match="server"):
        context(settings).wrap_bio(ssl.MemoryBIO(), ssl.MemoryBIO())


def test_what_openssl_does_not_take(settings: TlsSettings, tmp_path: Path) -> None:
    (tmp_path / "ca.pem").write_text("nobody")
    with pytest.raises(ConfigurationError, match=r"tls\.client_authorities: .*ca\.pem has no certificate"):
        context(settings)
