"""Parameters: which extension permits them, what they may say, and what a wrong one is answered."""

import pytest
from hypothesis import given
from hypothesis import strategies as st

from fastsmtp.smtp.extensions import (
    MailParameters,
    ParameterError,
    offers,
    parse_mail_parameters,
    parse_rcpt_parameters,
)

OFFERED = offers(26_214_400)


def test_offers() -> None:
    assert OFFERED == {
        "PIPELINING": "",
        "SIZE": "26214400",
        "8BITMIME": "",
        "ENHANCEDSTATUSCODES": "",
        "SMTPUTF8": "",
        "CHUNKING": "",
        "BINARYMIME": "",
    }


@pytest.mark.parametrize("value", [b"<>", b"ann@example.org", b"e+3Dmc2@example.com", b"a+2Bb@example.org"])
def test_auth_is_read_and_forgotten(value: bytes) -> None:
    assert parse_mail_parameters(b" AUTH=" + value, {**OFFERED, "AUTH": "PLAIN"}) == MailParameters()


@pytest.mark.parametrize(
    "value",
    [b"", b"=", b"=ann", b"=+3C+3E", b"=a+3db@example.org", b"=a+@example.org", b"=a+0A@b.example", b"=+FF@b.c"],
)
def test_auth_that_is_no_mailbox(value: bytes) -> None:
    with pytest.raises(ParameterError) as caught:
        parse_mail_parameters(b" AUTH" + value, {**OFFERED, "AUTH": "PLAIN"})
    assert caught.value.reply.code == 501


def test_auth_where_it_is_not_offered() -> None:
    with pytest.raises(ParameterError) as caught:
        parse_mail_parameters(b" AUTH=<>", OFFERED)
    assert str(caught.value.reply).startswith("555 5.5.4 ")


@pytest.mark.parametrize(
    ("messages", "recipients", "offered"),
    [
        (1000, 100, "MAILMAX=1000 RCPTMAX=100"),
        (0, 100, "RCPTMAX=100"),
        (1, 0, "MAILMAX=1"),
        (999_999, 1_000_000, "MAILMAX=999999"),
        (0, 0, None),
        (1_000_000, 0, None),
    ],
)
def test_limits_are_offered_that_there_are(messages: int, recipients: int, offered: str | None) -> None:
    assert offers(1, messages, recipients).get("LIMITS") == offered


@pytest.mark.parametrize(
    ("rest", "parameters"),
    [
        (b"", MailParameters()),
        (b" ", MailParameters()),
        (b" SIZE=0", MailParameters(size=0)),
        (b" size=12345678901234567890", MailParameters(size=12_345_678_901_234_567_890)),
        (b" BODY=7bit", MailParameters(body="7BIT")),
        (b" Body=8BitMime", MailParameters(body="8BITMIME")),
        (b" BODY=BinaryMIME", MailParameters(body="BINARYMIME")),
        (b" SMTPUTF8", MailParameters(smtputf8=True)),
        (b"  SMTPUTF8 \t BODY=8BITMIME  SIZE=1", MailParameters(1, "8BITMIME", smtputf8=True)),
    ],
)
def test_good_parameters(rest: bytes, parameters: MailParameters) -> None:
    assert parse_mail_parameters(rest, OFFERED) == parameters


@pytest.mark.parametrize(
    "rest",
    [
        b" SIZE",
        b" SIZE=",
        b" SIZE=x",
        b" SIZE=-1",
        b" SIZE=+1",
        b" SIZE=1.0",
        b" SIZE=0x10",
        b" SIZE=1_0",
        b" SIZE=\xd9\xa1",
        b" SIZE=123456789012345678901",
        b" SIZE=1=1",
        b" SIZE=1 SIZE=1",
        b" BODY",
        b" BODY=",
        b" BODY=BINARY",
        b" SMTPUTF8=",
        b" SMTPUTF8=1",
        b" SMTPUTF8 smtputf8",
        b" =1",
        b" -A=1",
        b" A_B=1",
        b" \xc3\xbc=1",
        b" \x00",
        b"SIZE=1",
        b"\tSIZE=1",
        b">",
    ],
)
def test_malformed_parameters_are_501(rest: bytes) -> None:
    with pytest.raises(ParameterError) as caught:
        parse_mail_parameters(rest, OFFERED)
    assert (caught.value.reply.code, caught.value.reply.enhanced) == (501, "5.5.4")


@pytest.mark.parametrize("rest", [b" X", b" X=1", b" AUTH=<>", b" RET=FULL", b" ENVID=1", b" 8BITMIME", b" PIPELINING"])
def test_unknown_parameters_are_555(rest: bytes) -> None:
    with pytest.raises(ParameterError) as caught:
        parse_mail_parameters(rest, OFFERED)
    assert (caught.value.reply.code, caught.value.reply.enhanced) == (555, "5.5.4")


@pytest.mark.parametrize(
    ("extension", "rest"),
    [("SIZE", b" SIZE=1"), ("8BITMIME", b" BODY=7BIT"), ("SMTPUTF8", b" SMTPUTF8"), ("REQUIRETLS", b" REQUIRETLS")],
)
def test_a_parameter_counts_while_its_extension_is_on_offer(extension: str, rest: bytes) -> None:
    offered = {keyword: "" for keyword in OFFERED if keyword != extension}
    with pytest.raises(ParameterError, match=r"^555 "):
        parse_mail_parameters(rest, offered)
    parse_mail_parameters(rest, {extension: ""})


def test_requiretls_is_a_word_and_no_more() -> None:
    offered = {"REQUIRETLS": ""}
    assert parse_mail_parameters(b" requiretls", offered) == MailParameters(require_tls=True)
    with pytest.raises(ParameterError, match=r"^501 5\.5\.4 "):
        parse_mail_parameters(b" REQUIRETLS=yes", offered)


@pytest.mark.parametrize("missing", ["CHUNKING", "BINARYMIME"])
def test_a_binary_body_needs_two_extensions(missing: str) -> None:
    offered = {keyword: "" for keyword in OFFERED if keyword != missing}
    with pytest.raises(ParameterError, match=r"^501 5\.5\.4 .*right is BODY=7BIT or BODY=8BITMIME$"):
        parse_mail_parameters(b" BODY=BINARYMIME", offered)


def test_no_parameter_is_permitted_on_rcpt() -> None:
    parse_rcpt_parameters(b"")
    parse_rcpt_parameters(b" ")
    for rest in (b" NOTIFY=NEVER", b" SIZE=1", b" ORCPT=rfc822;a@b.c"):
        with pytest.raises(ParameterError, match=r"^555 "):
            parse_rcpt_parameters(rest)
    for rest in (b"x", b" =", b" X X"):
        with pytest.raises(ParameterError, match=r"^501 "):
            parse_rcpt_parameters(rest)


@given(st.binary(max_size=60))
def test_any_bytes_are_parameters_or_a_parameter_error(rest: bytes) -> None:
    refusal = 0
    try:
        parse_mail_parameters(rest, OFFERED)
    except ParameterError as error:
        refusal = error.reply.code
    assert refusal in (0, 501, 555)
    assert refusal == 501 or rest[:1] in (b"", b" ")
