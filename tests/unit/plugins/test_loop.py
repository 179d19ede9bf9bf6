"""Mail that goes round in circles."""

import pytest

from fastsmtp.errors import PluginLoadError
from fastsmtp.smtp.replies import LOOP
from fastsmtp.testing import Site

USERS = ("ann@example.test", "bob@example.test")


def send(header: bytes, *recipients: str, **options: object) -> tuple[str, list[str]]:
    """What the client hears, and the evidence of the plugin."""
    with Site([("loop", options)], USERS) as site:
        reply = site.connect().send("somebody@example.org", recipients or "ann@example.test", header + b"\nHello\n")
        return str(reply), [result.evidence for result in site.transactions[-1].results]


def received(number: int) -> bytes:
    return b"".join(b"Received: from a by b; id %d\n" % index for index in range(number))


def test_too_many_hops() -> None:
    reply, evidence = send(received(101))
    assert reply == "554 5.4.6 This message goes round in circles"
    assert evidence == ["101 Received fields"]


def test_as_many_hops_as_are_permitted() -> None:
    assert send(received(100))[0].startswith("250 ")


def test_hops_below_many_other_fields() -> None:
    reply, evidence = send(b"X: 1\n" * 900 + received(51), max_received=50)
    assert (reply[:9], evidence) == ("554 5.4.6", ["51 Received fields"])


def test_hops_need_not_be_counted() -> None:
    assert send(received(101), max_received=0) == (str(LOOP), [])  # `limits.hops`, not the plugin


@pytest.mark.parametrize(
    ("delivered_to", "recipient"),
    [
        (b"ann@example.test", "ann@example.test"),
        (b"ANN@Example.Test", "ann@example.test"),
        (b" <ann@example.test> ", "ann@example.test"),
        (b"\n\tann@example.test", "ann@example.test"),
        (b"ann+list@example.test", "ann+list@example.test"),
        (b"ann@example.test", "ann+list@example.test"),
    ],
)
def test_delivered_to_a_recipient_before(delivered_to: bytes, recipient: str) -> None:
    reply, evidence = send(b"Delivered-To: x@example.org\nDelivered-To: " + delivered_to + b"\n", recipient)
    assert reply.startswith("554 5.4.6 ")
    assert len(evidence) == 1
    assert evidence[0].startswith("delivered to <")


@pytest.mark.parametrize(
    "delivered_to", [b"bob@example.test", b"ann+other@example.test", b"ann@example.org", b"nonsense", b"\xff@\xfe", b""]
)
def test_delivered_to_somebody_else_before(delivered_to: bytes) -> None:
    assert send(b"Delivered-To: " + delivered_to + b"\n", "ann+list@example.test")[0].startswith("250 ")


def test_one_recipient_of_several_is_enough() -> None:
    assert send(b"Delivered-To: bob@example.test\n", *USERS)[0].startswith("554 ")


def test_delivered_to_need_not_be_looked_at() -> None:
    assert send(b"Delivered-To: ann@example.test\n", delivered_to=False)[0].startswith("250 ")


def test_what_is_said_in_the_body_is_no_header() -> None:
    assert send(b"Subject: x\n\nDelivered-To: ann@example.test\n" + received(200))[0].startswith("250 ")


def test_options_that_cannot_be_meant() -> None:
    with pytest.raises(PluginLoadError, match="`max_received` is a number of fields, or 0"):
        send(b"", max_received=-1)
