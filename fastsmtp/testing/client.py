"""The client's end of a dialogue, and what it hears."""

import re
from base64 import b64decode, b64encode
from collections.abc import Iterable
from dataclasses import dataclass, field
from typing import Final, Protocol

from scramp import ScramClient  # type: ignore[import-untyped] # it ships no types

from fastsmtp.smtp.sasl import MechanismName
from fastsmtp.smtp.transaction import Connection

__all__ = ["Client", "Heard", "ServerEnd"]

_id = re.compile(r" ?\(([0-9A-Z]+)\)\Z").search
_reply_line = re.compile(r"([2-5][0-9]{2})([ -])(?:([245]\.[0-9]{1,3}\.[0-9]{1,3})(?: |\Z))?(.*)\Z").match
_line_end = re.compile(rb"\r?\n")


@dataclass(frozen=True, slots=True)
class Heard:
    """One reply as a client hears it: the enhanced status is empty where there is none, and not in the lines.

    Nor is the `id` that a refusal ends with.
    """

    code: int
    enhanced: str
    lines: tuple[str, ...]
    id: str = field(default="", compare=False)

    @classmethod
    def parse(cls, output: bytes) -> "list[Heard]":
        """All replies in the output of a server. Raises ValueError for what is not a complete reply."""
        replies: list[Heard] = []
        lines: list[str] = []
        for line in output.decode("ascii").splitlines(keepends=True):
            found = _reply_line(line.removesuffix("\r\n"))
            if found is None or not line.endswith("\r\n"):
                raise ValueError(f"{line!r} is not a line of a reply")
            lines.append(found[4])
            if found[2] == " ":
                name = _id(lines[-1]) if found[1] >= "400" else None
                if name is not None:
                    lines[-1] = lines[-1][: name.start()]
                replies.append(cls(int(found[1]), found[3] or "", tuple(lines), name[1] if name else ""))
                lines = []
        if lines:
            raise ValueError(f"the last reply does not end: {lines}")
        return replies

    def __str__(self) -> str:
        return " ".join(filter(None, (str(self.code), self.enhanced, " / ".join(self.lines))))


class ServerEnd(Protocol):
    """What a client talks to."""

    @property
    def connection(self) -> Connection:
        """What plugins see of the client."""
        ...

    @property
    def is_open(self) -> bool:
        """Whether neither side has hung up."""
        ...

    def feed(self, data: bytes) -> bytes:
        """Take bytes; what the server wrote."""
        ...

    def lose(self) -> None:
        """The client is gone."""
        ...


class Client:
    """One client of a Site. Every call returns when the server has nothing more to say, told hooks included."""

    def __init__(self, server: ServerEnd) -> None:
        self._server = server
        self.greeting: Final = self._last(self.feed(b""))

    @property
    def connection(self) -> Connection:
        """What plugins see of it; another one after XCLIENT."""
        return self._server.connection

    @property
    def is_open(self) -> bool:
        """Whether neither side has hung up."""
        return self._server.is_open

    def feed(self, data: bytes) -> bytes:
        """Send exactly these bytes (none are sent once the connection is closed); what the server wrote."""
        return self._server.feed(data)

    def say(self, data: bytes) -> list[Heard]:
        """Send exactly these bytes, several commands if you like; the replies."""
        return Heard.parse(self.feed(data))

    def command(self, line: str) -> Heard:
        """Send one line (UTF-8, without its line end). Raises ConnectionError when the server has hung up."""
        if not self.is_open:
            raise ConnectionError("the connection is closed")
        return self._last(self.feed(line.encode() + b"\r\n"))

    def hello(self, name: str = "client.example") -> Heard:
        """EHLO."""
        return self.command(f"EHLO {name}")

    def helo(self, name: str = "client.example") -> Heard:
        """HELO."""
        return self.command(f"HELO {name}")

    def lhlo(self, name: str = "client.example") -> Heard:
        """LHLO, for a site with `protocol="lmtp"`."""
        return self.command(f"LHLO {name}")

    def starttls(self) -> Heard:
        """STARTTLS; after a 220 the connection is encrypted, and a new `hello` is needed."""
        return self.command("STARTTLS")

    def login(self, user: str, password: str, mechanism: MechanismName = "PLAIN") -> Heard:
        """AUTH with this mechanism, and EHLO before it where there was none: the reply that decided it."""
        if self.connection.hello is None and (hello := self.hello()).code != 250:
            return hello
        if mechanism == "PLAIN":
            return self.command(f"AUTH PLAIN {_base64(f'{chr(0)}{user}{chr(0)}{password}')}")
        if mechanism == "LOGIN":
            answers = iter((user, password))
            heard = self.command("AUTH LOGIN")
            while heard.code == 334:
                heard = self.command(_base64(next(answers)))
            return heard
        return self._login_by_scram(user, password)

    def _login_by_scram(self, user: str, password: str) -> Heard:
        scram = ScramClient(["SCRAM-SHA-256"], user, password)
        heard = self.command(f"AUTH SCRAM-SHA-256 {_base64(scram.get_client_first())}")
        if heard.code == 334:
            scram.set_server_first(b64decode(heard.lines[0]).decode())
            heard = self.command(_base64(scram.get_client_final()))
        if heard.code == 334:
            scram.set_server_final(b64decode(heard.lines[0]).decode())  # whether the server knows the password, too
            heard = self.command("")
        return heard

    def mail(self, sender: str = "", *parameters: str) -> Heard:
        """MAIL with the address as it is written between the brackets, and parameters such as `"SIZE=100"`."""
        return self.command(" ".join((f"MAIL FROM:<{sender}>", *parameters)))

    def rcpt(self, recipient: str, *parameters: str) -> Heard:
        """RCPT, likewise."""
        return self.command(" ".join((f"RCPT TO:<{recipient}>", *parameters)))

    def data(self, message: bytes) -> Heard:
        """DATA and a message: line ends become CRLF, dots are doubled. The last reply to it.

        For a message with line ends or dots of its own kind there is `say`.
        """
        return self.data_each(message)[-1]

    def data_each(self, message: bytes) -> list[Heard]:
        """The same, with all replies to the message: one, or in LMTP one for each recipient."""
        start = self.command("DATA")
        if start.code != 354:
            return [start]
        lines = _line_end.sub(b"\r\n", message).removesuffix(b"\r\n").split(b"\r\n") if message else []
        stuffed = b"".join((b"." if line.startswith(b".") else b"") + line + b"\r\n" for line in lines)
        return self.say(stuffed + b".\r\n")

    def send(self, sender: str, recipients: str | Iterable[str], message: bytes) -> Heard:
        """A whole transaction, with EHLO where there was none: the reply that decided it.

        Recipients that are refused are left out; when all are, the reply is that to the last one.
        """
        if self.connection.hello is None and (hello := self.hello()).code != 250:
            return hello
        if (mail := self.mail(sender)).code != 250:
            return mail
        replies = [self.rcpt(recipient) for recipient in ([recipients] if isinstance(recipients, str) else recipients)]
        if all(reply.code >= 400 for reply in replies):
            if self.is_open:
                self.command("RSET")
            return replies[-1]
        return self.data(message)

    def quit(self) -> Heard:
        """QUIT."""
        return self.command("QUIT")

    def disconnect(self) -> None:
        """Go without a word; nothing happens when the connection is closed already."""
        self._server.lose()

    @staticmethod
    def _last(output: bytes) -> Heard:
        replies = Heard.parse(output)
        if not replies:
            raise ConnectionError("no reply")
        return replies[-1]


def _base64(text: str) -> str:
    return b64encode(text.encode()).decode()
