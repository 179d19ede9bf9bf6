"""A real server with real clients that log in; what is seen of it, and what must not be."""

import smtplib
import sqlite3
import subprocess
import sys
from base64 import b64encode
from collections.abc import Iterator
from contextlib import closing
from pathlib import Path
from typing import Final

import postgres
import pytest
from certificates import NAME, authority, client_context
from integration.clients import trace
from integration.clients.raw import RawClient
from integration.clients.senders import Mail, missing, run, with_swaks
from integration.clients.tls import TlsClient, tls_server
from integration.server import DEADLINE_S, ServerProcess, make_site, running_server, serve, wait_until
from refusals import without_id

from fastsmtp.config.places import PostgresUrl
from fastsmtp.directory.admin import Admin, SqliteAdmin
from fastsmtp.directory.database_postgres import PostgresDatabase
from fastsmtp.directory.migrate_postgres import migrate_postgres
from fastsmtp.directory.schemes import hash_password
from fastsmtp.smtp.sasl import MECHANISMS

ALICE: Final = "alice@example.test"
BOB: Final = "bob@example.test"
PASSWORD: Final = "correct horse battery staple"  # noqa: S105 - nobody's
WRONG: Final = "wrong horse battery staple"
CONTENT: Final = b"Subject: from a user\r\n\r\nhello\r\n"
MAIL: Final = Mail(CONTENT, sender=ALICE)
SETTINGS: Final = {"auth.enabled": True, "auth.mechanisms": list(MECHANISMS)}
IN_THE_OPEN: Final = {"auth.enabled": True, "auth.require_tls": False}


@pytest.fixture(scope="module")
def server(tmp_path_factory: pytest.TempPathFactory) -> Iterator[ServerProcess]:
    """Alice has a hash of Argon2id, Bob the keys of SCRAM."""
    with tls_server(tmp_path_factory.mktemp("auth"), SETTINGS) as server:
        with SqliteAdmin(server.folder / "directory.db") as admin:
            admin.set_password(ALICE, hash_password(PASSWORD))
            admin.set_password(BOB, hash_password(PASSWORD, "scram-sha-256"))
        yield server
        secrets = (PASSWORD, WRONG, b64encode(PASSWORD.encode()).decode(), "$argon2", "SCRAM-SHA-256$")
        seen = [server.stderr(), *((server.folder / "stdout").read_text().splitlines())]
        assert [line for line in seen if any(secret in line for secret in secrets)] == []


@pytest.fixture(scope="module")
def trusted(tmp_path_factory: pytest.TempPathFactory) -> str:
    """The file of the authority, for programs."""
    file = tmp_path_factory.mktemp("trusted") / "ca.pem"
    file.write_bytes(authority().cert_pem.bytes())
    return str(file)


def check_stored(server: ServerProcess, name: str, user: str, mechanism: str) -> None:
    """The newest message of Alice came from a client of this name who had logged in."""
    stored = trace.split(server.messages(ALICE)[-1])
    assert (stored.name, stored.protocol) == (name, "ESMTPSA")
    assert stored.content.endswith(CONTENT.replace(b"\r\n", b"\n"))  # msmtp says From on top of it
    wait_until(lambda: any(line["id"] == stored.id for line in server.log_lines("transaction")))
    [line] = [line for line in server.log_lines("transaction") if line["id"] == stored.id]
    assert line["user"] == user
    said = server.log_lines("auth")[-1]
    assert (said["mechanism"], said["user"], said["result"]) == (mechanism, user, "accepted")


# --- clients ---------------------------------------------------------------------------------------------------------


@pytest.mark.parametrize("mechanism", ["PLAIN", "LOGIN"])
def test_smtplib(server: ServerProcess, mechanism: str) -> None:
    with smtplib.SMTP(server.host, server.port, "smtplib.example.org", timeout=DEADLINE_S) as client:
        client._host = NAME  # type: ignore[attr-defined] # noqa: SLF001 - whose certificate it is to expect
        client.ehlo()
        assert not client.has_extn("auth")
        with pytest.raises(smtplib.SMTPNotSupportedError):
            client.login("Alice@Example.test", PASSWORD)
        client.starttls(context=client_context())
        client.ehlo()
        assert client.esmtp_features["auth"].split() == list(MECHANISMS)
        client.esmtp_features["auth"] = mechanism
        with pytest.raises(smtplib.SMTPAuthenticationError) as caught:
            client.login("Alice@Example.test", WRONG)
        assert isinstance(caught.value.smtp_error, bytes)
        said = b"%d %b" % (caught.value.smtp_code, caught.value.smtp_error)
        assert without_id(said) == b"535 5.7.8 User or password is wrong"
        assert client.login("Alice@Example.test", PASSWORD)[0] == 235
        client.sendmail(ALICE, [ALICE], CONTENT)
    check_stored(server, "smtplib.example.org", ALICE, mechanism)


def curl(server: ServerProcess, trusted: str, user: str, *more: str) -> None:
    secured = ["--ssl-reqd", "--cacert", trusted, "--resolve", f"{NAME}:{server.port}:{server.host}"]
    mail = ["--mail-from", ALICE, "--mail-rcpt", ALICE, "--upload-file", "-"]
    url = f"smtp://{NAME}:{server.port}/curl.example.org"
    run("curl", "--silent", "--show-error", *secured, "--user", user, *more, url, *mail, stdin=CONTENT)


@pytest.mark.skipif(bool(missing("curl", "curl")), reason=missing("curl", "curl"))
@pytest.mark.parametrize("mechanism", ["PLAIN", "LOGIN"])
@pytest.mark.parametrize("more", [(), ("--sasl-ir",)])
def test_curl(server: ServerProcess, trusted: str, mechanism: str, more: tuple[str, ...]) -> None:
    option = f"AUTH={mechanism}"
    curl(server, trusted, f"{ALICE}:{PASSWORD}", "--login-options", option, *more)
    check_stored(server, "curl.example.org", ALICE, mechanism)
    with pytest.raises(AssertionError, match="exit code 67"):  # login denied
        curl(server, trusted, f"{ALICE}:{WRONG}", "--login-options", option, *more)


@pytest.mark.skipif(bool(missing("swaks", "swaks")), reason=missing("swaks", "swaks"))
@pytest.mark.parametrize("mechanism", ["PLAIN", "LOGIN"])
def test_swaks(server: ServerProcess, tmp_path: Path, mechanism: str) -> None:
    login = ["--tls", "--auth", mechanism, "--auth-user", ALICE, "--auth-password"]
    with_swaks((server.host, server.port), MAIL, tmp_path, *login, PASSWORD)
    check_stored(server, "swaks.example.org", ALICE, mechanism)
    with pytest.raises(AssertionError, match=r"535 5\.7\.8"):
        with_swaks((server.host, server.port), MAIL, tmp_path, *login, WRONG)


@pytest.mark.skipif(bool(missing("msmtp", "msmtp")), reason=missing("msmtp", "msmtp"))
@pytest.mark.parametrize(
    ("user", "mechanism"), [(ALICE, "PLAIN"), (ALICE, "LOGIN"), (BOB, "SCRAM-SHA-256"), (BOB, "PLAIN")]
)
def test_msmtp(server: ServerProcess, trusted: str, tmp_path: Path, user: str, mechanism: str) -> None:
    """GNU SASL at the other end."""

    def send(password: str) -> None:
        file = tmp_path / "msmtprc"
        file.write_text(
            f"account default\nhost {server.host}\nport {server.port}\ndomain msmtp.example.org\nfrom {ALICE}\n"
            f"tls on\ntls_trust_file {trusted}\ntls_host_override {NAME}\nauth {mechanism.lower()}\nuser {user}\n"
            f'password "{password}"\nset_date_header off\nset_msgid_header off\n'
        )
        file.chmod(0o600)
        run("msmtp", f"--file={file}", "--", ALICE, stdin=CONTENT.replace(b"\r\n", b"\n"))

    send(PASSWORD)
    check_stored(server, "msmtp.example.org", user, mechanism)
    with pytest.raises(AssertionError, match="authentication failed"):
        send(WRONG)


def test_a_client_in_one_write(server: ServerProcess) -> None:
    """AUTH as the last of a group, and a whole mail behind its 235."""
    with TlsClient(server) as client:
        response = b64encode(f"\0{ALICE}\0{PASSWORD}".encode())
        assert client.say(b"AUTH PLAIN " + response + b"\r\n").startswith("235 2.7.0 ")
        assert client.deliver(CONTENT + b".\r\n").startswith("250 2.0.0 ")


# --- what a change does ----------------------------------------------------------------------------------------------


def login(server: ServerProcess, user: str = ALICE, password: str = PASSWORD) -> str:
    """What a client hears who logs in without TLS."""
    with RawClient(server.connect()) as client:
        client.say(b"EHLO client.example")
        return client.say(b"AUTH PLAIN " + b64encode(f"\0{user}\0{password}".encode())).decode()


def fastsmtp(server: ServerProcess, *arguments: str, stdin: str = "") -> str:
    command = [sys.executable, "-m", "fastsmtp", *arguments, "-c", str(server.configuration)]
    done = subprocess.run(command, input=stdin, capture_output=True, text=True, timeout=DEADLINE_S, check=True)
    return done.stdout


def test_the_command_line_sets_a_password_of_a_server_that_runs(tmp_path: Path) -> None:
    with running_server(tmp_path, IN_THE_OPEN) as server:
        assert login(server).startswith("535 ")
        fastsmtp(server, "user", "passwd", ALICE, "--stdin", stdin=f"{PASSWORD}\n")
        assert login(server).startswith("235 ")
        fastsmtp(server, "user", "passwd", ALICE, "--stdin", stdin=f"{WRONG}\n")
        assert login(server).startswith("535 ")
        assert login(server, password=WRONG).startswith("235 ")
        with closing(sqlite3.connect(server.folder / "directory.db")) as database:
            database.execute('UPDATE "user" SET can_login = 0')
            database.commit()
        assert login(server, password=WRONG).startswith("535 ")
        assert server.metric("fastsmtp_auth_total", result="accepted") == 2
        assert server.metric("fastsmtp_auth_total", result="refused") == 3


def test_hashes_of_a_dovecot(tmp_path: Path) -> None:
    """As `doveadm pw -s SHA512-CRYPT` and `-s BLF-CRYPT` make them: the vectors of their inventors."""
    sha = "svn8UoSVapNtMuq1ukKS4tPQd8iKwSMHWjl/O817G3uBnIFNjnQJuesI68u4OTLiBFdcbYEdFCoEOfaS35inz1"
    vectors = {
        ALICE: (f"{{SHA512-CRYPT}}$6$saltstring${sha}", "Hello world!"),
        BOB: ("{BLF-CRYPT}$2y$05$CCCCCCCCCCCCCCCCCCCCC.E5YPO9kmyuRGyh0XouQYb4YMJKvyOeW", "U*U"),
    }
    with running_server(tmp_path, IN_THE_OPEN) as server:
        with SqliteAdmin(server.folder / "directory.db") as admin:
            for user, (stored, _) in vectors.items():
                admin.set_password(user, stored)
        for user, (_, password) in vectors.items():
            assert login(server, user, password).startswith("235 ")
            assert login(server, user, f"{password}!").startswith("535 ")
        with SqliteAdmin(server.folder / "directory.db") as admin:
            admin.set_password(ALICE, "{PLAIN}Hello world!")
        assert login(server, ALICE, "Hello world!").startswith("454 4.7.0 ")
        wait_until(lambda: any(line.get("message") == "login trouble" for line in server.log_lines()))


def test_a_server_that_cannot_ask_for_logins_does_not_start(tmp_path: Path) -> None:
    configuration = make_site(tmp_path, IN_THE_OPEN, [ALICE], "")
    text = configuration.read_text()
    configuration.write_text(text.replace("queries = {}", 'queries = { domain = "SELECT 1", recipient = "SELECT 1" }'))
    command = [sys.executable, "-m", "fastsmtp", "serve", "-c", str(configuration)]
    done = subprocess.run(command, capture_output=True, text=True, timeout=DEADLINE_S, check=False)
    assert done.returncode == 3
    assert "the directory cannot be used: [directory.queries] has no login, so that nobody can log in" in done.stderr


# --- the directory is away -------------------------------------------------------------------------------------------


def test_an_outage_refuses_nobody(tmp_path: Path) -> None:
    database = postgres.started_server()
    try:
        url = database.new_database()
        migrate_postgres(PostgresUrl(url))
        with Admin(PostgresDatabase(PostgresUrl(url))) as admin:
            admin.add_domain("example.test")
            admin.add_user(ALICE, password_hash=hash_password(PASSWORD))
        with serve(make_site(tmp_path, {**IN_THE_OPEN, "directory.url": url}, [], "")) as server:
            assert login(server).startswith("235 ")
            database.stop()
            assert login(server).startswith("454 4.7.0 ")
            assert login(server, password=WRONG).startswith("454 4.7.0 ")
            database.start()
            wait_until(lambda: login(server).startswith("235 "), "the database is back")
            assert login(server, password=WRONG).startswith("535 ")
    finally:
        database.remove()
