"""Authentication-Results: what is written, and what is taken out."""

import re
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st
from spools import MemorySpool

from fastsmtp.errors import PluginLoadError
from fastsmtp.plugin import Address, Authentication, Connection, Hello, NoOptions, Plugin, Transaction
from fastsmtp.testing import Site
from plugins.authentication_results import claimed_id, field_value

OURS = b"mx.example.test"
IPREV = Authentication("iprev", "pass", (("policy", "iprev", "2001:db8::1"),))
SPF = Authentication("spf", "softfail", (("smtp", "mailfrom", "joe@example.org"),), "a long story")


class Checks(Plugin[NoOptions]):
    """Finds the same of everybody."""

    def on_hello(self, connection: Connection, hello: Hello) -> None:
        self.record(connection, "pass", "its name is known", IPREV)

    def on_mail(self, txn: Transaction, sender: Address) -> None:
        self.record(txn, "pass", "nothing about who sent it")
        self.record(txn, "fail", "~all", SPF)


def delivered(header: bytes, *checks: type[Plugin[Any]], **options: object) -> bytes:
    with Site([*checks, ("authentication_results", options)]) as site:
        site.connect("192.0.2.7").send("joe@example.org", "user@example.test", header + b"\nHello\n")
        return site.delivered["user@example.test"][0].removesuffix(b"\nHello\n")


# --- What is written --------------------------------------------------------------------------------------------------


def test_what_was_found_is_on_top() -> None:
    assert delivered(b"To: x\n", Checks) == (
        b"Authentication-Results: mx.example.test;\n"
        b'\tiprev=pass policy.iprev="2001:db8::1";\n'
        b'\tspf=softfail reason="a long story" smtp.mailfrom=joe@example.org\n'
        b"To: x\n"
    )


def test_nothing_was_found() -> None:
    assert delivered(b"To: x\n") == b"Authentication-Results: mx.example.test; none\nTo: x\n"


def test_of_whom_somebody_vouches_for_nothing_was_to_be_found() -> None:
    with Site([("access", {"trust": ["192.0.2.0/24"]}), "authentication_results"]) as site:
        client = site.connect("192.0.2.7")
        client.send("", "user@example.test", b"Authentication-Results: mx.example.test; spf=pass\nTo: x\n\n")
        assert site.delivered["user@example.test"] == [b"To: x\n\n"]


def test_who_has_logged_in_is_a_result() -> None:
    with Site(["authentication_results"], passwords={"ann@example.test": "secret"}) as site:
        client = site.connect()
        client.hello()
        client.login("ann@example.test", "secret")
        client.send("ann@example.test", "ann@example.test", b"To: x\n\n")
        assert site.delivered["ann@example.test"] == [
            b"Authentication-Results: mx.example.test;\n\tauth=pass smtp.auth=ann@example.test\nTo: x\n\n"
        ]


def test_what_was_found_twice_is_said_once() -> None:
    with Site([Checks, "authentication_results"]) as site:
        client = site.connect()
        client.hello()
        client.hello()
        client.send("", "user@example.test", b"To: x\n\n")
        assert site.delivered["user@example.test"][0].count(b"iprev=pass") == 1


def test_every_transaction_has_its_own() -> None:
    with Site([Checks, "authentication_results"]) as site:
        client = site.connect()
        for _ in range(2):
            client.send("", "user@example.test", b"To: x\n\n")
        assert [message.count(b"spf=") for message in site.delivered["user@example.test"]] == [1, 1]


@pytest.mark.parametrize(
    ("value", "written"),
    [
        ("joe@example.org", "joe@example.org"),
        ("a+b=c.d/e@x-y.example", "a+b=c.d/e@x-y.example"),
        ("@example.org", "@example.org"),
        ("192.0.2.1", "192.0.2.1"),
        ("2001:db8::1", '"2001:db8::1"'),
        ("joe@[192.0.2.1]", '"joe@[192.0.2.1]"'),
        ('"a b"@example.org', '"\\"a b\\"@example.org"'),
        ("back\\slash", '"back\\\\slash"'),
        ("", '""'),
        ("a\r\nb\0c", '"a??b?c"'),
        ("a;b (c)", '"a;b (c)"'),
        ("jörg@example.org", "j?rg@example.org"),
        ("\ud800", '"?"'),
    ],
)
def test_values_are_quoted_where_they_need_it(value: str, written: str) -> None:
    found = Authentication("spf", "pass", (("smtp", "mailfrom", value),))
    assert field_value("mx", [found]) == f"mx;\n\tspf=pass smtp.mailfrom={written}"


def test_internationalized_mail_has_internationalized_values() -> None:
    found = Authentication("spf", "pass", (("smtp", "mailfrom", "jörg@example.org"),))
    assert field_value("mx", [found], utf8=True) == 'mx;\n\tspf=pass smtp.mailfrom="jörg@example.org"'


def test_long_lines_are_folded_between_words() -> None:
    properties = tuple(("smtp", name, "x" * 40) for name in ("mailfrom", "helo", "auth"))
    assert field_value("mx", [Authentication("spf", "pass", properties)]).split("\n") == [
        "mx;",
        f"\tspf=pass smtp.mailfrom={'x' * 40}",
        f"\tsmtp.helo={'x' * 40}",
        f"\tsmtp.auth={'x' * 40}",
    ]


WORDS = st.sampled_from(["spf", "softfail", "dkim", "x-own", "policy", "mailfrom", "remote-ip"])
TEXTS = st.text(max_size=40) | st.text(st.sampled_from('a" \\;()=\r\n\t\0@.é'), max_size=400)
FINDINGS = st.builds(Authentication, WORDS, WORDS, st.lists(st.tuples(WORDS, WORDS, TEXTS)).map(tuple), TEXTS)


def as_written(text: str, *, utf8: bool) -> str:
    """What becomes of a value."""
    plain = "".join(char if char.isprintable() and (utf8 or char.isascii()) else "?" for char in text)
    return plain.encode()[:300].decode(errors="ignore")


def read_back(value: str) -> tuple[str, list[tuple[str, str, list[tuple[str, str]]]]]:
    """Authserv-id, and method, result and `name=value` of each result, read as RFC 8601 section 2.2 has it."""
    position = 0

    def take(pattern: str) -> str:
        nonlocal position
        found = re.compile(pattern).match(value, position)
        assert found, (pattern, value[position:])
        position = found.end()
        return found[0]

    def unquoted(text: str) -> str:
        return re.sub(r"\\(.)", r"\1", text[1:-1]) if text.startswith('"') else text

    atom = r"[^][\s()<>@,;:\\\"/?=]+"
    plain = rf'"(?:[^"\\]|\\.)*"|{atom}'
    mailbox = rf"{plain}(?!\S*@)|[^\s;\"\\()<>,:@]*@[A-Za-z0-9.-]+"
    name = unquoted(take(plain))
    results: list[tuple[str, str, list[tuple[str, str]]]] = []
    if value[position:] == "; none":
        return name, results
    while position < len(value):
        take(";\\s")
        method, _, result = take("[a-z-]+=[a-z-]+").partition("=")
        pairs: list[tuple[str, str]] = []
        while value[position : position + 1] == " ":
            key = take("\\s[a-z.-]+=")[1:-1]
            pairs.append((key, unquoted(take(plain if key == "reason" else mailbox))))
        results.append((method, result, pairs))
    return name, results


@given(TEXTS, st.lists(FINDINGS, max_size=4), st.booleans())
def test_whatever_was_found_is_read_back(authserv_id: str, findings: list[Authentication], utf8: bool) -> None:
    value = field_value(authserv_id, findings, utf8=utf8)
    lines = value.split("\n")
    assert all(line.isprintable() for line in (lines[0], *(line.removeprefix("\t") for line in lines[1:])))
    assert all(len(line.encode()) < 998 - len("Authentication-Results: ") for line in lines)
    assert utf8 or value.isascii()
    unfolded = value.replace("\n\t", " ")
    assert read_back(unfolded) == (
        as_written(authserv_id, utf8=utf8),
        [
            (
                found.method,
                found.result,
                [("reason", as_written(found.reason, utf8=utf8))] * bool(found.reason)
                + [(f"{kind}.{name}", as_written(text, utf8=utf8)) for kind, name, text in found.properties],
            )
            for found in findings
        ],
    )
    claimed = claimed_id(unfolded.encode())
    assert claimed == as_written(authserv_id, utf8=utf8)


# --- What is taken out ------------------------------------------------------------------------------------------------


@pytest.mark.parametrize(
    "value",
    [
        b"mx.example.test; spf=pass",
        b"mx.example.test;spf=pass",
        b"MX.Example.TEST; spf=pass",
        b"mx.example.test 1; spf=pass",
        b"mx.example.test 77; spf=pass",
        b"mx.example.test\n\t1\n ; spf=pass",
        b"(a comment) mx.example.test (another) 1 (third); spf=pass",
        b"(nested (comments \\) ( ) here)) mx.example.test; spf=pass",
        b'"mx.example.test"; spf=pass',
        b'"m\\x.example.test"; spf=pass',
        b"mx.example.test.; spf=pass",
        b"mx.example.test; none",
        b"mx.example.test",
        "\uff4d\uff58.example.test; spf=pass".encode(),  # full width
        # Nobody knows what a reader makes of these.
        b"",
        b"; spf=pass",
        b"spf=pass smtp.mailfrom=a@b",
        b"(no end mx.example.test; spf=pass",
        b"mx.example.test/1; spf=pass",
        b"mx.example.test spf=pass",
        b"mx.example.test@other.example; spf=pass",
        b"\0mx.example.test; spf=pass",
        b'"mx.example.test; spf=pass',
    ],
)
def test_forged_fields_are_removed(value: bytes) -> None:
    top = b"Authentication-Results: mx.example.test; none\n"
    header = b"To: x\nAuthentication-Results: " + value + b"\nAUTHENTICATION-results :" + value + b"\nCc: y\n"
    assert delivered(header) == top + b"To: x\nCc: y\n"


@pytest.mark.parametrize(
    "field",
    [
        b"Authentication-Results: mx.example.org; spf=pass",
        b"Authentication-Results: (mx.example.test) mx.example.org; spf=pass",
        b"Authentication-Results: mx.example.test.example.org; spf=pass",
        b"Authentication-Results: other 1; spf=pass reason=mx.example.test",
        b"ARC-Authentication-Results: i=1; mx.example.test; spf=pass",
        b"X-Authentication-Results: mx.example.test; spf=pass",
        b"Subject: Authentication-Results: mx.example.test; spf=pass",
    ],
)
def test_fields_of_others_stay(field: bytes) -> None:
    assert delivered(field + b"\n") == b"Authentication-Results: mx.example.test; none\n" + field + b"\n"


def test_what_was_removed_is_on_record() -> None:
    with Site(["authentication_results"]) as site:
        field = b"Authentication-Results: mx.example.test; none\n"
        for count in range(3):
            site.connect().send("", "user@example.test", field * count + b"\n")
        evidence = [[result.evidence for result in txn.results] for txn in site.transactions]
        assert evidence == [
            [],
            ["1 Authentication-Results field removed"],
            ["2 Authentication-Results fields removed"],
        ]


def test_a_field_of_a_large_message_is_removed() -> None:
    with Site(["authentication_results"], spool_above=1024, make_spool=MemorySpool) as site:
        site.connect().send(
            "", "user@example.test", b"Authentication-Results: mx.example.test; none\n\n" + b"x\n" * 5000
        )
        assert site.delivered["user@example.test"][0].count(b"Authentication-Results") == 1


def test_names_of_ours_and_internationalized_ones() -> None:
    header = b"Authentication-Results: mx2.example.test; none\nAuthentication-Results: xn--bcher-kva.example; none\n"
    header += "Authentication-Results: BÜCHER.example; none\n".encode()
    left = delivered(header, authserv_id="bücher.example", own_ids=["MX2.example.test"])
    assert left == b'Authentication-Results: "b?cher.example"; none\n'


def test_all_fields_may_be_removed() -> None:
    header = b"Authentication-Results: other.example; none\nARC-Authentication-Results: i=1; other.example; none\n"
    left = delivered(header, remove_all=True)
    assert left == b"Authentication-Results: mx.example.test; none\n" + header.partition(b"\n")[2]


@pytest.mark.parametrize(("network", "count"), [("192.0.2.0/24", 2), ("198.51.100.0/24", 1), ("unix", 1)])
def test_servers_of_ours_keep_their_fields(network: str, count: int) -> None:
    left = delivered(b"Authentication-Results: mx.example.test; spf=pass\n", keep_from=[network])
    assert left.count(b"Authentication-Results") == count


def test_in_shadow_nothing_is_written_and_nothing_removed() -> None:
    message = b"Authentication-Results: mx.example.test; none\n\n"
    with Site([{"use": "authentication_results", "mode": "shadow"}]) as site:
        site.connect().send("", "user@example.test", message)
        assert site.delivered["user@example.test"] == [message]


@given(st.lists(st.sampled_from(['"', "\\", "(", ")", ";", " ", "1", "mx.example.test", "é"]), max_size=12))
def test_any_value_is_read_or_given_up(pieces: list[str]) -> None:
    claimed = claimed_id("".join(pieces).encode())
    assert claimed is None or isinstance(claimed, str)


@pytest.mark.parametrize("name", ["a\nb", " mx", "mx\0"])
def test_ids_that_cannot_be_meant(name: str) -> None:
    with pytest.raises(PluginLoadError, match="cannot be an authserv-id"):
        Site([("authentication_results", {"authserv_id": name})])
