"""Who may log in, sans-I/O: a question for the database, and what its rows say.

A login name is the address of a user, compared as a recipient is. It is nobody else's: neither a tag, nor an alias,
nor the catch-all lets anybody in. A domain alias does: its people are the same.
"""

from collections.abc import Iterable
from typing import NamedTuple

from fastsmtp.directory.lookup import is_mailbox_name, same_domain
from fastsmtp.directory.resolve import Question, home_domain, is_canonical
from fastsmtp.ports import Login
from fastsmtp.smtp.address import Address, fold

__all__ = ["LoginRow", "login_of", "login_question"]


class LoginRow(NamedTuple):
    """A user of a domain that was asked about (see UserRow), and what is known of their password."""

    asked: str | None
    domain: str | None
    is_active: int | None
    username: str | None
    can_login: int | None
    password_hash: str | None


def login_question(address: Address) -> Question | None:
    """What to ask about this login name; None when it can be nobody's."""
    name = address.folded_local
    if not is_canonical(address.domain) or not is_mailbox_name(name):
        return None
    return Question(address.domain, (name,))


def login_of(rows: Iterable[LoginRow], question: Question) -> Login | None:
    """The user in question, if they may log in and have a password."""
    active = [
        row
        for row in rows
        if row.is_active
        and row.asked is not None
        and row.domain is not None
        and same_domain(row.asked, question.domain)
    ]
    home = home_domain({row.domain for row in active if row.domain is not None}, question.domain)
    if home is None:
        return None
    [name] = question.names
    for row in active:
        if (
            row.can_login
            and row.password_hash
            and row.username is not None
            and fold(row.username) == name
            and same_domain(row.domain or "", home)
        ):
            return Login(Address(name, home), row.password_hash)
    return None
