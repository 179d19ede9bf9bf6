"""Contexts for OpenSSL: what is spoken, and which certificate a client gets to see."""

import ssl
import sys
from collections.abc import Mapping, Sequence
from typing import TYPE_CHECKING, Final

from fastsmtp.config.tls import TlsSettings
from fastsmtp.errors import ConfigurationError
from fastsmtp.server.tls.layer import Context, TlsObject
from fastsmtp.server.tls.names import ByName, host_name

if TYPE_CHECKING:
    from _typeshed import Unused

    from fastsmtp.server.tls.certificates import Certificate

__all__ = ["DEFAULT_CIPHERS", "ignore_bad_names", "make_context"]

DEFAULT_CIPHERS: Final = "@SECLEVEL=2:ECDHE+AESGCM:ECDHE+CHACHA20:ECDHE+AES:!aNULL:!SHA1:!AESCCM"
"""For TLS 1.2, all with forward secrecy. CBC stands last: it is worse than GCM, and better than the plain text to which
a sender falls back who has nothing else."""

_VERSIONS: Final[Mapping[str, ssl.TLSVersion]] = {"1.2": ssl.TLSVersion.TLSv1_2, "1.3": ssl.TLSVersion.TLSv1_3}


def make_context(settings: TlsSettings, certificates: Sequence["Certificate"]) -> Context:
    """The context of one listener; others do not share it, nor its tickets. `certificates` are those of `settings`.

    Raises ConfigurationError for what OpenSSL does not take.
    """
    contexts = ByName(certificates, lambda group: _context(settings, group))
    if settings.client_certificates == "request":
        from fastsmtp.server.tls.asking import AskingContext

        return AskingContext(settings, certificates, settings.ciphers or DEFAULT_CIPHERS)
    contexts.first.sni_callback = _Chooser(contexts)
    return contexts.first


class _Chooser:
    """Gives a client the certificate for the name that it asks for (RFC 6066 section 3)."""

    def __init__(self, contexts: ByName[ssl.SSLContext]) -> None:
        self._contexts = contexts

    def __call__(self, tls: ssl.SSLObject, asked: str | None, _context: "Unused") -> None:
        # A name that nobody can have, or none of ours, gets the first certificate: most senders do not look at it.
        name = host_name(asked or "")
        if isinstance(tls, TlsObject):
            tls.asked_name = name
        context = self._contexts.get(name)
        if context is not None:
            tls.context = context


def _context(settings: TlsSettings, certificates: Sequence["Certificate"]) -> ssl.SSLContext:
    context = ssl.SSLContext(ssl.PROTOCOL_TLS_SERVER)
    context.sslobject_class = TlsObject
    context.minimum_version = _VERSIONS[settings.minimum]
    # Nobody needs a second handshake, and it is cheap to ask for (CVE-2011-1473). Compression is off in Python anyway.
    context.options |= ssl.OP_NO_RENEGOTIATION | ssl.OP_NO_COMPRESSION
    # A sender who comes again has use for one, and each costs a tenth of the handshake (docs/performance.md).
    context.num_tickets = 1
    try:
        context.set_ciphers(settings.ciphers or DEFAULT_CIPHERS)
    except ssl.SSLError:
        raise ConfigurationError(
            f"tls.ciphers: {settings.ciphers!r} names no suite that OpenSSL has; `openssl ciphers -v LIST` shows what "
            "a list stands for, and an empty one takes the usual"
        ) from None
    for certificate in certificates:
        files = certificate.files
        try:
            context.load_cert_chain(files.certificate, files.key)
        except (ssl.SSLError, OSError) as error:
            reason = getattr(error, "reason", None) or error.strerror
            raise ConfigurationError(f"tls.certificates: OpenSSL does not take {files}: {reason}") from None
    return context


def ignore_bad_names() -> None:
    """Keep the module `ssl` from printing a traceback for every client that asks for a name that is not ASCII.

    It refuses such a handshake, which is counted like any other; it offers no other way to be quiet about it.
    """
    before = sys.unraisablehook

    def hook(unraisable: "sys.UnraisableHookArgs") -> None:
        is_name = isinstance(unraisable.exc_value, UnicodeDecodeError) and isinstance(unraisable.object, bytes)
        if not is_name:
            before(unraisable)

    sys.unraisablehook = hook
