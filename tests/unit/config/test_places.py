import pytest
from hypothesis import given
from hypothesis import strategies as st

from fastsmtp.config.places import ListenAddress, PostgresUrl, parse_listen_address


@pytest.mark.parametrize(
    ("written", "host", "port"),
    [
        ("127.0.0.1:25", "127.0.0.1", 25),
        ("192.0.2.1:0", "192.0.2.1", 0),
        ("[::]:25", "::", 25),
        ("[2001:db8::1]:65535", "2001:db8::1", 65_535),
        ("localhost:2525", "localhost", 2525),
        ("mx.example.org:25", "mx.example.org", 25),
    ],
)
def test_addresses_and_back(written: str, host: str, port: int) -> None:
    address = parse_listen_address(written)

    assert address == ListenAddress(host, port)
    assert str(address) == written


@pytest.mark.parametrize(
    "written",
    [
        "",
        "25",
        ":25",
        "127.0.0.1",
        "127.0.0.1:",
        "127.0.0.1:smtp",
        "127.0.0.1:65536",
        "127.0.0.1:-1",
        "127.0.0.1:٢٥",
        "127.0.0.256:25",
        "1.2.3:25",
        "::1:25",
        "[::1]",
        "[::1:25",
        "[127.0.0.1]:25",
        "[]:25",
        "*:25",
        "a b:25",
        25,
        None,
        True,
    ],
)
def test_what_is_no_address_is_named(written: object) -> None:
    with pytest.raises(ValueError, match="is no address to listen on; write"):
        parse_listen_address(written)


@given(st.one_of(st.ip_addresses(v=4), st.ip_addresses(v=6)), st.integers(0, 65_535))
def test_every_ip_address_makes_the_round_trip(host: object, port: int) -> None:
    address = ListenAddress(str(host), port)

    assert parse_listen_address(str(address)) == address


@given(st.text(alphabet="0123456789abcdef:.[]", max_size=24))
def test_text_is_an_address_or_a_value_error(text: str) -> None:
    try:
        address = parse_listen_address(text)
    except ValueError:
        return
    assert parse_listen_address(str(address)) == address


@pytest.mark.parametrize(
    ("dsn", "shown"),
    [
        ("postgresql://mail@db.example/mail", "postgresql://mail@db.example/mail"),
        ("postgresql://mail:secret@db.example:5433/mail", "postgresql://mail@db.example:5433/mail"),
        ("postgres://mail:se:cret@db/mail?sslmode=require", "postgres://mail@db/mail?sslmode=require"),
        ("postgresql:///mail?host=/run&password=secret&user=u", "postgresql:///mail?host=%2Frun&user=u"),
        ("postgresql://db/mail?sslpassword=secret", "postgresql://db/mail"),
    ],
)
def test_a_database_url_is_shown_without_its_password(dsn: str, shown: str) -> None:
    url = PostgresUrl(dsn)
    assert str(url) == shown
    assert "secret" not in repr(url)
    assert url.dsn == dsn
