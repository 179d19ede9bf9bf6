"""Passwords as people type them: never in an argument, where everybody on the machine could read them."""

import sys
from typing import Final

import click

__all__ = ["SCHEME_NAMES", "prompt_password", "read_password"]

SCHEME_NAMES: Final = ("argon2id", "scram-sha-256")
"""`fastsmtp.directory.schemes.SCHEMES`, without loading it for a help page."""


def prompt_password() -> str:
    """Ask for it on the terminal, twice and without an echo. Raises UsageError for one that cannot be used."""
    password: str = click.prompt("New password", hide_input=True, confirmation_prompt="Again")
    return _checked(password)


def read_password() -> str:
    """The first line of standard input, without its line end. Raises UsageError for one that cannot be used."""
    line = sys.stdin.buffer.readline()
    try:
        return _checked(line.rstrip(b"\r\n").decode())
    except UnicodeDecodeError:
        raise click.UsageError("the password is not UTF-8") from None


def _checked(password: str) -> str:
    from fastsmtp.smtp.sasl import PASSWORD_OCTETS

    if not password:
        raise click.UsageError("the password is empty")
    if len(password.encode()) > PASSWORD_OCTETS:
        raise click.UsageError(f"the password is longer than {PASSWORD_OCTETS} bytes")
    if any(ord(char) < 0x20 or char == "\x7f" for char in password):
        raise click.UsageError("a control character is in the password")  # a NUL could not be sent (RFC 4616)
    return password
