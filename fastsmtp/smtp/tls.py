"""What is known of the encryption of a connection: facts, which the edge found out and nobody here can check."""

from dataclasses import dataclass

__all__ = ["ClientCertificate", "TlsFacts"]


@dataclass(frozen=True, slots=True)
class ClientCertificate:
    """What a client said that it is. Only where `is_verified` has an authority of the configuration signed that.

    `subject` and `issuer` are as in RFC 4514, `names` those of the extension for them (DNS names), `fingerprint` is the
    SHA-256 of the whole certificate, in lower-case hexadecimal.
    """

    subject: str
    issuer: str
    names: tuple[str, ...]
    fingerprint: str
    is_verified: bool


@dataclass(frozen=True, slots=True)
class TlsFacts:
    """How a connection is encrypted: `version` as in "TLSv1.3", `cipher` as IANA names it, the `bits` of its key.

    `server_name` is the name by which the client asked for us (SNI), empty when it gave none.
    """

    version: str
    cipher: str
    bits: int
    server_name: str = ""
    client_certificate: ClientCertificate | None = None
