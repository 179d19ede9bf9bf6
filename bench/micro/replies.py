"""Replies: one that is there, and one that is made for the occasion."""

from collections.abc import Iterator

from bench.micro.figures import Figure, best_ns
from fastsmtp.smtp.replies import OK, Reply

__all__ = ["figures"]


def figures() -> Iterator[Figure]:
    """Nanoseconds each."""
    yield Figure("a constant reply's bytes", best_ns(lambda: OK.wire, 200_000), "ns")
    plain = best_ns(lambda: Reply(250, "2.0.0", "kept as 4Xk2Qd1Zz9z3xQ").wire, 20_000)
    yield Figure("a reply made and encoded", plain, "ns")
    lines = "mx.example.org\nPIPELINING\nSIZE 26214400\n8BITMIME\nENHANCEDSTATUSCODES\nSMTPUTF8"
    yield Figure("one of six lines", best_ns(lambda: Reply(250, "", lines).wire, 20_000), "ns")
    unsafe = best_ns(lambda: Reply(550, "5.1.1", "no <\x1bstrange\xff@example.org> here").wire, 20_000)
    yield Figure("one that echoes what is not printable", unsafe, "ns")
