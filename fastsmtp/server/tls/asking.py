"""TLS that asks the client for a certificate, and takes whatever it shows.

The module `ssl` can only insist: a certificate that it cannot verify ends the handshake, and there is no way to have a
say in that. A sender would be refused for a certificate that it need not have. pyOpenSSL lets us decide. It is slower
and brings an OpenSSL of its own, so it is used for nothing else (docs/decisions/0011-tls.md).
"""

import ssl
from collections.abc import Callable, Sequence
from typing import Final, NoReturn, TypeVar

from cryptography import x509
from OpenSSL import SSL

from fastsmtp.config.tls import TlsSettings
from fastsmtp.errors import ConfigurationError
from fastsmtp.server.tls.certificates import Certificate
from fastsmtp.server.tls.layer import PIECE_BYTES
from fastsmtp.server.tls.names import ByName, host_name
from fastsmtp.smtp.tls import ClientCertificate

__all__ = ["AskingContext", "AskingObject"]

_VERSIONS: Final = {"1.2": SSL.TLS1_2_VERSION, "1.3": SSL.TLS1_3_VERSION}

T = TypeVar("T")


class AskingContext:
    """The context of one listener, in the shape of an `ssl.SSLContext`."""

    def __init__(self, settings: TlsSettings, certificates: Sequence[Certificate], ciphers: str) -> None:
        """Raises ConfigurationError for what OpenSSL does not take."""
        contexts = ByName(certificates, lambda group: _context(settings, group, ciphers))
        for context in contexts.all:
            context.set_tlsext_servername_callback(lambda connection: _choose(contexts, connection))
        self._context = contexts.first

    def wrap_bio(self, incoming: ssl.MemoryBIO, outgoing: ssl.MemoryBIO, server_side: bool = False) -> "AskingObject":
        """A connection between two buffers, the server's end of it."""
        if not server_side:
            raise ValueError("there is only a server's side")
        return AskingObject(self._context, incoming, outgoing)


class AskingObject:
    """In the shape of an `ssl.SSLObject`, errors included; `asked_name` is by which name the client asked for us."""

    def __init__(self, context: SSL.Context, incoming: ssl.MemoryBIO, outgoing: ssl.MemoryBIO) -> None:
        self._incoming, self._outgoing = incoming, outgoing
        self._connection = SSL.Connection(context, None)
        self._connection.set_accept_state()
        self._connection.set_app_data(self)
        self._may_have_input = False
        self.asked_name = ""
        self.is_verified = True  # until somebody objects

    def do_handshake(self) -> None:
        """Go on with the handshake."""
        self._do(self._connection.do_handshake)

    def read(self, len: int = PIECE_BYTES) -> bytes:  # noqa: A002 - it is called so where this shape comes from
        """Plain text; empty at a close_notify."""
        try:
            return self._do(lambda: self._connection.recv(len))
        except ssl.SSLZeroReturnError:
            return b""

    def write(self, data: bytes | bytearray | memoryview) -> int:
        """Encrypt."""
        return self._do(lambda: self._connection.send(bytes(data)))

    def unwrap(self) -> None:
        """Say close_notify."""
        if not self._do(self._connection.shutdown):
            raise ssl.SSLWantReadError

    def pending(self) -> int:
        """Whether there may be something to read."""
        return int(self._may_have_input)

    def version(self) -> str | None:
        """As `ssl` has it: `TLSv1.3`."""
        return self._connection.get_protocol_version_name()

    def cipher(self) -> tuple[str, str, int] | None:
        """Name, version, bits of the key."""
        name, bits = self._connection.get_cipher_name(), self._connection.get_cipher_bits()
        return None if name is None or bits is None else (name, self.version() or "", bits)

    def client_certificate(self) -> ClientCertificate | None:
        """What the client has shown, if anything."""
        shown = self._connection.get_peer_certificate()
        if shown is None:
            return None
        fingerprint = shown.digest("sha256").decode("ascii").replace(":", "").lower()
        try:
            read = shown.to_cryptography()
            names = _dns_names(read)
            return ClientCertificate(
                read.subject.rfc4514_string(), read.issuer.rfc4514_string(), names, fingerprint, self.is_verified
            )
        except ValueError:  # it is of the client's own making, after all
            return ClientCertificate("", "", (), fingerprint, is_verified=False)

    def _do(self, step: Callable[[], T]) -> T:
        """Do it between the buffers of `ssl` and those of pyOpenSSL."""
        if records := self._incoming.read():
            self._connection.bio_write(records)
            self._may_have_input = True
        try:
            return step()
        except SSL.WantReadError:
            self._may_have_input = False
            raise ssl.SSLWantReadError from None
        except SSL.ZeroReturnError:
            raise ssl.SSLZeroReturnError from None
        except SSL.Error as error:
            _raise(error)
        finally:
            self._drain()

    def _drain(self) -> None:
        try:
            while records := self._connection.bio_read(2 * PIECE_BYTES):
                self._outgoing.write(records)
        except SSL.WantReadError:
            pass  # that was all


def _raise(error: SSL.Error) -> NoReturn:
    """As `ssl` would have said it."""
    entries = error.args[0] if error.args and isinstance(error.args[0], list) else []
    reason = entries[-1][2] if entries else "unknown"
    raised = ssl.SSLError(1, reason)
    raised.reason = reason.upper().replace(" ", "_")
    raise raised from None


def _context(settings: TlsSettings, certificates: Sequence[Certificate], ciphers: str) -> SSL.Context:
    context = SSL.Context(SSL.TLS_SERVER_METHOD)
    context.set_min_proto_version(_VERSIONS[settings.minimum])
    context.set_options(SSL.OP_NO_RENEGOTIATION | SSL.OP_NO_COMPRESSION | SSL.OP_CIPHER_SERVER_PREFERENCE)
    # No session is resumed: who resumes one shows nothing, and what it showed once may be believed no longer.
    context.set_options(SSL.OP_NO_TICKET)
    context.set_session_cache_mode(SSL.SESS_CACHE_OFF)
    try:
        context.set_cipher_list(ciphers.encode())
        for certificate in certificates:
            context.use_certificate_chain_file(str(certificate.files.certificate))
            context.use_privatekey_file(str(certificate.files.key))
            context.check_privatekey()
    except SSL.Error as error:
        raise ConfigurationError(f"tls: OpenSSL does not take what is written there: {error.args[0]}") from None
    if settings.client_authorities is not None:
        try:
            context.load_verify_locations(str(settings.client_authorities))
        except SSL.Error:
            raise ConfigurationError(
                f"tls.client_authorities: {settings.client_authorities} has no certificate that can be read; a PEM "
                "file has one between lines with BEGIN CERTIFICATE and END CERTIFICATE"
            ) from None
    context.set_verify(SSL.VERIFY_PEER, _object)
    return context


def _object(connection: SSL.Connection, _certificate: object, _error: int, _depth: int, is_good: int) -> bool:
    """What OpenSSL thinks of a certificate of the client's chain: to be remembered, and no reason to end anything."""
    if not is_good:
        owner = connection.get_app_data()
        owner.is_verified = False
    return True


def _choose(contexts: ByName[SSL.Context], connection: SSL.Connection) -> None:
    name = host_name((connection.get_servername() or b"").decode("latin-1"))
    connection.get_app_data().asked_name = name
    context = contexts.get(name)
    if context is not None:
        connection.set_context(context)


def _dns_names(certificate: x509.Certificate) -> tuple[str, ...]:
    try:
        extension = certificate.extensions.get_extension_for_class(x509.SubjectAlternativeName)
    except x509.ExtensionNotFound:
        return ()
    return tuple(extension.value.get_values_for_type(x509.DNSName))
