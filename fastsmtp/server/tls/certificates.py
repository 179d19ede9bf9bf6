"""Reads certificates and their keys, and says in a sentence what is wrong with them before OpenSSL does in a number."""

import re
import stat
from collections.abc import Iterator
from dataclasses import dataclass
from datetime import UTC, datetime
from pathlib import Path
from typing import Final

from cryptography import x509
from cryptography.exceptions import UnsupportedAlgorithm
from cryptography.hazmat.primitives.asymmetric.types import PrivateKeyTypes
from cryptography.hazmat.primitives.serialization import Encoding, PublicFormat, load_pem_private_key
from cryptography.x509.oid import ExtensionOID, NameOID

from fastsmtp.config.tls import CertificateFiles, TlsSettings
from fastsmtp.errors import ConfigurationError

__all__ = ["Certificate", "read_certificate", "read_certificates"]

_DAY_S: Final = 86_400
_SOON_S: Final = 14 * _DAY_S
_SOON_PART: Final = 3
"""A certificate that lives for a week is not old on its first day: a third of its time is soon enough."""

_is_name = re.compile(r"(?:\*\.)?[a-z0-9_-]+(?:\.[a-z0-9_-]+)*\Z").match


@dataclass(frozen=True, slots=True)
class Certificate:
    """One certificate whose key fits. `names` are DNS names in lower case, `begins` and `expires` seconds since 1970.

    `chain` is how many certificates the file has, its own included; `warnings` are sentences about the files.
    """

    files: CertificateFiles
    names: frozenset[str]
    kind: str
    begins: float
    expires: float
    chain: int
    warnings: tuple[str, ...] = ()

    def __str__(self) -> str:
        others = f", {self.chain - 1} of authorities" if self.chain > 1 else ""
        names = ", ".join(sorted(self.names)) or "no name"
        return f"{self.files} for {names}: {self.kind}, until {_day(self.expires)}{others}"

    def ailment(self, now: float) -> str:
        """Why nobody who looks will trust it at `now`; empty when all is well."""
        if now >= self.expires:
            return f"{self.files} has expired on {_day(self.expires)}; put a new one there"
        if now < self.begins:
            return f"{self.files} is valid from {_day(self.begins)} on; put one there that is valid, or set the clock"
        return ""

    def warning(self, now: float) -> str:
        """That it has not long to live at `now`; empty when there is time."""
        soon = min(_SOON_S, (self.expires - self.begins) / _SOON_PART)
        if self.ailment(now) or now < self.expires - soon:
            return ""
        return f"{self.files} expires on {_day(self.expires)}; see that it is renewed"

    def fits(self, name: str) -> bool:
        """Whether it is for this host name (RFC 6125 section 6.4)."""
        return name in self.names or f"*.{name.partition('.')[2]}" in self.names


def read_certificates(settings: TlsSettings) -> list[Certificate]:
    """All of them. Raises ConfigurationError with every problem, each with its key."""
    problems: list[str] = []
    found: list[Certificate] = []
    for number, files in enumerate(settings.certificates):
        try:
            found.append(read_certificate(files))
        except ConfigurationError as error:
            problems += [f"tls.certificates[{number}]: {problem}" for problem in error.problems]
    for number, certificate in enumerate(found):
        twins = (one for one in found[:number] if (one.names, one.kind) == (certificate.names, certificate.kind))
        problems += [
            f"tls.certificates[{number}]: {certificate.files} is for the same names as {twin.files}, and both have an "
            f"{twin.kind} key; leave one out"
            for twin in twins
        ]
    if problems:
        raise ConfigurationError(problems)
    return found


def read_certificate(files: CertificateFiles) -> Certificate:
    """One of them. Raises ConfigurationError."""
    chain = _chain(files.certificate)
    key = _key(files.key)
    own, is_ours = chain[0], [_spki(certificate.public_key()) == _spki(key.public_key()) for certificate in chain]
    if not is_ours[0]:
        raise ConfigurationError(_mismatch(files, in_chain=any(is_ours)))
    return Certificate(
        files,
        frozenset(_names(own)),
        _kind(key),
        own.not_valid_before_utc.timestamp(),
        own.not_valid_after_utc.timestamp(),
        len(chain),
        tuple(_warnings(files)),
    )


def _read(path: Path) -> bytes:
    try:
        return path.read_bytes()
    except OSError as error:
        hint = "; the user who runs fastsmtp has to be able to read it" if isinstance(error, PermissionError) else ""
        raise ConfigurationError(f"{path} cannot be read: {error.strerror}{hint}") from None


def _chain(path: Path) -> list[x509.Certificate]:
    try:
        return x509.load_pem_x509_certificates(_read(path))
    except ValueError:
        raise ConfigurationError(
            f"{path} has no certificate that can be read; a PEM file has one between lines with BEGIN CERTIFICATE and "
            "END CERTIFICATE"
        ) from None


def _key(path: Path) -> PrivateKeyTypes:
    data = _read(path)
    try:
        return load_pem_private_key(data, None)
    except TypeError:
        raise ConfigurationError(
            f"{path} is locked with a passphrase, which nobody is there to type; `openssl pkey -in {path} -out NEW` "
            "writes it without one"
        ) from None
    except (ValueError, UnsupportedAlgorithm):
        raise ConfigurationError(
            f"{path} has no private key that can be read; a PEM file has one between lines with BEGIN PRIVATE KEY and "
            "END PRIVATE KEY"
        ) from None


def _mismatch(files: CertificateFiles, *, in_chain: bool) -> str:
    if in_chain:
        return (
            f"the key {files.key} belongs to a certificate of {files.certificate} that is not the first one; put that "
            "first, and those of the authorities behind it"
        )
    return (
        f"the key {files.key} does not belong to the certificate {files.certificate}; name two that were made together"
    )


def _spki(key: object) -> bytes:
    """What makes two public keys the same."""
    public_bytes = getattr(key, "public_bytes")  # noqa: B009 - the union of all types of keys is no type of its own
    encoded: bytes = public_bytes(Encoding.DER, PublicFormat.SubjectPublicKeyInfo)
    return encoded


def _names(certificate: x509.Certificate) -> Iterator[str]:
    try:
        extension = certificate.extensions.get_extension_for_oid(ExtensionOID.SUBJECT_ALTERNATIVE_NAME)
    except (x509.ExtensionNotFound, ValueError):
        names = [str(attribute.value) for attribute in certificate.subject.get_attributes_for_oid(NameOID.COMMON_NAME)]
    else:
        value = extension.value
        names = value.get_values_for_type(x509.DNSName) if isinstance(value, x509.SubjectAlternativeName) else []
    yield from (name.lower() for name in names if _is_name(name.lower()))


def _kind(key: PrivateKeyTypes) -> str:
    """`RSA`, `EC`, `Ed25519` and the like, out of the name of the class."""
    return type(key).__name__.removesuffix("PrivateKey").removeprefix("_")


def _warnings(files: CertificateFiles) -> Iterator[str]:
    if stat.S_IMODE(files.key.stat().st_mode) & (stat.S_IRWXO & ~stat.S_IXOTH):
        yield f"the key {files.key} can be read or written by everybody on this machine; chmod o= {files.key}"


def _day(seconds: float) -> str:
    return datetime.fromtimestamp(seconds, UTC).strftime("%Y-%m-%d")
