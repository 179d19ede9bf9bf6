"""What a handshake agreed on, in the words of the standards."""

import ssl
from collections.abc import Mapping
from functools import cache
from typing import Final

from fastsmtp.server.tls.layer import Endpoint
from fastsmtp.smtp.tls import TlsFacts

__all__ = ["iana_name", "tls_facts"]

# OpenSSL has names of its own for the suites of TLS 1.2. Those of 1.3 are IANA's.
_KEY_EXCHANGES: Final[Mapping[str, str]] = {
    "ECDHE-ECDSA-": "TLS_ECDHE_ECDSA_WITH_",
    "ECDHE-RSA-": "TLS_ECDHE_RSA_WITH_",
    "DHE-RSA-": "TLS_DHE_RSA_WITH_",
}
_CIPHERS: Final[Mapping[str, str]] = {
    "AES128-GCM-SHA256": "AES_128_GCM_SHA256",
    "AES256-GCM-SHA384": "AES_256_GCM_SHA384",
    "CHACHA20-POLY1305": "CHACHA20_POLY1305_SHA256",
    "AES128-SHA256": "AES_128_CBC_SHA256",
    "AES256-SHA256": "AES_256_CBC_SHA256",
    "AES256-SHA384": "AES_256_CBC_SHA384",
    "AES128-SHA": "AES_128_CBC_SHA",
    "AES256-SHA": "AES_256_CBC_SHA",
}


def tls_facts(tls: Endpoint) -> TlsFacts:
    """The facts of a connection whose handshake is complete."""
    agreed = tls.cipher()
    if agreed is None:
        raise RuntimeError("the handshake is not complete")
    name, _, bits = agreed
    shown = getattr(tls, "client_certificate", None)  # only who asks has one
    return TlsFacts(
        version=tls.version() or "",
        cipher=iana_name(name),
        bits=bits,
        server_name=getattr(tls, "asked_name", ""),
        client_certificate=shown() if shown is not None else None,
    )


def iana_name(name: str) -> str:
    """IANA's name for a suite that OpenSSL calls `name`, or its number as in RFC 8314 section 4.3."""
    if name.startswith("TLS_"):
        return name
    for ours, theirs in _KEY_EXCHANGES.items():
        cipher = _CIPHERS.get(name.removeprefix(ours)) if name.startswith(ours) else None
        if cipher is not None:
            return theirs + cipher
    return f"0x{_numbers().get(name, 0) & 0xFFFF:04X}"


@cache
def _numbers() -> dict[str, int]:
    """The numbers of all suites that OpenSSL knows, by its own names."""
    everything = ssl.SSLContext(ssl.PROTOCOL_TLS_SERVER)
    everything.set_ciphers("ALL:COMPLEMENTOFALL")
    return {cipher["name"]: cipher["id"] for cipher in everything.get_ciphers()}
