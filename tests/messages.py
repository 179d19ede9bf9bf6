"""Messages that are hard to store as they are, with what must be stored of each."""

from collections.abc import Iterator
from dataclasses import dataclass
from email.message import EmailMessage
from email.policy import SMTP
from typing import Final

HEADER: Final = b"From: Ann <ann@example.org>\r\nTo: Alice <alice@example.test>\r\nSubject: hard\r\n\r\n"


@dataclass(frozen=True, slots=True)
class Sample:
    """`content` before transparency, `stored` below the trace fields (None: the same with LF for CRLF)."""

    name: str
    content: bytes
    stored_as: bytes | None = None

    @property
    def stored(self) -> bytes:
        return self.content.replace(b"\r\n", b"\n") if self.stored_as is None else self.stored_as

    def __str__(self) -> str:
        return self.name


def samples() -> Iterator[Sample]:
    """All of them, none larger than a few megabytes."""
    yield from _shapes()
    yield from _dots()
    yield from _lines()
    yield from _bytes()
    yield from _return_paths()


def large(octets: int) -> Sample:
    """A message of so many octets on the wire or a line more."""
    line = b"%s\r\n" % (b"0123456789abcdef" * 4)
    return Sample(f"{octets} octets", HEADER + line * (-(-(octets - len(HEADER)) // len(line))))


def _shapes() -> Iterator[Sample]:
    yield Sample("plain", HEADER + b"Hello\r\n")
    yield Sample("empty", b"")
    yield Sample("one empty line", b"\r\n")
    yield Sample("header and empty line", HEADER)
    yield Sample("header only", HEADER.removesuffix(b"\r\n"))
    yield Sample("no header", b"Hello Alice,\r\nthis has no colon.\r\n\r\nAnn\r\n")
    yield Sample("no header, but an empty line in front", b"\r\nHello Alice\r\n")
    # Right below our fields it would continue the last of them; RFC 5322 section 2.2.3.
    yield Sample(
        "first line begins with a space", b" folded into what?\r\n\r\nbody\r\n", b"\n folded into what?\n\nbody\n"
    )
    yield Sample(
        "first line begins with a tab", b"\tX: y\r\nSubject: z\r\n\r\nbody\r\n", b"\n\tX: y\nSubject: z\n\nbody\n"
    )
    yield Sample("first line is a space", b" \r\n" + HEADER, b"\n \n" + HEADER.replace(b"\r\n", b"\n"))
    yield Sample(
        "mbox", b"From ann@example.org Mon Nov 23 00:00:00 2026\r\n" + HEADER + b"From here\r\n>From there\r\n"
    )
    yield Sample("trace fields of others", b"Delivered-To: x@example.org\r\nReceived: from a by b; today\r\n" + HEADER)
    yield Sample("colons and no names", b": nothing\r\n:\r\nSubject : blank before the colon\r\n" + HEADER)
    yield Sample("multipart", _multipart())
    yield Sample("100,000 empty lines", b"\r\n" * 100_000)
    yield Sample("20,000 header fields", b"".join(b"X-%05d: %d\r\n" % (n, n) for n in range(20_000)) + HEADER)
    yield Sample("header of a megabyte", b"X-Folded: a\r\n" + b"\tmore of it\r\n" * 90_000 + HEADER)


def _dots() -> Iterator[Sample]:
    yield Sample("one dot", b".\r\n")
    yield Sample("body of one dot", HEADER + b".\r\n")
    yield Sample("lines that start with dots", HEADER + b"..\r\n...\r\n.a\r\n. \r\n.\t\r\na.\r\n.\r\n.\r\n")
    yield Sample("header that starts with a dot", b".Subject: x\r\n" + HEADER + b"body\r\n")
    yield Sample("100,000 dots", HEADER + b".\r\n" * 100_000)
    # What looks like the end to a server that is not strict is content.
    yield Sample("dot between bare LFs", HEADER + b"a\n.\nb\r\n", HEADER.replace(b"\r\n", b"\n") + b"a\n..\nb\n")
    yield Sample("dot behind a bare CR", HEADER + b"a\r.\rb\r\n")
    yield Sample(
        "smuggled",
        HEADER + b"a\n.\r\nMAIL FROM:<b@c>\r\n",
        HEADER.replace(b"\r\n", b"\n") + b"a\n..\nMAIL FROM:<b@c>\n",
    )


def _lines() -> Iterator[Sample]:
    yield Sample(
        "998 octets", HEADER + b"x" * 998 + b"\r\n" + b"." + b"y" * 997 + b"\r\n"
    )  # RFC 5321 section 4.5.3.1.6
    yield Sample("100,000 octets", HEADER + b"." + b"z" * 99_999 + b"\r\nend\r\n")
    yield Sample("field of 100,000 octets", b"X-Long: " + b"z" * 100_000 + b"\r\n" + HEADER)
    yield Sample("a megabyte of blanks", HEADER + b" " * 1_000_000 + b"\r\n")
    yield Sample("trailing blanks", HEADER + b"a \r\nb\t\r\n \r\n\t\r\n\r\n\r\n")


def _bytes() -> Iterator[Sample]:
    yield Sample("UTF-8", "Subject: Grüße\r\nFrom: Jürgen <jürgen@example.org>\r\n\r\n日本\r\n".encode())
    yield Sample("Latin-1", HEADER + "Grüße\r\n".encode("latin-1"))
    yield Sample("NUL", HEADER + b"\0a\0\r\n\0\r\n" + b"\0" * 1000 + b"\r\n")
    yield Sample("NUL in the header", b"Subject: a\0b\r\n\r\nbody\r\n")
    yield Sample("every byte", HEADER + bytes(range(256)) + b"\r\n")
    yield Sample("bare CR", HEADER + b"a\rb\r\rc\r\n\r\r\n")
    yield Sample("bare CR in the header", b"Subject: a\rX-Not: a field\r\n\r\nbody\r\n")
    yield Sample("bare LF", HEADER + b"a\nb\n\nc\r\n")
    yield Sample("bare LF in the header", b"Subject: x\nFrom: ann@example.org\n\nbody\nmore\r\n")


def _return_paths() -> Iterator[Sample]:
    """RFC 5321 section 4.4: there is one Return-Path, and it is ours."""
    fold = b"Return-Path:\r\n\t<ann@example.org>\r\n  (folded\r\n\ttwice)\r\n"
    yield Sample(
        "Return-Path", b"Return-Path: <ann@example.org>\r\nSubject: x\r\n\r\nbody\r\n", b"Subject: x\n\nbody\n"
    )
    yield Sample("Return-Path, folded", b"A: b\r\n" + fold + b"C: d\r\n\r\nbody\r\n", b"A: b\nC: d\n\nbody\n")
    yield Sample("Return-Path, last field", b"A: b\r\n\tc\r\n" + fold + b"\r\nbody\r\n", b"A: b\n\tc\n\nbody\n")
    yield Sample(
        "Return-Path three times", b"return-path: a\r\nRETURN-PATH : b\r\n" + fold + b"A: b\r\n\r\n", b"A: b\n\n"
    )
    yield Sample("Return-Path and nothing else", b"Return-Path: <>\r\n", b"")
    yield Sample("Return-Path and a body", b"Return-Path: <>\r\n\r\nbody\r\n", b"\nbody\n")
    yield Sample("Return-Path with bare LFs", b"Return-Path: <>\n\tfolded\nA: b\n\nbody\r\n", b"A: b\n\nbody\n")
    yield Sample("Return-Path in the body", HEADER + b"Return-Path: <ann@example.org>\r\n")
    yield Sample("not quite Return-Path", b"Return-Path-Of: x\r\nX-Return-Path: y\r\nReturn-Path\r\n\r\n")
    yield Sample("Return-Path in a folded field", b"A: b\r\n Return-Path: <ann@example.org>\r\n\r\n")


def _multipart() -> bytes:
    message = EmailMessage()
    message["From"] = "Ann <ann@example.org>"
    message["To"] = "Alice <alice@example.test>"
    message["Subject"] = "Bilder aus Österreich"
    message.set_content("Grüße\n.\n..\n", cte="8bit")
    message.add_alternative("<p>Grüße</p>\n", subtype="html", cte="quoted-printable")
    message.add_attachment(bytes(range(256)) * 40, maintype="image", subtype="png", filename="ö.png")
    message.add_attachment("Text\n", filename="readme.txt")
    message.set_boundary(".dots...")
    return message.as_bytes(policy=SMTP)
