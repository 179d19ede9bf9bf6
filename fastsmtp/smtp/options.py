"""What is the same for every session of a listener, with the replies that follow from it, made once."""

from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import Literal

from fastsmtp.smtp.effects import Stage
from fastsmtp.smtp.extensions import offers
from fastsmtp.smtp.replies import Reply

__all__ = ["SessionOptions"]


@dataclass(frozen=True, slots=True)
class SessionOptions:
    """What is the same for every session of a listener. Sizes in octets.

    `asks` are the stages about which somebody wants to be asked; `errors` is how many bad commands are answered
    before the session is ended.
    """

    hostname: str
    banner: str = ""
    message_size: int = 26_214_400
    recipients: int = 100
    command_line: int = 2048
    header_size: int = 262_144
    errors: int = 20
    bare_newline: Literal["normalize", "reject"] = "normalize"
    asks: frozenset[Stage] = frozenset({Stage.RCPT, Stage.QUEUE})
    extensions: Mapping[str, str] = field(init=False)
    greeting: Reply = field(init=False)
    helo_reply: Reply = field(init=False)
    ehlo_reply: Reply = field(init=False)

    def __post_init__(self) -> None:
        extensions = offers(self.message_size)
        greeting = f"{self.hostname} ESMTP {self.banner or 'fastsmtp'}"  # the name comes first (section 4.2)
        object.__setattr__(self, "extensions", extensions)
        object.__setattr__(self, "greeting", Reply(220, "", greeting))
        object.__setattr__(self, "helo_reply", Reply(250, "", self.hostname))
        object.__setattr__(self, "ehlo_reply", self.list_extensions(extensions))

    def list_extensions(self, extensions: Mapping[str, str]) -> Reply:
        """The answer to EHLO (RFC 5321 section 4.1.1.1)."""
        lines = (f"{keyword} {parameters}".rstrip() for keyword, parameters in extensions.items())
        return Reply(250, "", "\n".join((self.hostname, *lines)))
