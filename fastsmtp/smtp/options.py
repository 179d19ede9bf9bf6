"""What is the same for every session of a listener, with the replies that follow from it, made once."""

import sys
from collections.abc import Callable, Mapping
from dataclasses import dataclass, field
from typing import Literal

from fastsmtp.smtp.claims import XCLIENT_ATTRIBUTES
from fastsmtp.smtp.effects import Stage
from fastsmtp.smtp.extensions import offers
from fastsmtp.smtp.load import Load
from fastsmtp.smtp.message import Spool
from fastsmtp.smtp.replies import Reply
from fastsmtp.smtp.sasl import Mechanism
from fastsmtp.stats import Stats

__all__ = ["AuthOptions", "Room", "SessionOptions"]


@dataclass
class Room:
    """How many octets the store has room for at this moment; below zero not even an empty message fits.

    Sessions read it, whoever knows the disk keeps it up to date.
    """

    octets: int = sys.maxsize


@dataclass(frozen=True, slots=True)
class AuthOptions:
    """How a client may log in: with which mechanisms, in how many tries a connection, and whether only under TLS."""

    mechanisms: Mapping[str, Mechanism]
    tries: int = 3
    require_tls: bool = True

    @property
    def offer(self) -> dict[str, str]:
        """What EHLO lists of it (RFC 4954 section 3)."""
        return {"AUTH": " ".join(self.mechanisms)}


@dataclass(frozen=True)
class SessionOptions:
    """What is the same for every session of a listener. Sizes in octets.

    `protocol` is what is spoken: in LMTP (RFC 2033) each recipient hears his own reply to the message. `asks` are the
    stages about which somebody wants to be asked; `errors` is how many bad commands are answered before the session is
    ended, `unknown_commands` the same for verbs that nobody knows. A client may say MAIL as often as `messages` says,
    has `commands` for each message, and `nonmail_commands` for talk that is not about mail; a message may have `hops`
    Received fields (0: no limit). `pipelining`
    is "strict" where it has to wait for the reply to what must be the last command of its group (RFC 2920 section 3.1).
    A body of more than `spool_above` octets goes into what `make_spool` makes; where that is None, all of it stays in
    memory. `room` and `load` change while sessions run. `starttls` offers TLS to those who have none, `requires_tls`
    leaves them nothing else; `tls_extensions` are what those are offered who do. `auth` is None where nobody logs in.
    `xclient` lets clients speak for others.
    """

    hostname: str
    protocol: Literal["smtp", "lmtp"] = "smtp"
    banner: str = ""
    message_size: int = 26_214_400
    recipients: int = 100
    command_line: int = 2048
    header_size: int = 262_144
    header_fields: int = 1000
    hops: int = 100
    errors: int = 20
    unknown_commands: int = 10
    messages: int = 100_000
    commands: int = 10_000
    nonmail_commands: int = 100
    pipelining: Literal["lenient", "strict"] = "lenient"
    spool_above: int = 262_144
    make_spool: Callable[[], Spool] | None = None
    room: Room = field(default_factory=Room)
    load: Load = field(default_factory=lambda: Load(Stats()))
    bare_newline: Literal["normalize", "reject"] = "normalize"
    asks: frozenset[Stage] = frozenset({Stage.RCPT, Stage.QUEUE})
    starttls: bool = False
    requires_tls: bool = False
    auth: AuthOptions | None = None
    xclient: bool = False
    extensions: Mapping[str, str] = field(init=False)
    tls_extensions: Mapping[str, str] = field(init=False)
    greeting: Reply = field(init=False)
    helo_reply: Reply = field(init=False)
    ehlo_reply: Reply = field(init=False)
    tls_ehlo_reply: Reply = field(init=False)

    def __post_init__(self) -> None:
        extensions = offers(self.message_size, self.messages, self.recipients)
        if self.xclient:
            extensions["XCLIENT"] = XCLIENT_ATTRIBUTES
        tls_extensions = {**extensions, "REQUIRETLS": ""}  # RFC 8689 section 2: only where TLS is on
        if self.auth is not None:
            tls_extensions = {**tls_extensions, **self.auth.offer}
            if not self.auth.require_tls:
                extensions = {**extensions, **self.auth.offer}
        if self.starttls:
            extensions = {**extensions, "STARTTLS": ""}  # RFC 3207 section 4.2: not offered once it is on
        spoken = "ESMTP" if self.protocol == "smtp" else "LMTP"
        greeting = f"{self.hostname} {spoken} {self.banner or 'fastsmtp'}"  # the name comes first (section 4.2)
        object.__setattr__(self, "extensions", extensions)
        object.__setattr__(self, "tls_extensions", tls_extensions)
        object.__setattr__(self, "greeting", Reply(220, "", greeting))
        object.__setattr__(self, "helo_reply", Reply(250, "", self.hostname))
        object.__setattr__(self, "ehlo_reply", self._list(extensions))
        object.__setattr__(self, "tls_ehlo_reply", self._list(tls_extensions))

    def list_extensions(self, extensions: Mapping[str, str]) -> Reply:
        """The answer to EHLO, or LHLO (RFC 5321 section 4.1.1.1)."""
        if extensions == self.extensions:
            return self.ehlo_reply
        return self.tls_ehlo_reply if extensions == self.tls_extensions else self._list(extensions)

    def _list(self, extensions: Mapping[str, str]) -> Reply:
        lines = (f"{keyword} {parameters}".rstrip() for keyword, parameters in extensions.items())
        return Reply(250, "", "\n".join((self.hostname, *lines)))
