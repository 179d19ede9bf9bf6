"""What a URL may say as for libpq, and what an error does not say."""

import asyncio
import shutil
import ssl
import subprocess
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from pathlib import Path

import postgres
import pytest
from hypothesis import given
from hypothesis import strategies as st
from ports import free_port

from fastsmtp.config.places import PostgresUrl
from fastsmtp.directory.connect import connect, is_pooled, reason
from fastsmtp.errors import DirectoryError

SECRET = "s3cret+Wort"  # noqa: S105 - of a server that lives as long as the tests


@pytest.fixture(scope="module")
def guarded() -> tuple[int, str]:
    """Port and database of a server that wants a password of one user."""
    server = postgres.shared_server()
    dsn = server.new_database()
    postgres.run(
        dsn, f"DROP ROLE IF EXISTS {postgres.GUARDED}", f"CREATE ROLE {postgres.GUARDED} LOGIN PASSWORD '{SECRET}'"
    )
    return server.port, dsn.rpartition("/")[2]


async def who_am_i(dsn: str) -> str:
    connection = await connect(PostgresUrl(dsn), 20)
    try:
        [(user, application)] = await connection.fetch("SELECT current_user::text, current_setting('application_name')")
        assert application == "fastsmtp"
        assert not await is_pooled(connection)
    finally:
        await connection.close(timeout=20)
    return str(user)


def test_a_password_in_the_url(guarded: tuple[int, str]) -> None:
    port, database = guarded
    dsn = f"postgresql://guarded:s3cret%2BWort@127.0.0.1:{port}/{database}"
    assert asyncio.run(who_am_i(dsn)) == "guarded"
    assert SECRET not in str(PostgresUrl(dsn)) + repr(PostgresUrl(dsn))


def test_a_password_file(guarded: tuple[int, str], tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    port, database = guarded
    passwords = tmp_path / "passwords"
    passwords.write_text(f"# all of ours\nelse.where:*:*:*:wrong\n127.0.0.1:{port}:{database}:guarded:{SECRET}\n")
    passwords.chmod(0o600)
    dsn = f"postgresql://guarded@127.0.0.1:{port}/{database}"
    assert asyncio.run(who_am_i(f"{dsn}?passfile={passwords}")) == "guarded"
    monkeypatch.setenv("PGPASSFILE", str(passwords))
    assert asyncio.run(who_am_i(dsn)) == "guarded"


def test_variables_and_services(guarded: tuple[int, str], tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    port, database = guarded
    services = tmp_path / "services"
    services.write_text(f"[mail]\nhost=127.0.0.1\nport={port}\ndbname={database}\nuser=guarded\npassword={SECRET}\n")
    monkeypatch.setenv("PGSERVICEFILE", str(services))
    assert asyncio.run(who_am_i("postgresql://?service=mail")) == "guarded"
    monkeypatch.setenv("PGPASSWORD", SECRET)
    monkeypatch.setenv("PGUSER", "guarded")
    assert asyncio.run(who_am_i(f"postgresql://127.0.0.1:{port}/{database}")) == "guarded"


def test_a_socket_and_several_hosts(guarded: tuple[int, str]) -> None:
    port, database = guarded
    server = postgres.shared_server()
    assert asyncio.run(who_am_i(server.socket_url(database))) == "postgres"
    hosts = f"127.0.0.1:{free_port()},127.0.0.1:{port}"
    assert asyncio.run(who_am_i(f"postgresql://postgres@{hosts}/{database}")) == "postgres"


def trouble(dsn: str) -> str:
    with pytest.raises(DirectoryError) as caught:
        asyncio.run(who_am_i(dsn))
    return str(caught.value)


def test_a_wrong_password_is_not_shown(guarded: tuple[int, str], caplog: pytest.LogCaptureFixture) -> None:
    caplog.set_level(0)
    port, database = guarded
    said = trouble(f"postgresql://guarded:Geheim99@127.0.0.1:{port}/{database}")
    assert 'password authentication failed for user "guarded"' in said
    assert "Geheim99" not in said + caplog.text


@pytest.mark.parametrize(
    "dsn",
    [
        "postgresql://joe:Ge@heim@127.0.0.1/mail",
        "postgresql://joe:Ge/heim@127.0.0.1/mail",
        "postgresql://joe:12/heim@127.0.0.1/mail",
        "postgresql://joe:Ge?heim@127.0.0.1/mail",
        "postgresql://joe:Ge#heim@127.0.0.1/mail",
        "postgresql://joe:[Geheim@127.0.0.1/mail",
        "postgresql://joe:Geheim\uff0f@127.0.0.1/mail",
        "postgresql://joe@127.0.0.1:heim/mail",
        "postgresql://joe@127.0.0.1/mail?heim",
        "mysql://joe:heim@127.0.0.1/mail",
    ],
)
def test_a_url_that_makes_no_sense_is_not_shown(dsn: str) -> None:
    said = trouble(dsn)
    assert said.startswith("the directory's url ")
    assert "heim" not in said


@given(password=st.text(min_size=4).filter(lambda text: not text.isspace()))
def test_no_password_is_ever_shown(password: str) -> None:
    url = PostgresUrl(f"postgresql://joe:PW{password}WP@127.0.0.1:{free_port()}/mail")
    with pytest.raises(DirectoryError) as caught:
        asyncio.run(connect(url, 20))
    assert "PW" not in str(caught.value)
    assert "WP" not in str(caught.value)


def test_reason() -> None:
    assert reason(TimeoutError(), 0.5) == "no answer within 0.5 s"
    assert reason(ConnectionResetError(), 1) == "ConnectionResetError"
    assert reason(OSError("one\ntwo"), 1) == "one; two"


# --- TLS. The PostgreSQL of the tests has none, so somebody stands before it who has. ---------------------------------


@pytest.fixture(scope="module")
def certificate(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A key and the certificate for localhost in one file."""
    if shutil.which("openssl") is None:
        pytest.skip("no openssl here to make a certificate")
    path = tmp_path_factory.mktemp("tls") / "localhost.pem"
    made = ["-x509", "-newkey", "ec", "-pkeyopt", "ec_paramgen_curve:prime256v1", "-nodes"]
    named = ["-subj", "/CN=localhost", "-addext", "subjectAltName=DNS:localhost"]
    command = ["openssl", "req", *made, *named, "-keyout", str(path), "-out", f"{path}.crt"]
    subprocess.run(command, check=True, capture_output=True)
    path.write_text(path.read_text() + Path(f"{path}.crt").read_text())
    return path


@asynccontextmanager
async def tls_before(port: int, certificate: Path) -> AsyncIterator[int]:
    """The port of a server that speaks TLS after PostgreSQL's SSLRequest, and leads on to another."""
    context = ssl.SSLContext(ssl.PROTOCOL_TLS_SERVER)
    context.load_cert_chain(certificate)

    async def copy(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        while data := await reader.read(65_536):
            writer.write(data)
        writer.close()

    async def lead(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        request = await reader.readexactly(8)
        assert request == bytes.fromhex("0000000804d2162f")
        writer.write(b"S")
        try:
            await writer.start_tls(context)
        except (OSError, asyncio.CancelledError):  # a client that does not trust us
            writer.close()
            return
        far_reader, far_writer = await asyncio.open_connection("127.0.0.1", port)
        await asyncio.gather(copy(reader, far_writer), copy(far_reader, writer))

    server = await asyncio.start_server(lead, "127.0.0.1", 0)
    async with server:
        yield server.sockets[0].getsockname()[1]


def test_tls_is_verified_as_asked(certificate: Path) -> None:
    async def scene() -> None:
        async with tls_before(postgres.shared_server().port, certificate) as port:
            verified = f"sslmode=verify-full&sslrootcert={certificate}"
            assert await who_am_i(f"postgresql://postgres@localhost:{port}/postgres?{verified}") == "postgres"
            assert await who_am_i(f"postgresql://postgres@127.0.0.1:{port}/postgres?sslmode=require") == "postgres"
            with pytest.raises(DirectoryError, match="CERTIFICATE_VERIFY_FAILED"):
                await who_am_i(f"postgresql://postgres@127.0.0.1:{port}/postgres?{verified}")  # it is not localhost
            with pytest.raises(DirectoryError, match="No such file"):
                await who_am_i(
                    f"postgresql://postgres@localhost:{port}/postgres?sslmode=verify-full&sslrootcert=/nowhere"
                )

    asyncio.run(scene())


def test_without_tls_nobody_is_spoken_to_who_should_have_it() -> None:
    port = postgres.shared_server().port
    assert "SSL" in trouble(f"postgresql://postgres@127.0.0.1:{port}/postgres?sslmode=require")
