"""The arguments of commands, from bytes to meaning; a fault is the reply that the client hears."""

import re
from collections.abc import Mapping
from typing import Final

from fastsmtp._parser import path_begin
from fastsmtp.smtp.address import Address, AddressError, parse_forward_path, parse_reverse_path
from fastsmtp.smtp.extensions import MailParameters, ParameterError, parse_mail_parameters, parse_rcpt_parameters
from fastsmtp.smtp.replies import (
    BAD_HELLO,
    BAD_MAIL_SYNTAX,
    BAD_RCPT_SYNTAX,
    BAD_RECIPIENT,
    BAD_SENDER,
    CHUNK_LOST,
    NEEDS_SMTPUTF8_RECIPIENT,
    NEEDS_SMTPUTF8_SENDER,
    Reply,
)

__all__ = ["CommandError", "parse_bdat", "parse_hello", "parse_mail", "parse_rcpt"]

# chunk-size is 1*DIGIT (RFC 3030 section 2): no more of them than SIZE may have, and what the parser can count.
_CHUNK_DIGITS: Final = 20
_CHUNK_OCTETS: Final = 2**63 - 1

# Whether a name is a good one is policy. Here it need only be one word that cannot do harm where it is shown.
_match_hello = re.compile(rb"[\x21-\x7e]{1,255}\Z").match


class CommandError(ValueError):
    """The argument is wrong; `reply` says how."""

    def __init__(self, reply: Reply) -> None:
        super().__init__(str(reply))
        self.reply = reply


def parse_hello(argument: bytes) -> str:
    """The name in HELO or EHLO. Raises CommandError."""
    if not _match_hello(argument):
        raise CommandError(BAD_HELLO)
    return argument.decode("ascii")


def parse_mail(argument: bytes, offered: Mapping[str, str]) -> tuple[Address, MailParameters]:
    """`FROM:<reverse-path> [parameters]`: the sender, and what the parameters say. Raises CommandError.

    `offered` is what EHLO promised this client.
    """
    # Spaces behind the colon are forbidden (RFC 5321 section 3.3) and common; they are harmless, so they are skipped.
    begin = path_begin(argument, b"FROM:")
    if begin < 0:
        raise CommandError(BAD_MAIL_SYNTAX)
    path = argument[begin:]
    try:
        sender, rest = parse_reverse_path(path, smtputf8=True)
        parameters = parse_mail_parameters(rest, offered)
    except AddressError:
        raise CommandError(BAD_SENDER) from None
    except ParameterError as error:
        raise CommandError(error.reply) from None
    # Only now is it known whether the parameter was there: it stands behind the address.
    if not parameters.smtputf8 and not path.isascii():
        raise CommandError(NEEDS_SMTPUTF8_SENDER)
    return sender, parameters


def parse_rcpt(argument: bytes, *, smtputf8: bool) -> Address:
    """`TO:<forward-path> [parameters]`. Raises CommandError."""
    begin = path_begin(argument, b"TO:")
    if begin < 0:
        raise CommandError(BAD_RCPT_SYNTAX)
    try:
        recipient, rest = parse_forward_path(argument[begin:], smtputf8=smtputf8)
        parse_rcpt_parameters(rest)
    except AddressError as error:
        raise CommandError(NEEDS_SMTPUTF8_RECIPIENT if error.needs_smtputf8 else BAD_RECIPIENT) from None
    except ParameterError as error:
        raise CommandError(error.reply) from None
    return recipient


def parse_bdat(argument: bytes) -> tuple[int, bool | None]:
    """`octets [LAST]`: how many, and whether it is the last chunk, None where something else stands there.

    Raises CommandError when nobody knows how many octets follow.
    """
    words = argument.split()
    # bytes.isdigit knows ten digits, str.isdigit hundreds
    if not words or not words[0].isdigit() or len(words[0]) > _CHUNK_DIGITS:
        raise CommandError(CHUNK_LOST)
    octets = int(words[0])
    if octets > _CHUNK_OCTETS:
        raise CommandError(CHUNK_LOST)
    if len(words) == 1:
        return octets, False
    return octets, True if len(words) == 2 and words[1].upper() == b"LAST" else None
