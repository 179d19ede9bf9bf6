"""Write what was found out about who sent a message into its Authentication-Results; take out forged ones."""

import re
import unicodedata
from collections.abc import Iterable, Iterator
from dataclasses import dataclass
from functools import lru_cache
from typing import Final

from fastsmtp.plugin import (
    Authentication,
    Message,
    Networks,
    NetworkSet,
    Plugin,
    Services,
    Transaction,
    canonical_domain,
    packed_address,
    plain_text,
    quoted,
)

__all__ = ["AuthenticationResults", "Options", "claimed_id", "field_value"]

FIELD: Final = "Authentication-Results"

_LINE_COLUMNS: Final = 78  # RFC 5322 section 2.1.1
_is_mailbox = re.compile(  # RFC 8601 section 2.2: what needs no quotes
    r"(?:[\w!#$%&'*+/=?^`{|}~-]+(?:\.[\w!#$%&'*+/=?^`{|}~-]+)*)?@[0-9A-Za-z-]+(?:\.[0-9A-Za-z-]+)*", re.ASCII
).fullmatch
_word_at = re.compile(r'"((?:[^"\\]|\\.)*)"|([^\s\x00-\x1f\x7f()<>@,;:\\"/\[\]?=]+)').match
_version_at = re.compile(r"[0-9]*").match
_NOWHERE: Final = NetworkSet(())


@dataclass(frozen=True, slots=True)
class Options:
    """Ids are compared as in `_comparable`."""

    authserv_id: str = ""
    own_ids: frozenset[str] = frozenset()
    remove_all: bool = False
    keep_from: Networks = _NOWHERE

    def __post_init__(self) -> None:
        for text in (self.authserv_id, *self.own_ids):
            if not text.isprintable() or text.strip() != text:
                raise ValueError(f"{text!r} cannot be an authserv-id; write a name like mx.example.org")


class AuthenticationResults(Plugin[Options]):
    """Puts an Authentication-Results field (RFC 8601) on top of each message: what spf, fcrdns and others found out.

    Name it behind those. It says who logged in, too (`auth=pass`), and `none` when nothing was checked; nothing at all
    when that was so because somebody vouches for the client (`connection.is_trusted`). Fields that claim to be ours
    are forged, and removed (section 5): ids are compared without case, comments, quotes and version, IDNs in either
    form. A field that cannot be read is removed as well: nobody knows what its reader will make of it.

    * `authserv_id` (the hostname): in whose name the field is written.
    * `own_ids`: further names of ours, by which fields are removed as well.
    * `remove_all` (false): all such fields are removed, whoever wrote them.
    * `keep_from`: networks of servers of ours, whose fields stay.
    """

    async def start(self, services: Services) -> None:
        self._id = self.options.authserv_id or services.hostname
        self._own_ids = frozenset(map(_comparable, (self._id, services.hostname, *self.options.own_ids)))

    def on_message(self, txn: Transaction, message: Message) -> None:
        trusted = self.options.keep_from
        if not (trusted and packed_address(txn.connection.remote_address) in trusted):
            removed = message.remove_header(FIELD, self._is_forged)
            if removed:
                self.record(txn, "fail", f"{removed} {FIELD} field{'s' * (removed > 1)} removed")
        findings = _findings(txn)
        if findings or not txn.connection.is_trusted:
            message.add_header(FIELD, field_value(self._id, findings, utf8=txn.smtputf8))

    def _is_forged(self, value: bytes) -> bool:
        if self.options.remove_all:
            return True
        claimed = claimed_id(value)
        return claimed is None or _comparable(claimed) in self._own_ids


def _findings(txn: Transaction) -> list[Authentication]:
    """Each finding once, those about the connection first."""
    findings: list[Authentication] = []
    for result in (*txn.connection.results, *txn.results):
        found = result.authentication
        if found is not None and found not in findings:
            findings.append(found)
    if txn.connection.user:
        findings.append(Authentication("auth", "pass", (("smtp", "auth", txn.connection.user),)))
    return findings


def field_value(authserv_id: str, findings: Iterable[Authentication], *, utf8: bool = False) -> str:
    """The value of the field (RFC 8601 section 2.2), a line for each finding. Without `utf8` all of it is ASCII."""
    lines = [_line(finding, utf8) for finding in findings]
    return ";".join((_written(authserv_id, utf8), *(lines or (" none",))))


@lru_cache(256)
def _written(authserv_id: str, utf8: bool) -> str:
    return quoted(plain_text(authserv_id, utf8=utf8))


@lru_cache(4096)  # who sends a message sends more
def _line(finding: Authentication, utf8: bool) -> str:
    text, column = "", _LINE_COLUMNS  # it begins a line
    for word in _words(finding, utf8=utf8):
        column += len(word) + 1
        text += f" {word}" if column <= _LINE_COLUMNS else f"\n\t{word}"
        if column > _LINE_COLUMNS:
            column = len(word) + 9
    return text


def _words(finding: Authentication, *, utf8: bool) -> Iterator[str]:
    yield f"{finding.method}={finding.result}"
    if finding.reason:
        yield f"reason={quoted(plain_text(finding.reason, utf8=utf8))}"
    for kind, name, value in finding.properties:
        plain = plain_text(value, utf8=utf8)
        yield f"{kind}.{name}={plain if _is_mailbox(plain) else quoted(plain)}"


def claimed_id(value: bytes) -> str | None:
    """The authserv-id of a field as it stands there, without quotes; None for what cannot be read as such a field."""
    text = value.decode(errors="replace")
    try:
        found = _word_at(text, _skip_blank(text, 0))
        if found is None:
            return None
        position = _skip_blank(text, found.end())
        if position > found.end():  # a version stands apart
            position = _skip_blank(text, _version_at(text, position).end())  # type: ignore[union-attr] # it may be empty
    except ValueError:
        return None
    if position < len(text) and text[position] != ";":
        return None
    return found[2] if found[1] is None else re.sub(r"\\(.)", r"\1", found[1])


def _skip_blank(text: str, position: int) -> int:
    """Behind blanks and comments, even nested ones (RFC 5322 section 3.2.2). Raises ValueError for one without end."""
    depth = 0
    while position < len(text):
        char = text[position]
        if char == "(":
            depth += 1
        elif depth and char == ")":
            depth -= 1
        elif depth and char == "\\":
            position += 1
        elif not depth and not char.isspace():
            break
        position += 1
    if depth:
        raise ValueError("a comment has no end")
    return position


def _comparable(authserv_id: str) -> str:
    """The form in which ids are compared: more are the same than a careful reader would say, never fewer."""
    folded = unicodedata.normalize("NFKC", authserv_id).casefold().strip().rstrip(".")
    try:
        return canonical_domain(folded)
    except ValueError:
        return folded
