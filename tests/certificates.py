"""Certificates of an authority of our own, and the client's end of TLS without a socket.

Keys take a moment to make: whoever wants the same certificate gets the same one.
"""

import ssl
from contextlib import suppress
from datetime import UTC, datetime, timedelta
from functools import cache
from pathlib import Path
from typing import Final

import trustme
from cryptography.x509 import DNSName, SubjectAlternativeName, load_der_x509_certificate

from fastsmtp.config.tls import CertificateFiles, TlsSettings

NAME: Final = "mx.example.test"


@cache
def authority() -> trustme.CA:
    """Who signs everything here."""
    return trustme.CA(key_type=trustme.KeyType.ECDSA)


@cache
def certificate(*names: str, rsa: bool = False, days: float = 90, begun_days_ago: float = 1) -> trustme.LeafCert:
    """A certificate for these names that is valid for so many days from now on."""
    now = datetime.now(UTC)
    return authority().issue_cert(
        *(names or (NAME,)),
        not_before=now - timedelta(days=begun_days_ago),
        not_after=now + timedelta(days=days),
        key_type=trustme.KeyType.RSA if rsa else trustme.KeyType.ECDSA,
    )


def write(folder: Path, made: trustme.LeafCert, name: str = "tls") -> CertificateFiles:
    """The files of a certificate in a folder, the key for us only."""
    files = CertificateFiles(folder / f"{name}.pem", folder / f"{name}.key")
    files.certificate.write_bytes(b"".join(blob.bytes() for blob in made.cert_chain_pems))
    files.key.touch(mode=0o600)
    files.key.write_bytes(made.private_key_pem.bytes())
    return files


def as_settings(*files: CertificateFiles, **more: object) -> TlsSettings:
    """What the configuration says about them."""
    return TlsSettings.model_validate({"certificates": [as_toml(one) for one in files], **more})


def as_toml(files: CertificateFiles) -> dict[str, str]:
    """An item of `tls.certificates`."""
    return {"certificate": str(files.certificate), "key": str(files.key)}


def shown_names(tls: ssl.SSLObject | ssl.SSLSocket) -> set[str]:
    """The names in the certificate that a client was shown."""
    der = tls.getpeercert(binary_form=True)
    assert der is not None
    extension = load_der_x509_certificate(der).extensions.get_extension_for_class(SubjectAlternativeName)
    return set(extension.value.get_values_for_type(DNSName))


def client_context(maximum: ssl.TLSVersion = ssl.TLSVersion.TLSv1_3) -> ssl.SSLContext:
    """A client that trusts the authority, and looks whether it may."""
    context = ssl.SSLContext(ssl.PROTOCOL_TLS_CLIENT)
    authority().configure_trust(context)
    context.maximum_version = maximum
    return context


class TlsClient:
    """The client's end: what is to go over the network comes out, what came goes in.

    `has_heard_end`: the server has said close_notify.
    """

    def __init__(
        self,
        context: ssl.SSLContext | None = None,
        name: str | None = NAME,
        session: ssl.SSLSession | None = None,
    ) -> None:
        context = context or client_context()
        self._incoming, self._outgoing = ssl.MemoryBIO(), ssl.MemoryBIO()
        self.object = context.wrap_bio(self._incoming, self._outgoing, server_hostname=name, session=session)
        self.is_secured = False
        self.has_heard_end = False

    def handshake(self, received: bytes = b"") -> bytes:
        """Go on with the handshake; what to send."""
        self._incoming.write(received)
        try:
            self.object.do_handshake()
        except ssl.SSLWantReadError:
            pass
        else:
            self.is_secured = True
        return self._outgoing.read()

    def encrypt(self, data: bytes) -> bytes:
        """Records with this plain text."""
        for start in range(0, len(data), 16_384):
            self.object.write(data[start : start + 16_384])
        return self._outgoing.read()

    def decrypt(self, received: bytes) -> bytes:
        """All of the plain text in what came."""
        self._incoming.write(received)
        plain = b""
        try:
            while piece := self.object.read(65_536):
                plain += piece
            self.has_heard_end = True
        except ssl.SSLZeroReturnError:
            self.has_heard_end = True
        except ssl.SSLWantReadError:
            pass
        return plain

    def end(self) -> bytes:
        """A close_notify."""
        with suppress(ssl.SSLWantReadError):
            self.object.unwrap()
        return self._outgoing.read()
