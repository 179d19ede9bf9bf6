"""Letters that can be told apart, clients that send one after the other, and a look at what became of them."""

import re
from collections import Counter
from collections.abc import Iterable, Sequence
from contextlib import suppress
from dataclasses import dataclass
from hashlib import sha256
from pathlib import Path
from typing import Final
from zlib import crc32

from integration.clients import trace
from integration.clients.senders import stuffed
from integration.clients.wire import stored_id
from integration.server import ServerProcess

SIZES: Final = (200, 4096, 100 * 1024, 400 * 1024)
"""Octets of letters; the last is above `journal_limit`, for which `LARGE` stands here."""

LARGE: Final = 256 * 1024

_LINE: Final = 64
_NOISE: Final = b"".join(sha256(b"%d" % number).hexdigest()[2:].encode() + b"\r\n" for number in range(10_000))
_letter = re.compile(rb"^X-Letter: ([0-9a-z-]+)\n", re.MULTILINE).search


@dataclass(frozen=True, slots=True)
class Letter:
    """One message. `name` is its own, and decides what is in it."""

    name: str
    size: int
    recipients: tuple[str, ...]

    @property
    def content(self) -> bytes:
        """As it is sent, before transparency; about `size` octets."""
        header = f"X-Letter: {self.name}\r\nSubject: of {self.size} octets\r\n\r\n".encode()
        length = max(1, (self.size - len(header)) // _LINE) * _LINE
        begin = crc32(self.name.encode()) * _LINE % (len(_NOISE) - length)
        return header + _NOISE[begin : begin + length]

    @property
    def stored(self) -> bytes:
        """As it lies in a mailbox, below the trace fields."""
        return self.content.replace(b"\r\n", b"\n")


class Client:
    """A client that sends letters: `sent` are those whose last octet left it, `promised` the ids that answered them."""

    def __init__(self, server: ServerProcess) -> None:
        self.sent: dict[str, Letter] = {}
        self.promised: dict[str, str] = {}
        self._connection = server.connect()
        self._replies = self._connection.makefile("rb")

    def send(self, letters: Iterable[Letter]) -> None:
        """Send these. Raises ConnectionError when the server is gone, AssertionError for a reply that is not 2xx."""
        self._expect(b"220 ")
        self._connection.sendall(b"EHLO client.example.org\r\n")
        self._expect(b"250 ")
        for letter in letters:
            paths = "".join(f"RCPT TO:<{recipient}>\r\n" for recipient in letter.recipients)
            self._connection.sendall(f"MAIL FROM:<ann@example.org>\r\n{paths}DATA\r\n".encode())
            for _ in range(1 + len(letter.recipients)):
                self._expect(b"250 ")
            self._expect(b"354 ")
            self.sent[letter.name] = letter
            self._connection.sendall(stuffed(letter.content))
            self.promised[letter.name] = stored_id(self._expect(b"250 "))

    def send_until_killed(self, letters: Iterable[Letter]) -> None:
        """The same, and the server that is gone in the middle of it is no error."""
        with suppress(ConnectionError):
            self.send(letters)

    def close(self) -> None:
        """Leave without a word."""
        self._replies.close()
        self._connection.close()

    def _expect(self, code: bytes) -> bytes:
        """The last line of the next reply, which must begin so."""
        line = self._replies.readline()
        while line[3:4] == b"-":
            line = self._replies.readline()
        if not line.endswith(b"\n"):
            raise ConnectionError("the server is gone")
        assert line.startswith(code), line
        return line


def letters_in(folder: Path, letters: dict[str, Letter]) -> Counter[str]:
    """Which letters lie in a mailbox, by their names. Raises AssertionError when a file is not one of these, whole."""
    found: Counter[str] = Counter()
    for path in [*folder.glob("new/*"), *folder.glob("cur/*")]:
        stored = path.read_bytes()
        assert path.name.partition(":")[0].endswith(f",S={len(stored)}"), path
        name = name_of(path)
        is_whole = name in letters and trace.split(stored).content == letters[name].stored
        assert is_whole, f"{path}: {len(stored)} octets, letter {name}"
        found[name] += 1
    return found


def name_of(file: Path) -> str:
    """The name of the letter that this is, or was before it was damaged; empty when that cannot be seen."""
    found = _letter(file.read_bytes())
    return found[1].decode() if found else ""


def check_mailboxes(
    server: ServerProcess, users: Sequence[str], sent: dict[str, Letter], promised: dict[str, str]
) -> Counter[str]:
    """Every letter that was promised is in each of its mailboxes; nothing is torn, nothing twice, nothing astray.

    Returns in how many mailboxes each letter lies.
    """
    everywhere: Counter[str] = Counter()
    for user in users:
        found = letters_in(server.mailbox(user), sent)
        assert not [name for name, copies in found.items() if copies > 1], "each was sent once"
        assert not [name for name in found if user not in sent[name].recipients]
        assert not [name for name in promised if user in sent[name].recipients and name not in found], user
        everywhere += found
    assert not list(server.mail_root.glob(".lost+found/*/*"))
    for path in server.unfinished():
        assert name_of(path) not in promised, path
    return everywhere
