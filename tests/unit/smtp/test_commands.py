"""The arguments of commands; addresses are tested in test_address.py, parameters in test_extensions.py.

The rows about BDAT are in tests/vectors/chunking.toml.
"""

import tomllib
from pathlib import Path
from typing import Any

import pytest

from fastsmtp.smtp import replies
from fastsmtp.smtp.commands import CommandError, parse_bdat, parse_hello, parse_mail, parse_rcpt
from fastsmtp.smtp.extensions import offers
from fastsmtp.smtp.replies import Reply

OFFERED = offers(1000)


@pytest.mark.parametrize("name", ["client.example", "[192.0.2.1]", "[IPv6:2001:db8::1]", "a_b", "x", "a" * 255])
def test_hello_takes_one_harmless_word(name: str) -> None:
    assert parse_hello(name.encode()) == name


@pytest.mark.parametrize("argument", [b"", b"a b", b"a\tb", b"b\xc3\xbccher", b"a" * 256, b"a\n", b"a\x00"])
def test_hello_refuses_the_rest(argument: bytes) -> None:
    with pytest.raises(CommandError) as caught:
        parse_hello(argument)
    assert caught.value.reply is replies.BAD_HELLO


def bdat_rows() -> list[dict[str, Any]]:
    rows: list[dict[str, Any]] = tomllib.loads((Path(__file__).parents[2] / "vectors" / "chunking.toml").read_text())[
        "argument"
    ]
    return rows


@pytest.mark.parametrize("row", bdat_rows(), ids=lambda row: row["text"] or "nothing")
def test_bdat(row: dict[str, Any]) -> None:
    argument = row["text"].encode("latin-1")
    wrong = row.get("wrong")
    if wrong == "size":
        with pytest.raises(CommandError) as caught:
            parse_bdat(argument)
        assert caught.value.reply is replies.CHUNK_LOST
    else:
        assert parse_bdat(argument) == (row["size"], row.get("last", False) if wrong is None else None)


def test_mail() -> None:
    sender, parameters = parse_mail(b"from:  <@a.example:Ann@EXAMPLE.org> SIZE=7 BODY=8BITMIME", OFFERED)
    assert str(sender) == "Ann@example.org"
    assert (parameters.size, parameters.body, parameters.smtputf8) == (7, "8BITMIME", False)
    assert parse_mail(b"FROM:<>", {})[0].is_null
    sender, _ = parse_mail("FROM:<jürgen@bücher.example> SMTPUTF8".encode(), OFFERED)
    assert sender.domain == "xn--bcher-kva.example"


@pytest.mark.parametrize(
    ("argument", "reply"),
    [
        (b"", replies.BAD_MAIL_SYNTAX),
        (b"TO:<a@b.c>", replies.BAD_MAIL_SYNTAX),
        (b"FROM <a@b.c>", replies.BAD_MAIL_SYNTAX),
        (b" FROM:<a@b.c>", replies.BAD_MAIL_SYNTAX),
        (b"FROM:", replies.BAD_SENDER),
        (b"FROM:\t<a@b.c>", replies.BAD_SENDER),
        (b"FROM:a@b.c", replies.BAD_SENDER),
        (b"FROM:<a@b.c>>", Reply(501, "5.5.4", "A blank belongs between address and parameters")),
        (b"FROM:<a@b.c> X=1", Reply(555, "5.5.4", "Parameter X not recognized or not offered")),
        ("FROM:<ü@b.c>".encode(), replies.NEEDS_SMTPUTF8_SENDER),
        ("FROM:<a@ü.c> BODY=8BITMIME".encode(), replies.NEEDS_SMTPUTF8_SENDER),
        ("FROM:<a@b.c> X=ü SMTPUTF8".encode(), Reply(501, "5.5.4", "Parameters are KEYWORD or KEYWORD=value")),
        (b"FROM:<\xff@b.c> SMTPUTF8", replies.BAD_SENDER),
    ],
)
def test_bad_mail(argument: bytes, reply: Reply) -> None:
    with pytest.raises(CommandError) as caught:
        parse_mail(argument, OFFERED)
    assert caught.value.reply == reply
    assert str(caught.value) == str(reply)


def test_mail_permits_what_was_offered() -> None:
    for argument in (b"FROM:<> SIZE=1", b"FROM:<> BODY=7BIT", b"FROM:<> SMTPUTF8"):
        parse_mail(argument, OFFERED)
        with pytest.raises(CommandError, match=r"^555 "):
            parse_mail(argument, {})


def test_rcpt() -> None:
    assert str(parse_rcpt(b"to:<@a.example,@b.example:Alice@EXAMPLE.test>", smtputf8=False)) == "Alice@example.test"
    assert parse_rcpt(b"TO:<PostMaster>", smtputf8=False).is_postmaster
    assert parse_rcpt("TO: <jürgen@b.c>".encode(), smtputf8=True).local == "jürgen"


@pytest.mark.parametrize(
    ("argument", "reply"),
    [
        (b"", replies.BAD_RCPT_SYNTAX),
        (b"FROM:<a@b.c>", replies.BAD_RCPT_SYNTAX),
        (b"TO:<>", replies.BAD_RECIPIENT),
        (b"TO:<a>", replies.BAD_RECIPIENT),
        (b"TO:<a@b.c", replies.BAD_RECIPIENT),
        (b"TO:<a@b.c>junk", Reply(501, "5.5.4", "A blank belongs between address and parameters")),
        (b"TO:<a@b.c> NOTIFY=NEVER", Reply(555, "5.5.4", "Parameter NOTIFY not recognized or not offered")),
        ("TO:<ü@b.c>".encode(), replies.NEEDS_SMTPUTF8_RECIPIENT),
        ("TO:<a@ü.c>".encode(), replies.NEEDS_SMTPUTF8_RECIPIENT),
    ],
)
def test_bad_rcpt(argument: bytes, reply: Reply) -> None:
    with pytest.raises(CommandError) as caught:
        parse_rcpt(argument, smtputf8=False)
    assert caught.value.reply == reply
