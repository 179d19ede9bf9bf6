"""The trace fields on top of a stored message, taken apart by the grammar of RFC 5321 section 4.4, nothing looser."""

import re
from dataclasses import dataclass
from datetime import datetime
from email.utils import parsedate_to_datetime
from typing import Final

_ATEXT = r"[A-Za-z0-9!#$%&'*+/=?^_`{|}~\u0080-\U0010ffff-]"
_LOCAL = rf'(?:{_ATEXT}+(?:\.{_ATEXT}+)*|"(?:[ !#-\[\]-~\u0080-\U0010ffff]|\\[ -~])*")'
_NAME = r"[A-Za-z0-9_](?:[A-Za-z0-9_-]*[A-Za-z0-9_])?"
_DOMAIN = rf"{_NAME}(?:\.{_NAME})*\.?"
_LITERAL = r"\[(?:[0-9]{1,3}(?:\.[0-9]{1,3}){3}|IPv6:[0-9a-f:.]+)\]"
_MAILBOX = rf"{_LOCAL}@(?:{_DOMAIN}|{_LITERAL})"
_DAYS = "Mon|Tue|Wed|Thu|Fri|Sat|Sun"
_MONTHS = "Jan|Feb|Mar|Apr|May|Jun|Jul|Aug|Sep|Oct|Nov|Dec"
_DATE = rf"(?:{_DAYS}), [0-3][0-9] (?:{_MONTHS}) [0-9]{{4}} [0-2][0-9]:[0-5][0-9]:[0-6][0-9] \+0000"

_FWS = "(?: |\n\t)"

_TRACE = re.compile(
    rf"Return-Path: <(?P<return_path>{_MAILBOX}|)>\n"
    rf"Delivered-To: (?P<delivered_to>{_MAILBOX}|postmaster)\n"
    rf"(?P<received>Received:{_FWS}from (?P<name>{_DOMAIN}|{_LITERAL})"
    rf"{_FWS}\((?P<client>(?:{_DOMAIN} )?{_LITERAL})\)"
    rf"{_FWS}by (?P<by>{_DOMAIN}){_FWS}with (?P<protocol>SMTP|(?:ESMTP|UTF8SMTP)S?A?)"
    rf"(?:{_FWS}\((?P<version>TLSv1\.[23])\))?{_FWS}id (?P<id>[0-9A-Z]+)"
    rf"(?:{_FWS}for <(?P<recipient>{_MAILBOX}|postmaster)>)?"
    rf"(?:{_FWS}tls (?P<cipher>TLS_[A-Z0-9_]+))?;\n\t(?P<date>{_DATE})\n)"
)

LINE_COLUMNS: Final = 78
"""RFC 5322 section 2.1.1; a tab counts as one."""


@dataclass(frozen=True, slots=True)
class Trace:
    """The words of the three fields, and the message below them. `recipient` is the word behind `for`, if any.

    `version` and `cipher` are those of TLS.
    """

    return_path: str
    delivered_to: str
    name: str
    client: str
    by: str
    protocol: str
    version: str | None
    id: str
    recipient: str | None
    cipher: str | None
    date: datetime
    received: str
    content: bytes


def split(stored: bytes) -> Trace:
    """Take a stored message apart. Raises AssertionError when it does not begin with the three fields, well formed."""
    lines = stored.split(b"\n", 12)
    end = next(number for number, line in enumerate(lines) if number > 2 and not line.startswith(b"\t"))
    top = b"\n".join([*lines[:end], b""])
    found = _TRACE.fullmatch(top.decode())
    assert found, top
    words = found.groupdict()
    date = parsedate_to_datetime(words.pop("date"))
    return Trace(**words, date=date, content=stored[len(top) :])
