"""Headers that are not what RFC 5322 asks for."""

from email.utils import formatdate

import pytest
from hypothesis import given
from hypothesis import strategies as st

from fastsmtp.errors import PluginLoadError
from fastsmtp.testing import Site

DAY_S = 86_400
GOOD = b"From: a@example.org\nDate: Tue, 14 Nov 2023 22:13:20 +0000\n"


def send(header: bytes, **options: object) -> tuple[str, list[str]]:
    """What the client hears, and `outcome evidence` of each result."""
    with Site([("headers", options)]) as site:
        reply = site.connect().send("somebody@example.org", "user@example.test", header + b"\nHello\n")
        return str(reply), [f"{result.outcome} {result.evidence}" for result in site.transactions[-1].results]


def test_a_header_as_it_should_be() -> None:
    reply, results = send(GOOD)
    assert reply == "250 2.0.0 kept as T1"
    assert results == ["pass header as it should be"]


@pytest.mark.parametrize(
    ("header", "fault"),
    [
        (b"", "no Date; no From"),
        (b"From: a@example.org\n", "no Date"),
        (b"From:\nDate: x\n", "no From"),
        (GOOD + b"from: b@example.org\n", "2 times From"),
        (GOOD + b"Subject: a\nsubject: b\nSUBJECT: c\n", "3 times Subject"),
        (GOOD + b"Message-ID: <a@b>\nMessage-ID: <a@b>\nTo: x@y\nTo: x@y\n", "2 times Message-ID; 2 times To"),
    ],
)
def test_fields_that_are_missing_or_there_twice(header: bytes, fault: str) -> None:
    reply, results = send(header)
    assert reply == f"550 5.6.0 The header of this message is wrong: {fault.partition('; ')[0]}"
    assert results == [f"fail {fault}"]


def test_trace_and_optional_fields_may_be_there_often() -> None:
    assert send(GOOD + b"Received: a\nReceived: b\nComments: a\nComments: b\nX-A: a\nX-A: b\n")[0].startswith("250 ")


def test_a_message_that_is_all_header() -> None:
    with Site(["headers"]) as site:
        assert site.connect().send("", "user@example.test", b"Subject: hi\n").code == 550


def test_fields_of_the_operator() -> None:
    options = {"required": ["X-Ticket"], "singular": ["x-ticket"]}
    assert send(b"X-Ticket: 1\nSubject: a\nSubject: b\n", **options)[0].startswith("250 ")
    assert send(b"X-Ticket: 1\nX-TICKET: 2\n", **options)[1] == ["fail 2 times x-ticket"]


@pytest.mark.parametrize(
    ("offset_days", "fault"),
    [
        (-6.0, "fail a Date 6 days ago"),
        (-4.9, "pass header as it should be"),
        (0, "pass header as it should be"),
        (0.9, "pass header as it should be"),
        (3.0, "fail a Date 3 days from now"),
    ],
)
def test_the_window_of_the_date(offset_days: float, fault: str) -> None:
    with Site([("headers", {"past_days": 5, "future_days": 1})]) as site:
        date = formatdate(site.clock.time() + offset_days * DAY_S)
        site.connect().send("", "user@example.test", f"From: a@example.org\nDate: {date}\n\n".encode())
        (result,) = site.transactions[0].results
        assert f"{result.outcome} {result.evidence}" == fault


def test_a_date_is_not_looked_at_without_a_window() -> None:
    assert send(b"From: a@example.org\nDate: tomorrow\n")[0].startswith("250 ")
    assert send(b"From: a@example.org\nDate: tomorrow\n", past_days=5)[1] == ["fail a Date that cannot be read"]


@pytest.mark.parametrize(
    "date",
    [
        b"Mon, 1 Jan 99999 00:00:00 +0000",
        b"Mon, 1 Jan 0000 00:00:00 +0000",
        b"Mon, 1 Jan 2023 00:00:00 +99999999999999999999",
        b"Mon, 31 Feb 2023 99:99:99 +0000",
        b"Mon, " + b"9" * 5000 + b" Jan 2023 00:00:00 +0000",
        b"\xff\xfe\x80",
        b", , ,",
    ],
)
def test_dates_that_parsers_stumble_over(date: bytes) -> None:
    reply, results = send(b"From: a@example.org\nDate: " + date + b"\n", past_days=5, future_days=5)
    assert reply.startswith("550 5.6.0 ")
    assert results[0].startswith("fail a Date")


def test_no_date_is_a_fault_of_ours() -> None:
    dates = st.from_regex(rb"[0-9]{1,5} [A-Z][a-z]{2,3} [0-9]{1,6} [0-9:]{1,9} [+-]?[0-9A-Z]{1,9}", fullmatch=True)

    with Site([("headers", {"past_days": 5})]) as site:

        @given(dates | st.binary(max_size=60))
        def check(date: bytes) -> None:
            value = date.replace(b"\r", b"").replace(b"\n", b"")
            site.connect().send("", "user@example.test", b"From: a@example.org\nDate: 1" + value + b"\n\n")
            assert site.count("fastsmtp_plugin_answers_total", answer="fault") == 0

        check()


def test_what_is_wrong_can_be_recorded_only() -> None:
    reply, results = send(b"Subject: hi\n", reject=False)
    assert reply.startswith("250 ")
    assert results == ["fail no Date; no From"]


@pytest.mark.parametrize(
    ("options", "problem"),
    [
        ({"past_days": 0}, "plugin[0].options: `past_days` is a number of days above 0, not 0"),
        ({"future_days": -1}, "plugin[0].options: `future_days` is a number of days above 0, not -1"),
        ({"required": ["Fr om"]}, "plugin[0].options: 'Fr om' is not the name of a header field"),
    ],
)
def test_options_that_cannot_be_meant(options: dict[str, object], problem: str) -> None:
    with pytest.raises(PluginLoadError) as caught:
        send(b"", **options)
    assert caught.value.problems == (problem,)
