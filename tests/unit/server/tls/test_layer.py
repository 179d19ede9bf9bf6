"""The layer against OpenSSL's own client: in whatever portions the records come, the plain text is the same."""

import ssl
from collections.abc import Iterator, Sequence
from functools import cache
from pathlib import Path
from tempfile import TemporaryDirectory

import pytest
from certificates import TlsClient, as_settings, certificate, client_context, write
from hypothesis import given, settings
from hypothesis import strategies as st

from fastsmtp.server.tls.certificates import read_certificates
from fastsmtp.server.tls.contexts import make_context
from fastsmtp.server.tls.layer import PIECE_BYTES, TlsLayer

VERSIONS = [ssl.TLSVersion.TLSv1_2, ssl.TLSVersion.TLSv1_3]
every_version = pytest.mark.parametrize("version", VERSIONS, ids=str)
WHOLE = (1 << 30,)
BYTE_BY_BYTE: Sequence[int] = ()


@cache
def server_context() -> ssl.SSLContext:
    with TemporaryDirectory() as folder:
        chosen = as_settings(write(Path(folder), certificate()))
        context = make_context(chosen, read_certificates(chosen))
    assert isinstance(context, ssl.SSLContext)
    return context


def cut(data: bytes, lengths: Sequence[int]) -> Iterator[bytes]:
    """The data in pieces of these lengths, and the rest of it in single bytes."""
    position = 0
    for length in lengths:
        if position < len(data):
            yield data[position : position + length]
        position += length
    yield from (data[at : at + 1] for at in range(position, len(data)))


def read_all(layer: TlsLayer) -> bytes:
    """What can be read; nothing that is longer than a piece may be."""
    plain = b""
    while piece := layer.read():
        assert len(piece) <= PIECE_BYTES
        plain += piece
    return plain


def connected(version: ssl.TLSVersion = VERSIONS[1], lengths: Sequence[int] = WHOLE) -> tuple[TlsLayer, TlsClient]:
    """Both ends after the handshake, whose records the server was given in pieces of these lengths."""
    layer, client = TlsLayer(server_context()), TlsClient(client_context(version))
    answer, is_done = b"", False
    for _ in range(3):  # three flights of the client are enough for any version
        for piece in cut(client.handshake(answer), lengths):
            layer.receive(piece)
            is_done = layer.handshake()
        answer = layer.take_output()
        if is_done and client.is_secured:
            break
    assert is_done
    client.handshake(answer)
    return layer, client


@every_version
@pytest.mark.parametrize("lengths", [WHOLE, BYTE_BY_BYTE], ids=["whole", "bytes"])
def test_both_directions(version: ssl.TLSVersion, lengths: Sequence[int]) -> None:
    layer, client = connected(version, lengths)
    assert layer.object.version() == str(version.name).replace("_", ".").replace("TLSv", "TLSv")
    layer.write(b"220 ready\r\n")
    assert client.decrypt(layer.take_output()) == b"220 ready\r\n"
    plain = b""
    for piece in cut(client.encrypt(b"EHLO client.example\r\n"), lengths):
        layer.receive(piece)
        plain += read_all(layer)
    assert plain == b"EHLO client.example\r\n"
    assert layer.read() is None
    assert layer.take_output() == b""


@settings(deadline=None, max_examples=60)
@given(
    st.sampled_from(VERSIONS),
    st.lists(st.binary(min_size=1, max_size=40_000), max_size=4),
    st.lists(st.integers(1, 70_000), max_size=12),
    st.booleans(),
)
def test_any_portions(version: ssl.TLSVersion, sent: list[bytes], lengths: list[int], reads_late: bool) -> None:
    layer, client = connected(version)
    records = b"".join(map(client.encrypt, sent))
    plain = b""
    for piece in cut(records, [*lengths, 1 << 30]):
        layer.receive(piece)
        if not reads_late:
            plain += read_all(layer)
    assert plain + read_all(layer) == b"".join(sent)
    assert not layer.has_input


@settings(deadline=None, max_examples=30)
@given(st.sampled_from(VERSIONS), st.lists(st.integers(1, 400), max_size=8))
def test_a_handshake_in_any_portions(version: ssl.TLSVersion, lengths: list[int]) -> None:
    layer, client = connected(version, [*lengths, 1 << 30])
    layer.receive(client.encrypt(b"NOOP\r\n"))
    assert read_all(layer) == b"NOOP\r\n"


@every_version
def test_every_split_of_a_record(version: ssl.TLSVersion) -> None:
    layer, client = connected(version)
    for at in range(1, len(client.encrypt(b"NOOP\r\n"))):
        layer, client = connected(version) if at == 1 else (layer, client)
        record = client.encrypt(b"NOOP\r\n")
        layer.receive(record[:at])
        assert layer.read() is None
        layer.receive(record[at:])
        assert read_all(layer) == b"NOOP\r\n"


def test_what_comes_with_the_end_of_the_handshake_is_not_lost() -> None:
    layer, client = TlsLayer(server_context()), TlsClient()
    layer.receive(client.handshake())
    assert not layer.handshake()
    layer.receive(client.handshake(layer.take_output()) + client.encrypt(b"EHLO client.example\r\n"))
    assert layer.handshake()
    assert read_all(layer) == b"EHLO client.example\r\n"


def test_a_flood_is_decrypted_only_as_it_is_read() -> None:
    """What OpenSSL is given at once is bounded, whatever the network gave."""
    layer, client = connected()
    layer.receive(client.encrypt(b"x" * 1_000_000))
    largest = 0
    while layer.read():
        largest = max(largest, layer._incoming.pending)  # noqa: SLF001 - the buffer whose size is the point
    assert largest <= 2 * PIECE_BYTES


@every_version
def test_the_proper_end(version: ssl.TLSVersion) -> None:
    layer, client = connected(version)
    layer.receive(client.encrypt(b"QUIT\r\n") + client.end())
    assert layer.read() == b"QUIT\r\n"
    assert layer.read() == b""
    layer.write(b"221 bye\r\n")
    layer.end()
    assert client.decrypt(layer.take_output()) == b"221 bye\r\n"
    assert client.has_heard_end


def test_a_record_that_breaks_off_is_no_text_and_no_end() -> None:
    layer, client = connected()
    layer.receive(client.encrypt(b"QUIT\r\n")[:-1])
    assert layer.read() is None


@every_version
def test_a_forged_record_is_an_error_and_the_client_is_told(version: ssl.TLSVersion) -> None:
    layer, client = connected(version)
    record = bytearray(client.encrypt(b"NOOP\r\n"))
    record[-1] ^= 1
    layer.receive(bytes(record))
    with pytest.raises(ssl.SSLError, match="BAD_RECORD_MAC"):
        layer.read()
    alert = layer.take_output()
    with pytest.raises(ssl.SSLError, match="ALERT_BAD_RECORD_MAC"):
        client.decrypt(alert)
    with pytest.raises(ssl.SSLError):
        layer.write(b"250 2.0.0 OK\r\n")
    assert layer.take_output() == b""


@pytest.mark.parametrize("said", [b"EHLO client.example\r\n", b"GET / HTTP/1.1\r\n\r\n", bytes(100)])
def test_who_does_not_speak_tls(said: bytes) -> None:
    layer = TlsLayer(server_context())
    layer.receive(said)
    with pytest.raises(ssl.SSLError):
        layer.handshake()
    layer.end()


def test_renegotiation_is_refused() -> None:
    layer, client = connected(ssl.TLSVersion.TLSv1_2)
    assert isinstance(layer.object, ssl.SSLObject)
    assert layer.object.context.options & ssl.OP_NO_RENEGOTIATION
    assert layer.object.compression() is None
    assert client.object.compression() is None
