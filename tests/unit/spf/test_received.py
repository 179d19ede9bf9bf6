"""Received-SPF."""

from ipaddress import ip_address

from hypothesis import given
from hypothesis import strategies as st

from fastsmtp.smtp.message import Message
from fastsmtp.spf.check import Finding, Identity
from fastsmtp.spf.received import received_spf


def test_the_field() -> None:
    who = Identity(ip_address("2001:db8::7"), "a b", "example.org", "helo.example", "mx.example.test")
    message = Message()
    message.add_header("Received-SPF", received_spf(who, "mailfrom", Finding("pass", "mx of example.org")))
    assert message.added.decode() == (
        "Received-SPF: pass\n"
        "\treceiver=mx.example.test;\n"
        "\tidentity=mailfrom;\n"
        '\tclient-ip="2001:db8::7";\n'
        '\tenvelope-from="a b@example.org";\n'
        "\thelo=helo.example;\n"
        '\tmechanism="mx of example.org"\n'
    )


def test_an_error_is_a_problem() -> None:
    who = Identity(ip_address("192.0.2.7"), "postmaster", "example.org", "example.org")
    assert received_spf(who, "helo", Finding("permerror", "no term: '\"'")).endswith('problem="no term: \'\\"\'"')


@given(st.text(), st.text(), st.text())
def test_nobody_leaves_his_place(local: str, helo: str, reason: str) -> None:
    who = Identity(ip_address("192.0.2.7"), local, "example.org", helo)
    lines = received_spf(who, "helo", Finding("fail", reason)).split("\n")
    assert [line.partition("=")[0] for line in lines] == [
        "fail", "receiver", "identity", "client-ip", "envelope-from", "helo", "mechanism"
    ]  # fmt: skip
    assert all(line.isprintable() and line.isascii() and len(line) < 998 for line in lines)
