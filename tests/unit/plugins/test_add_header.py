"""A header field on top of every message."""

import pytest
from hypothesis import given
from hypothesis import strategies as st

from fastsmtp.errors import PluginLoadError
from fastsmtp.testing import Site

MESSAGE = b"Subject: hi\n\nHello\n"


def add_header(name: str, value: str) -> Site:
    return Site([("add_header", {"name": name, "value": value})])


def test_the_field_stands_on_top_and_the_message_is_as_it_was() -> None:
    with add_header("X-Site", "one") as site:
        site.connect().send("somebody@example.org", "user@example.test", MESSAGE)
        assert site.delivered == {"user@example.test": [b"X-Site: one\n" + MESSAGE]}
        (result,) = site.transactions[0].results
        assert (result.plugin, result.outcome, result.evidence) == ("add_header", "pass", "X-Site added")


def test_two_entries_add_two_fields() -> None:
    options = [{"name": "X-A", "value": "1"}, {"name": "X-B", "value": "2"}]
    with Site([{"use": "add_header", "name": o["name"], "options": o} for o in options]) as site:
        site.connect().send("", "user@example.test", MESSAGE)
        assert site.delivered["user@example.test"] == [b"X-B: 2\nX-A: 1\n" + MESSAGE]


def test_placeholders_are_filled() -> None:
    with add_header("X-From", "{id} {remote_address} {helo} <{sender}> {not one}") as site:
        client = site.connect(ip="2001:db8::1")
        client.hello("mx.example.net")
        client.send("Ann@example.org", "user@example.test", MESSAGE)
        client.send("", "user@example.test", MESSAGE)
        first, second = site.delivered["user@example.test"]
        assert first.startswith(b"X-From: T1 2001:db8::1 mx.example.net <Ann@example.org> {not one}\n")
        assert second.startswith(b"X-From: T2 2001:db8::1 mx.example.net <> {not one}\n")


def test_braces_that_a_client_sends_mean_nothing() -> None:
    with add_header("X-From", "{helo} {sender}") as site:
        client = site.connect()
        client.hello("{id}")
        client.send("{helo.__class__}@example.org", "user@example.test", MESSAGE)
        assert site.delivered["user@example.test"][0].startswith(b"X-From: {id} {helo.__class__}@example.org\nSubject")


def test_no_sender_can_begin_a_field() -> None:
    locals_ = st.text(st.characters(exclude_categories=["Cs"], exclude_characters='"\\@<>'), min_size=1, max_size=40)

    with add_header("X-Sender", "{sender}") as site:

        @given(locals_)
        def check(local: str) -> None:
            client = site.connect()
            client.hello()
            if client.say(f'MAIL FROM:<"{local}"@example.org> SMTPUTF8\r\n'.encode())[0].code != 250:
                return  # the grammar of addresses keeps it out already
            client.rcpt("user@example.test")
            client.data(MESSAGE)
            added, rest = site.delivered["user@example.test"].pop().split(b"\n", 1)
            assert rest == MESSAGE
            assert added.startswith(b"X-Sender: ")
            assert added.decode().isprintable()

        check()


@pytest.mark.parametrize(
    ("name", "value", "problem"),
    [
        ("X Y", "1", "'X Y' is not the name of a header field"),
        ("X-Y", "\0", "a header field cannot hold a NUL"),
        ("X-Y", "{mailfrom}", "there is no {mailfrom}; there are {helo}, {id}, {remote_address}, {sender}"),
    ],
)
def test_options_that_cannot_be_meant(name: str, value: str, problem: str) -> None:
    with pytest.raises(PluginLoadError) as caught:
        add_header(name, value)
    assert caught.value.problems == (f"plugin[0].options: {problem}",)


def test_both_options_have_to_be_given() -> None:
    with pytest.raises(PluginLoadError) as caught:
        Site(["add_header"])
    assert caught.value.problems == (
        "plugin[0].options.name: Field required",
        "plugin[0].options.value: Field required",
    )
