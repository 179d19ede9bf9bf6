"""Dialogs as data: SMTP sessions written down in tests/dialogs/*.txt, and who plays them.

    # a comment
    ! limits.recipients = 2                 configuration, as in fastsmtp.toml
    ! [[listener]]                          one that is not the usual: the client comes in at the first of them
    S: 220 mx.example.test ESMTP fastsmtp   a line of the server, exactly
    C: EHLO client.example                  a line of the client; CRLF is added
    C! "QUIT\\n"                             bytes of the client as Python writes them; nothing is added
    C! 3000 * "x"                           the same, many times
    S~ 250 2.0.0 stored as                  a line of the server that begins so
    C: <half-close>                         the client sends no more, but listens
    C: <close>                              the client is gone
    S: <extensions>                         the reply to EHLO or LHLO, whatever it offers
    S: <closed>                             the server has hung up
    stored alice@example.test               there is one message more in this mailbox,
    stored bob@example.test from <a@b.c>    of this sender,
    | Subject: this is it                   and, line by line, with this content below the trace fields
    |
    | It ends here.
    |! "bytes\\0 as Python writes them\\n"
    tls                                     the server has a certificate
    C: <tls>                                the handshake; what is said from here on is encrypted
    protocol lmtp                           what is spoken
    zone example.net MX 10 mx.example.net   what the DNS knows: over a socket, a real server
    room 2000                               so many octets fit on the disk, which is then one that a test can own

Lines of the client that stand together leave together (in one segment, where there is a network). Nothing but what is
written down may be said or stored; the mailboxes are those of USERS, some of whom can log in with PASSWORDS. The id at
the end of a refusal is not written down, and has to be there.
"""

import ast
import re
import tomllib
from collections.abc import Callable, Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any, Final, Protocol

from refusals import without_id

SITE: Final = """\
hostname = "mx.example.test"
directory.postmaster = "postmaster@example.test"
"""
USERS: Final = (
    "alice@example.test",
    "bob@example.test",
    "carol@example.test",
    "postmaster@example.test",
    '"joe smith"@example.test',
    "jürgen@example.test",
    "anna@bücher.example",
)
PASSWORDS: Final = {"alice@example.test": "wonderland"}

_LMTP: Final = """\
[[listener]]
name = "lmtp"
address = "127.0.0.1:0"
protocol = "lmtp"
"""

_STORED = re.compile(r"stored (\"[^\"]*\"@\S+|\S+)(?: from <(.*)>)?")
_RAW = re.compile(r"(?:([0-9]+) \* )?(\".*\")")


@dataclass(frozen=True, slots=True)
class Send:
    """The client sends these bytes."""

    number: int
    data: bytes


@dataclass(frozen=True, slots=True)
class Expect:
    """The server says this line (without its CRLF), or one that begins like it."""

    number: int
    text: str
    exact: bool

    def is_met(self, line: bytes) -> bool:
        text = self.text.encode()
        return line == text + b"\r\n" if self.exact else line.startswith(text) and line.endswith(b"\r\n")


@dataclass(frozen=True, slots=True)
class ExpectExtensions:
    """The server lists what it offers."""

    number: int


@dataclass(frozen=True, slots=True)
class End:
    """Somebody ends something: the client its half, the client, the server; or the client the plain text."""

    number: int
    how: str


@dataclass(slots=True)
class Stored:
    """A message in a mailbox; None stands for whatever it may be."""

    sender: str | None = None
    content: bytes | None = None

    def is_met(self, other: "Stored") -> bool:
        return self.sender in (None, other.sender) and self.content in (None, other.content)


@dataclass(slots=True)
class Dialog:
    """One file. `settings` and `plugins` are TOML, the latter with whatever repeats; `room` is None where the disk is
    whatever it is.
    """

    name: str
    settings: str = SITE
    plugins: str = ""
    zone: str = ""
    room: int | None = None
    has_tls: bool = False
    steps: list[Send | Expect | ExpectExtensions | End] = field(default_factory=list)
    stored: dict[str, list[Stored]] = field(default_factory=lambda: {user: [] for user in USERS})

    def __str__(self) -> str:
        return self.name

    @property
    def listener(self) -> str | None:
        """The name of the listener where the client comes in, None for the usual one."""
        listeners = self.configuration.get("listener", [])
        name: str | None = listeners[0]["name"] if listeners else None
        return name

    @property
    def tables(self) -> dict[str, Any]:
        """The configuration without plugins."""
        return tomllib.loads(self.settings)

    @property
    def configuration(self) -> dict[str, Any]:
        """The configuration with plugins."""
        return tomllib.loads(f"{self.settings}\n{self.plugins}")


class DialogError(Exception):
    """A line of the file that nobody understands."""


def read_dialogs(folder: Path) -> list[Dialog]:
    """All dialogs of a folder. Raises DialogError."""
    return [parse(path.stem, path.read_text()) for path in sorted(folder.glob("*.txt"))]


def parse(name: str, text: str) -> Dialog:
    """One dialog. Raises DialogError."""
    dialog = Dialog(name)
    message: Stored | None = None
    is_lmtp = False
    for number, line in enumerate(text.split("\n"), start=1):
        kind, _, rest = line.partition(" ")
        match kind:
            case "" | "#":
                pass
            case "!":
                _add_setting(dialog, rest)
            case "C:" | "C!" | "S:" | "S~":
                _add_step(dialog, number, kind, rest)
            case "tls":
                dialog.has_tls = True
            case "protocol" if rest == "lmtp":
                is_lmtp = True
            case "zone":
                dialog.zone += f"{rest}\n"
            case "room":
                dialog.room = int(rest)
            case "stored" if found := _STORED.fullmatch(line):
                message = Stored(found[2])
                dialog.stored[found[1]].append(message)
            case "|" | "|!" if message is not None:
                addition = _raw(rest) if kind == "|!" else f"{rest}\n".encode()
                message.content = (message.content or b"") + addition
            case _:
                raise DialogError(f"{name}:{number}: {line}")
    if is_lmtp:
        dialog.plugins += _LMTP
    return dialog


def _add_setting(dialog: Dialog, line: str) -> None:
    if dialog.plugins or line.startswith("[["):
        dialog.plugins += f"{line}\n"
    else:
        dialog.settings += f"{line}\n"


def _add_step(dialog: Dialog, number: int, kind: str, rest: str) -> None:
    if rest in ("<close>", "<half-close>", "<closed>", "<tls>"):
        dialog.steps.append(End(number, rest[1:-1]))
    elif rest == "<extensions>":
        dialog.steps.append(ExpectExtensions(number))
    elif kind in ("S:", "S~"):
        dialog.steps.append(Expect(number, rest, exact=kind == "S:"))
    else:
        data = _raw(rest) if kind == "C!" else f"{rest}\r\n".encode()
        last = dialog.steps[-1] if dialog.steps else None
        if isinstance(last, Send):
            dialog.steps[-1] = Send(last.number, last.data + data)
        else:
            dialog.steps.append(Send(number, data))


def _raw(text: str) -> bytes:
    found = _RAW.fullmatch(text)
    if found is None:
        raise DialogError(f"not bytes as Python writes them: {text}")
    literal: bytes = ast.literal_eval(f"b{found[2]}")
    return literal * int(found[1] or 1)


class Peer(Protocol):
    """A server as a client meets it."""

    def send(self, data: bytes) -> None: ...

    def read_line(self) -> bytes:
        """The next line with its CRLF; empty when there will be none."""
        ...

    def end(self, how: str) -> None:
        """`half-close` or `close` it, or begin `tls`."""
        ...

    def is_closed(self) -> bool:
        """Whether the server has closed; what it said before has been read."""
        ...

    def rest(self) -> bytes:
        """Close, and give whatever the server had still to say."""
        ...


def play(dialog: Dialog, peer: Peer) -> None:
    """Say what the client says, and see that the server answers as it is written down."""
    for step in dialog.steps:
        where = f"{dialog.name}:{step.number}"
        match step:
            case Send():
                peer.send(step.data)
            case Expect():
                line = without_id(peer.read_line())
                assert step.is_met(line), f"{where}: expected {step.text!r}, got {line!r}"
            case ExpectExtensions():
                while (line := peer.read_line()).startswith(b"250-"):
                    pass
                assert line.startswith(b"250 "), f"{where}: expected extensions, got {line!r}"
            case End(how="closed"):
                assert peer.is_closed(), f"{where}: the server has not hung up"
            case End():
                peer.end(step.how)
    rest = peer.rest()
    assert not rest, f"{dialog.name}: said at the end: {rest!r}"


def check_stored(dialog: Dialog, mailbox: Callable[[str], Sequence[Stored]]) -> None:
    """See that exactly what is written down has been stored."""
    for address, expected in dialog.stored.items():
        got = mailbox(address)
        fits = len(got) == len(expected) and all(one.is_met(other) for one, other in zip(expected, got, strict=True))
        assert fits, f"{dialog.name}: expected in {address}: {expected}, got {got}"
