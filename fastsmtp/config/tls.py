"""Encryption: whose certificates, and what is asked of clients."""

from dataclasses import dataclass
from pathlib import Path
from typing import Annotated, Final, Literal

from pydantic import PlainValidator, Strict, ValidationInfo

from fastsmtp.config.places import site_path
from fastsmtp.config.table import Table, default
from fastsmtp.config.units import Duration, Spelling

__all__ = ["CertificateFiles", "TlsSettings"]

_FORM: Final = 'write { certificate = "PATH", key = "PATH" }'


@dataclass(frozen=True, slots=True)
class CertificateFiles:
    """Where a certificate is, with those of its authorities behind it, and where its key is; it may be one file."""

    certificate: Path
    key: Path

    def __str__(self) -> str:
        return str(self.certificate)


def _certificate_files(value: object, info: ValidationInfo) -> CertificateFiles:
    if not isinstance(value, dict) or "certificate" not in value:
        raise ValueError(f"{value!r} names no certificate; {_FORM}")
    if unknown := value.keys() - {"certificate", "key"}:
        raise ValueError(f"unknown key {min(unknown)!r}; {_FORM}")
    certificate = site_path(value["certificate"], info)
    return CertificateFiles(certificate, site_path(value["key"], info) if "key" in value else certificate)


def _optional_path(value: object, info: ValidationInfo) -> Path | None:
    return None if value == "" else site_path(value, info)


class TlsSettings(Table):
    """Encryption. Without a certificate none is offered."""

    certificates: Annotated[
        tuple[Annotated[CertificateFiles, PlainValidator(_certificate_files)], ...],
        Strict(strict=False),
        Spelling("list of `{ certificate = path, key = path }`"),
    ] = default(
        [],
        'PEM files, as in `[{ certificate = "mx.pem", key = "mx.key" }]`: the certificate with those of its '
        "authorities behind it, and its key (by default in the same file). A client gets the one that has the name it "
        "asks for, else the first.",
    )
    minimum: Literal["1.2", "1.3"] = default(
        "1.2", "The oldest version of TLS. What is older than 1.2 nobody should speak any more (RFC 8996)."
    )
    ciphers: str = default(
        "",
        "Suites for TLS 1.2, as OpenSSL writes such a list; empty: those with forward secrecy. Those of 1.3 are fixed.",
    )
    client_certificates: Literal["no", "request"] = default(
        "no",
        '"request" asks clients for a certificate; who shows none, or one that nobody knows, is served all the same, '
        "and plugins are told.",
    )
    client_authorities: Annotated[Path | None, PlainValidator(_optional_path), Spelling("path")] = default(
        "", "PEM file of the authorities whose signature makes a client's certificate a verified one. Empty: none."
    )
    handshake_timeout: Duration = default("20s", "How long a client may take for the handshake.", gt=0)
    reload_interval: Duration = default(
        "1m",
        "How often the files are looked at; new ones are taken for new connections, and broken ones are only told of. "
        "0: never.",
        ge=0,
    )

    @property
    def is_on(self) -> bool:
        """Whether there is anything to encrypt with."""
        return bool(self.certificates)
