"""What a server offers in TLS, and what not: versions, suites, certificates."""

import ssl
import subprocess
from collections.abc import Iterator
from pathlib import Path
from typing import Final

import pytest
from certificates import NAME, as_toml, certificate, client_context, shown_names, write
from integration.clients.senders import missing
from integration.clients.tls import EHLO, PlainClient, TlsClient, tls_server
from integration.server import DEADLINE_S, ServerProcess, make_site, running_server, serve_command, wait_until
from refusals import plain

ALICE: Final = "alice@example.test"

needs_openssl = pytest.mark.skipif(bool(missing("openssl", "openssl")), reason=missing("openssl", "openssl"))

SSL3_HELLO: Final = (
    bytes.fromhex("16 0300 0033 01 00002f 0300") + bytes(32) + bytes.fromhex("00 0008 002f000a00050004 0100")
)
"""What a client of 1996 says: no library here can be made to."""


@pytest.fixture(scope="module")
def server(tmp_path_factory: pytest.TempPathFactory) -> Iterator[ServerProcess]:
    with tls_server(tmp_path_factory.mktemp("tls")) as server:
        yield server


def s_client(server: ServerProcess, *options: str, stdin: bytes = b"QUIT\r\n") -> tuple[bool, str]:
    """Whether openssl came through the handshake, and what it printed."""
    where = ["-connect", f"{server.host}:{server.port}", "-starttls", "smtp"]
    command = ["openssl", "s_client", *where, *options]
    done = subprocess.run(command, input=stdin, capture_output=True, timeout=DEADLINE_S, check=False)
    said = (done.stdout + done.stderr).decode(errors="replace")
    return "Cipher is (NONE)" not in said and "BEGIN CERTIFICATE" in said, said


@needs_openssl
@pytest.mark.parametrize(
    ("version", "is_spoken"), [("tls1", False), ("tls1_1", False), ("tls1_2", True), ("tls1_3", True)]
)
def test_versions(server: ServerProcess, version: str, is_spoken: bool) -> None:
    before = server.metric("fastsmtp_tls_handshakes_total", result="failed")
    secured, said = s_client(server, f"-{version}", "-cipher", "ALL:@SECLEVEL=0")
    assert secured is is_spoken, said
    after = before + (not is_spoken)
    wait_until(lambda: server.metric("fastsmtp_tls_handshakes_total", result="failed") == after, "it is counted")
    if not is_spoken:
        assert "alert protocol version" in said


def test_ssl_3_is_not_spoken(server: ServerProcess) -> None:
    with PlainClient(server) as client:
        client.say(EHLO)
        assert client.say(b"STARTTLS\r\n").startswith("220 ")
        client.socket.sendall(SSL3_HELLO)
        alert = client.rest()
        assert alert[:1] == b"\x15"
    wait_until(lambda: any(line.get("reason") == "VERSION_TOO_LOW" for line in server.log_lines("fastsmtp.tls")))


@needs_openssl
def test_suites_for_tls_1_2_have_forward_secrecy(tmp_path: Path) -> None:
    """Every suite that this OpenSSL has, one by one, at a server that has a certificate for each kind of key."""
    files = [write(tmp_path, certificate(), "ec"), write(tmp_path, certificate(rsa=True), "rsa")]
    everything = ssl.SSLContext(ssl.PROTOCOL_TLS_CLIENT)
    everything.set_ciphers("ALL:COMPLEMENTOFALL:@SECLEVEL=0")
    names = [cipher["name"] for cipher in everything.get_ciphers() if not cipher["name"].startswith("TLS_")]
    assert len(names) > 30
    taken = set()
    with running_server(tmp_path / "site", {"tls.certificates": list(map(as_toml, files))}) as server:
        for name in names:
            context = client_context(ssl.TLSVersion.TLSv1_2)
            context.set_ciphers(f"{name}:@SECLEVEL=0")
            with PlainClient(server) as client:
                client.say(EHLO)
                client.say(b"STARTTLS\r\n")
                try:
                    client.start_tls(context)
                except ssl.SSLError:
                    continue
                taken.add(name)
    assert taken == {
        f"ECDHE-{key}-{cipher}"
        for key in ("ECDSA", "RSA")
        for cipher in (
            "AES256-GCM-SHA384",
            "AES128-GCM-SHA256",
            "CHACHA20-POLY1305",
            "AES256-SHA384",
            "AES128-SHA256",
        )
    }


@needs_openssl
def test_no_compression_and_no_second_handshake(server: ServerProcess) -> None:
    secured, said = s_client(server, "-tls1_2", stdin=b"R\nQUIT\r\n")
    assert secured
    assert "Compression: NONE" in said
    assert "Secure Renegotiation IS supported" in said  # which is not that it is permitted (RFC 5746)
    assert "RENEGOTIATING" in said
    assert "no renegotiation" in said


# --- certificates ----------------------------------------------------------------------------------------------------


def shown_to(server: ServerProcess, name: str | None) -> set[str]:
    """The names in the certificate that a client sees who asks for `name`."""
    context = client_context()
    context.check_hostname = False
    with TlsClient(server, context, name) as client:
        client.deliver()
        return shown_names(client.secured)


def test_certificates_by_name_and_new_ones_while_it_runs(tmp_path: Path) -> None:
    first = write(tmp_path, certificate(NAME), "first")
    other = write(tmp_path, certificate("*.example.org"), "other")
    settings = {"tls.certificates": [as_toml(first), as_toml(other)], "tls.reload_interval": "50ms"}
    with running_server(tmp_path / "site", settings) as server:
        assert shown_to(server, "mx.example.org") == {"*.example.org"}
        for name in (NAME, "mx.example.com", None):
            assert shown_to(server, name) == {NAME}
        with TlsClient(server) as old:
            write(tmp_path, certificate(NAME, "mx.example.com"), "first")
            wait_until(lambda: shown_to(server, NAME) == {NAME, "mx.example.com"}, "the new one is taken")
            assert old.deliver().startswith("250 ")
            first.key.write_text("rubbish")
            wait_until(lambda: any(line["level"] == "error" for line in server.log_lines("fastsmtp.tls")))
            assert shown_to(server, NAME) == {NAME, "mx.example.com"}
            assert old.deliver().startswith("250 ")


def test_a_server_does_not_start_with_what_it_cannot_use(tmp_path: Path) -> None:
    files = write(tmp_path, certificate())
    files.key.write_text("rubbish")
    configuration = make_site(tmp_path / "site", {"tls.certificates": [as_toml(files)]}, [ALICE], "")
    done = subprocess.run(serve_command(configuration), capture_output=True, timeout=DEADLINE_S, check=False)
    assert done.returncode == 1
    assert done.stderr.decode().startswith(
        f"error: {configuration}: tls.certificates[0]: {files.key} has no private key that can be read; "
    )


def test_an_old_certificate_is_no_reason_to_be_down(tmp_path: Path) -> None:
    files = write(tmp_path, certificate(days=-1, begun_days_ago=30))
    with running_server(tmp_path / "site", {"tls.certificates": [as_toml(files)]}) as server:
        wait_until(lambda: any("has expired on" in line["message"] for line in server.log_lines("fastsmtp.tls")))
        careless = ssl.SSLContext(ssl.PROTOCOL_TLS_CLIENT)
        careless.check_hostname, careless.verify_mode = False, ssl.CERT_NONE
        with TlsClient(server, careless) as client:
            assert client.deliver().startswith("250 ")


def test_without_a_certificate_nothing_is_offered(tmp_path: Path) -> None:
    with running_server(tmp_path / "site") as server, PlainClient(server) as client:
        assert "STARTTLS" not in client.say(EHLO)
        assert plain(client.say(b"STARTTLS\r\n")) == "502 5.5.1 Command not implemented here"
