"""The service extensions, and the parameters that each of them permits on MAIL (RFC 5321 sections 2.2 and 4.1.2).

A parameter counts only while its extension is on offer to this client: after HELO none is.
"""

import re
from collections.abc import Callable, Mapping
from dataclasses import dataclass
from typing import Final

from fastsmtp.smtp.address import AddressError, parse_mailbox
from fastsmtp.smtp.replies import Reply
from fastsmtp.smtp.xtext import decode_xtext

__all__ = ["MailParameters", "ParameterError", "offers", "parse_mail_parameters", "parse_rcpt_parameters"]

# esmtp-param (RFC 5321 section 4.1.2), with the 8-bit values of RFC 6531 section 3.3 left out: none of ours has one
_match_parameter = re.compile(rb"([A-Za-z0-9][A-Za-z0-9-]*)(?:=([\x21-\x3c\x3e-\x7e]+))?\Z").match

_MOST_IN_LIMITS: Final = 999_999  # a limit has six digits at most (RFC 9422 section 4)


class ParameterError(ValueError):
    """A parameter that is unknown (555) or malformed (501); `reply` is what the client hears."""

    def __init__(self, reply: Reply) -> None:
        super().__init__(str(reply))
        self.reply = reply


@dataclass
class MailParameters:
    """What the parameters of MAIL said; `size` in octets, None when it was not given."""

    size: int | None = None
    body: str = "7BIT"
    smtputf8: bool = False
    require_tls: bool = False


_NO_PARAMETERS: Final = MailParameters()  # nearly every MAIL has these; nobody changes them


def offers(message_size: int, messages: int = 0, recipients: int = 0) -> dict[str, str]:
    """The extensions that everybody is offered as EHLO lists them, keyword to parameters.

    `message_size` in octets; `messages` of a connection and `recipients` of a message, 0 where there is no limit.
    """
    limits = {"MAILMAX": messages, "RCPTMAX": recipients}
    limited = " ".join(f"{name}={limit}" for name, limit in limits.items() if 0 < limit <= _MOST_IN_LIMITS)
    extensions = {
        "PIPELINING": "",  # RFC 2920
        "SIZE": str(message_size),  # RFC 1870
        "8BITMIME": "",  # RFC 6152
        "ENHANCEDSTATUSCODES": "",  # RFC 2034
        "SMTPUTF8": "",  # RFC 6531
        "CHUNKING": "",  # RFC 3030
        "BINARYMIME": "",  # RFC 3030
    }
    return {**extensions, "LIMITS": limited} if limited else extensions  # RFC 9422


def _malformed(name: str, right: str) -> ParameterError:
    return ParameterError(Reply(501, "5.5.4", f"Bad {name} parameter; right is {right}"))


def _size(parameters: MailParameters, value: bytes | None, _: Mapping[str, str]) -> None:
    # size-value: 1*20DIGIT (RFC 1870 section 3)
    if value is None or not value.isdigit() or len(value) > 20:
        raise _malformed("SIZE", "SIZE=octets")
    parameters.size = int(value)


def _body(parameters: MailParameters, value: bytes | None, offered: Mapping[str, str]) -> None:
    # RFC 6152 section 2; a binary body cannot come without chunks (RFC 3030 section 3)
    is_binary_offered = "BINARYMIME" in offered and "CHUNKING" in offered
    bodies = (b"7BIT", b"8BITMIME", b"BINARYMIME") if is_binary_offered else (b"7BIT", b"8BITMIME")
    if value is None or (body := value.upper()) not in bodies:
        raise _malformed("BODY", " or ".join(f"BODY={body.decode()}" for body in bodies))
    parameters.body = body.decode()


def _smtputf8(parameters: MailParameters, value: bytes | None, _: Mapping[str, str]) -> None:
    if value is not None:  # RFC 6531 section 3.4: it takes no value
        raise _malformed("SMTPUTF8", "SMTPUTF8 without a value")
    parameters.smtputf8 = True


def _requiretls(parameters: MailParameters, value: bytes | None, _: Mapping[str, str]) -> None:
    if value is not None:  # RFC 8689 section 2: it takes no value
        raise _malformed("REQUIRETLS", "REQUIRETLS without a value")
    parameters.require_tls = True


def _auth(_: MailParameters, value: bytes | None, __: Mapping[str, str]) -> None:
    """RFC 4954 section 5. It is read and forgotten: nothing is sent on, so it concerns nobody here."""
    try:
        if value is None:
            raise AddressError("nobody")
        if value != b"<>":
            parse_mailbox(decode_xtext(value).decode())
    except ValueError:
        raise _malformed("AUTH", "AUTH=<> or AUTH=user@domain, with +XX for what cannot stand there") from None


# parameter: the extension that enables it, and what it says
_MAIL: Final[Mapping[str, tuple[str, Callable[[MailParameters, bytes | None, Mapping[str, str]], None]]]] = {
    "SIZE": ("SIZE", _size),
    "BODY": ("8BITMIME", _body),
    "SMTPUTF8": ("SMTPUTF8", _smtputf8),
    "AUTH": ("AUTH", _auth),
    "REQUIRETLS": ("REQUIRETLS", _requiretls),
}


def _split(rest: bytes) -> list[tuple[str, bytes | None]]:
    """Name and value of each parameter. Raises ParameterError for what is not one, or stands there twice."""
    if rest[:1] not in (b"", b" "):
        raise ParameterError(Reply(501, "5.5.4", "A blank belongs between address and parameters"))
    parameters: dict[str, bytes | None] = {}
    for word in rest.split():
        found = _match_parameter(word)
        if found is None:
            raise ParameterError(Reply(501, "5.5.4", "Parameters are KEYWORD or KEYWORD=value"))
        name = found[1].decode().upper()
        if name in parameters:
            raise ParameterError(Reply(501, "5.5.4", f"Parameter {name} given twice"))
        parameters[name] = found[2]
    return list(parameters.items())


def _unknown(name: str) -> ParameterError:
    return ParameterError(Reply(555, "5.5.4", f"Parameter {name} not recognized or not offered"))


def parse_mail_parameters(rest: bytes, offered: Mapping[str, str]) -> MailParameters:
    """What stands behind the reverse-path; not to be changed. Raises ParameterError."""
    if not rest:
        return _NO_PARAMETERS
    parameters = MailParameters()
    for name, value in _split(rest):
        extension, read = _MAIL.get(name, ("", None))
        if read is None or extension not in offered:
            raise _unknown(name)
        read(parameters, value, offered)
    return parameters


def parse_rcpt_parameters(rest: bytes) -> None:
    """What stands behind the forward-path: no extension that we offer permits anything. Raises ParameterError."""
    if rest:
        for name, _ in _split(rest):
            raise _unknown(name)
