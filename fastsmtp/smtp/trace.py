"""The trace fields that a receiver puts on top of a message (RFC 5321 section 4.4), as stored: lines end in LF.

Nothing that a client or a plugin gave can begin a line of its own here.
"""

import re
from datetime import UTC, datetime
from email.utils import format_datetime
from functools import lru_cache
from typing import Final

from fastsmtp._parser import is_printable_ascii
from fastsmtp.smtp.address import Address
from fastsmtp.smtp.transaction import Transaction

__all__ = ["delivered_to", "received", "return_path"]

_LINE_COLUMNS: Final = 78  # RFC 5322 section 2.1.1
_UNPRINTABLE = re.compile(r"[\x00-\x1f\x7f-\x9f\u2028\u2029]")
_PROTOCOLS: Final = {"HELO": "SMTP", "EHLO": "ESMTP", "LHLO": "LMTP"}  # RFC 5321 section 4.4, RFC 3848

# Section 4.1.3, and host names with the underscores that real ones have.
_LABEL = r"[A-Za-z0-9_](?:[A-Za-z0-9_-]{0,61}[A-Za-z0-9_])?"
_is_hello_name = re.compile(
    rf"(?=.{{1,255}}\Z)(?:{_LABEL}(?:\.{_LABEL})*\.?|\[(?:[0-9.]{{7,15}}|[Ii][Pp][Vv]6:[0-9A-Fa-f:.]{{2,45}})\])\Z"
).match


def return_path(sender: Address) -> bytes:
    """`Return-Path: <sender>`, empty brackets for the null sender."""
    return f"Return-Path: <{_text(sender)}>\n".encode()


def delivered_to(recipient: Address) -> bytes:
    """`Delivered-To: recipient`: the address of the RCPT command, one field in each copy (RFC 9228)."""
    return f"Delivered-To: {_text(recipient)}\n".encode()


def received(transaction: Transaction, hostname: str, now: float) -> bytes:
    """The `Received:` field of a message that `hostname` takes at `now` (seconds since the epoch).

    `for` is there only when there is one recipient: a copy must not tell of the others (section 7.2).
    """
    connection = transaction.connection
    hello = connection.hello
    tls = connection.tls
    begun = _origin(
        "HELO" if hello is None else hello.verb,
        "" if hello is None else hello.name,
        connection.remote_name,
        connection.remote_address,
        hostname,
        "" if tls is None else tls.version,
        transaction.smtputf8,
        connection.user != "",
    )
    words = [f"id {transaction.id}"]
    if len(transaction.recipients) == 1:
        words.append(f"for <{_text(transaction.recipients[0].address)}>")
    if tls is not None:
        words.append(f"tls {tls.cipher}")  # RFC 8314 section 4.3
    text, _ = _fold(begun, words)
    return f"{text};\n\t{_date(int(now))}\n".encode()


def _protocol(verb: str, tls_version: str, *, smtputf8: bool, is_authenticated: bool) -> str:
    """What stands behind `with`: the protocol and, in a comment, the version of TLS."""
    # RFC 6531 section 4.3 has a word of its own for internationalized mail.
    protocol = _PROTOCOLS[verb]
    if smtputf8:
        protocol = "UTF8LMTP" if protocol == "LMTP" else "UTF8SMTP"
    # RFC 3848: S is TLS, A is AUTH; there are no such words for a client that said HELO.
    if protocol != "SMTP":
        protocol = f"{protocol}{'S' if tls_version else ''}{'A' if is_authenticated else ''}"
    return f"{protocol} ({tls_version})" if tls_version else protocol


@lru_cache(maxsize=1024)
def _origin(
    verb: str,
    hello_name: str,
    remote_name: str,
    address: str,
    hostname: str,
    tls_version: str,
    smtputf8: bool,
    is_authenticated: bool,
) -> tuple[str, int]:
    """The first words of the field: the same for all messages of a connection, and of a client that comes again."""
    name = hello_name if _is_hello_name(hello_name) else "invalid"
    protocol = _protocol(verb, tls_version, smtputf8=smtputf8, is_authenticated=is_authenticated)
    literal = f"[{_literal(address)}])"
    # TCP-info (section 4.4) is optional, and a client on a Unix socket has no address.
    client = [f"({remote_name}", literal] if address and remote_name else [f"({literal}"] if address else []
    words = [f"from {name}", *client, f"by {hostname}", f"with {protocol}"]
    return _fold(("Received:", len("Received:") + 1), words)  # one more column leaves room for the semicolon


def _text(address: Address) -> str:
    text = str(address)
    return text if is_printable_ascii(text) or text.isprintable() else _UNPRINTABLE.sub("?", text)


def _literal(address: str) -> str:
    """An IP address as in an address literal (section 4.1.3), without the scope of a link-local one."""
    return f"IPv6:{address.partition('%')[0]}" if ":" in address else address


def _fold(begun: tuple[str, int], words: list[str]) -> tuple[str, int]:
    """More words behind what was begun, in lines of at most 78 columns where the words permit that.

    What was begun, and what comes out, is a text and the column in which it ends.
    """
    field, column = begun
    for word in words:
        column += len(word) + 1
        if column > _LINE_COLUMNS:
            field = f"{field}\n\t{word}"
            column = len(word) + 2
        else:
            field = f"{field} {word}"
    return field, column


@lru_cache(maxsize=8)
def _date(second: int) -> str:
    """RFC 5322 section 3.3, in UTC."""
    return format_datetime(datetime.fromtimestamp(second, UTC))
