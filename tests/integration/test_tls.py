"""A real server in TLS with real clients: who gets in, with what, under which name; and what is known of it then."""

import smtplib
import ssl
from collections.abc import Iterator
from contextlib import suppress
from pathlib import Path
from typing import Final

import pytest
import trustme
from certificates import NAME, as_toml, authority, certificate, client_context, write
from cryptography.x509 import load_pem_x509_certificate
from integration.clients import trace
from integration.clients.postfix import running_postfix, why_not
from integration.clients.senders import Mail, missing, require, run, with_swaks
from integration.clients.tls import EHLO, ENVELOPE, MESSAGE, PlainClient, TlsClient, tls_server
from integration.server import DEADLINE_S, ServerProcess, running_server, wait_until

ALICE: Final = "alice@example.test"
CONTENT: Final = b"Subject: encrypted\r\n\r\nhello\r\n"


@pytest.fixture(scope="module")
def server(tmp_path_factory: pytest.TempPathFactory) -> Iterator[ServerProcess]:
    with tls_server(tmp_path_factory.mktemp("tls")) as server:
        yield server


@pytest.fixture(scope="module")
def trusted(tmp_path_factory: pytest.TempPathFactory) -> str:
    """The file of the authority, for programs."""
    file = tmp_path_factory.mktemp("trusted") / "ca.pem"
    file.write_bytes(authority().cert_pem.bytes())
    return str(file)


def newest(server: ServerProcess) -> trace.Trace:
    return trace.split(server.messages(ALICE)[-1])


def test_smtplib(server: ServerProcess) -> None:
    with smtplib.SMTP(server.host, server.port, timeout=DEADLINE_S) as client:
        client._host = NAME  # type: ignore[attr-defined] # noqa: SLF001 - whose certificate it is to expect
        client.starttls(context=client_context())
        client.sendmail("ann@example.org", [ALICE], CONTENT)
    stored = newest(server)
    assert (stored.protocol, stored.version) == ("ESMTPS", "TLSv1.3")
    assert stored.cipher == "TLS_AES_256_GCM_SHA384"
    assert stored.content == CONTENT.replace(b"\r\n", b"\n")


@pytest.mark.skipif(bool(missing("curl", "curl")), reason=missing("curl", "curl"))
@pytest.mark.parametrize("version", ["1.2", "1.3"])
def test_curl(server: ServerProcess, trusted: str, tmp_path: Path, version: str) -> None:
    (tmp_path / "mail").write_bytes(CONTENT)
    secured = ["--ssl-reqd", "--cacert", trusted, "--resolve", f"{NAME}:{server.port}:{server.host}"]
    url = f"smtp://{NAME}:{server.port}/curl.example.org"
    mail = ["--mail-from", "ann@example.org", "--mail-rcpt", ALICE, "--upload-file", str(tmp_path / "mail")]
    run("curl", "--silent", "--show-error", *secured, "--tls-max", version, url, *mail)
    assert (newest(server).name, newest(server).version) == ("curl.example.org", f"TLSv{version}")


@pytest.mark.skipif(bool(missing("swaks", "swaks")), reason=missing("swaks", "swaks"))
def test_swaks(server: ServerProcess, tmp_path: Path) -> None:
    with_swaks((server.host, server.port), Mail(CONTENT), tmp_path, "--tls")
    assert newest(server).protocol == "ESMTPS"


@pytest.mark.skipif(bool(why_not()), reason=why_not())
def test_a_postfix_that_insists(server: ServerProcess) -> None:
    before = len(server.messages(ALICE))
    ours = authority().cert_pem.bytes().decode()
    with running_postfix((server.host, server.port), "encrypt", ours) as postfix:
        postfix.submit(Mail(CONTENT))
        wait_until(lambda: len(server.messages(ALICE)) == before + 1, "Postfix has delivered")
        wait_until(lambda: "status=sent" in postfix.log(), "Postfix has logged it")
        assert f"Trusted TLS connection established to {server.host}" in postfix.log(), postfix.log()
    assert (newest(server).name, newest(server).protocol) == ("postfix.example.org", "ESMTPS")
    assert newest(server).version == "TLSv1.3"


@pytest.mark.skipif(bool(missing("posttls-finger", "postfix")), reason=missing("posttls-finger", "postfix"))
@pytest.mark.parametrize(("level", "verdict"), [("encrypt", "Trusted"), ("secure", "Verified")])
def test_posttls_finger(server: ServerProcess, trusted: str, level: str, verdict: str) -> None:
    said = run(
        require("posttls-finger"),
        "-c",
        "-l",
        level,
        "-F",
        trusted,
        "-L",
        "summary",
        f"[{server.host}]:{server.port}",
        NAME,
    )
    assert f"{verdict} TLS connection established to {server.host}" in said
    assert "TLSv1.3 with cipher TLS_AES_256_GCM_SHA384 (256/256 bits)" in said


def test_internationalized_mail_has_its_own_word(server: ServerProcess) -> None:
    with TlsClient(server) as client:
        client.socket.sendall(ENVELOPE.replace(b"example.org>", b"example.org> SMTPUTF8"))
        assert [client.reply()[:3] for _ in range(3)] == ["250", "250", "354"]
        assert client.say(MESSAGE).startswith("250 ")
    assert newest(server).protocol == "UTF8SMTPS"


def test_what_is_known_of_it(server: ServerProcess) -> None:
    before = server.metric("fastsmtp_tls_handshakes_total", result="completed", version="TLSv1.2")
    timed = server.metric("fastsmtp_tls_handshake_seconds_count", version="TLSv1.2")
    with TlsClient(server, client_context(ssl.TLSVersion.TLSv1_2)) as client:
        agreed = client.secured.cipher()
        stored_as = client.deliver().removeprefix("250 2.0.0 stored as ")
    assert server.metric("fastsmtp_tls_handshakes_total", result="completed", version="TLSv1.2") == before + 1
    assert server.metric("fastsmtp_tls_handshake_seconds_count", version="TLSv1.2") == timed + 1
    expires = server.metric("fastsmtp_tls_certificate_expiry_seconds")
    leaf = load_pem_x509_certificate(certificate().cert_chain_pems[0].bytes())
    assert expires == leaf.not_valid_after_utc.timestamp()
    wait_until(lambda: any(line["id"] == stored_as for line in server.log_lines("transaction")))
    [line] = [line for line in server.log_lines("transaction") if line["id"] == stored_as]
    assert agreed is not None
    assert line["tls"] == {
        "version": "TLSv1.2",
        "cipher": "TLS_ECDHE_ECDSA_WITH_AES_256_GCM_SHA384",
        "bits": 256,
        "server_name": NAME,
    }
    assert newest(server).cipher == line["tls"]["cipher"]


WITNESS: Final = """
from dataclasses import dataclass
from fastsmtp.plugin import Connection, Hello, Plugin

@dataclass(frozen=True, slots=True)
class Options:
    pass

class Witness(Plugin[Options]):
    def on_hello(self, connection: Connection, hello: Hello) -> None:
        tls = connection.tls
        self.record(connection, "pass", f"{tls.version} {tls.server_name}" if tls else "plain")
"""


def test_plugins_are_told(tmp_path: Path) -> None:
    (tmp_path / "witness.py").write_text(WITNESS)
    files = write(tmp_path, certificate())
    settings = {"tls.certificates": [as_toml(files)], "plugin_path": [str(tmp_path)]}
    with running_server(tmp_path / "site", settings, plugins='[[plugin]]\nuse = "witness"\n') as server:
        with TlsClient(server) as client:
            client.deliver()
        wait_until(lambda: bool(server.log_lines("transaction")))
        [line] = server.log_lines("transaction")
        assert [result["evidence"] for result in line["results"]] == ["plain", f"TLSv1.3 {NAME}"]


SUBMISSIONS: Final = """
[[listener]]
name = "submissions"
address = "127.0.0.1:0"
tls = "implicit"

[[listener]]
name = "plain"
address = "127.0.0.1:0"
tls = "off"
"""


def test_listeners_with_tls_of_their_own(tmp_path: Path) -> None:
    """From the start (RFC 8314), by STARTTLS, not at all; and no ticket of one is good at another."""
    settings = {"listen.smtp": ["127.0.0.1:0"], "tls.certificates": [as_toml(write(tmp_path, certificate()))]}
    context = client_context(ssl.TLSVersion.TLSv1_2)
    with running_server(tmp_path / "site", settings, plugins=SUBMISSIONS) as server:
        with context.wrap_socket(server.connect("submissions"), server_hostname=NAME) as secured:
            session = secured.session
            with smtplib.SMTP() as client:
                client.sock = secured
                assert client.getreply()[0] == 220
                assert "starttls" not in client.ehlo()[1].decode().lower()
                assert client.docmd("STARTTLS")[0] == 503
                assert client.sendmail("ann@example.org", [ALICE], CONTENT) == {}
        assert newest(server).protocol == "ESMTPS"
        with context.wrap_socket(server.connect("submissions"), server_hostname=NAME, session=session) as again:
            assert again.recv(4) == b"220 "
            assert again.session_reused
        with PlainClient(server) as client_at_25:
            client_at_25.say(EHLO)
            client_at_25.say(b"STARTTLS\r\n")
            other = context.wrap_socket(client_at_25.socket, server_hostname=NAME, session=session)
            assert not other.session_reused
            other.close()
        with server.connect("plain") as plain:
            plain.sendall(EHLO + b"STARTTLS\r\nQUIT\r\n")
            said = plain.makefile("rb").read()
            assert b"\r\n502 " in said
            assert b"250 STARTTLS" not in said


def test_plain_text_where_tls_is_spoken_from_the_start(tmp_path: Path) -> None:
    settings = {"listen.smtp": ["127.0.0.1:0"], "tls.certificates": [as_toml(write(tmp_path, certificate()))]}
    with running_server(tmp_path / "site", settings, plugins=SUBMISSIONS) as server:
        with server.connect("submissions") as client:
            client.sendall(EHLO + ENVELOPE + MESSAGE)
            said = b""
            with suppress(ConnectionResetError):  # it has not read all of that
                said = client.recv(65_536)
            assert said[:1] in (b"", b"\x15")  # an alert at most, and no word of SMTP
        wait_until(lambda: server.metric("fastsmtp_connections") == 0)
        assert server.messages(ALICE) == []


def test_a_client_shows_who_it_is(tmp_path: Path, trusted: str) -> None:
    """Whoever signed it, or nobody: it is served, and known."""
    settings = {"tls.client_certificates": "request", "tls.client_authorities": trusted}
    known, unknown = authority(), trustme.CA()
    with tls_server(tmp_path, settings) as server:
        ids = []
        for signed_by in (known, unknown, None):
            context = client_context()
            if signed_by is not None:
                signed_by.issue_cert("client.example", key_type=trustme.KeyType.ECDSA).configure_cert(context)
            with TlsClient(server, context) as client:
                ids.append(client.deliver().removeprefix("250 2.0.0 stored as "))
        wait_until(lambda: len(server.log_lines("transaction")) == len(ids))
        lines = {line["id"]: line["tls"].get("client") for line in server.log_lines("transaction")}
        shown = [lines[transaction] for transaction in ids]
        assert [client and client["verified"] for client in shown] == [True, False, None]
        assert server.metric("fastsmtp_tls_handshakes_total", result="failed") == 0
