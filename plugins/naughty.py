"""Say no to naughty clients earlier than at RCPT, and for good."""

from collections.abc import Iterator
from dataclasses import dataclass
from typing import Literal

from fastsmtp.plugin import (
    Address,
    Connection,
    Hello,
    Place,
    Plugin,
    Reply,
    Transaction,
)

__all__ = ["Naughty", "Options"]


@dataclass(frozen=True, slots=True)
class Options:
    """Where, and how."""

    at: Literal["connect", "hello", "mail"] = "mail"
    hang_up: bool = False


class Naughty(Plugin[Options]):
    """Carries out, before RCPT, what plugins before it in the configuration have marked the connection for.

    * `at` ("mail"): "hello", or "connect", in place of the greeting; marks that come later are carried out later.
    * `hang_up` (false): the refusal is the last thing that the client hears.

    Without this plugin the engine refuses at RCPT, where the log learns sender and recipients, where postmaster can
    still be written to, and where who logs in is let through. Each step earlier saves a round trip and gives up some
    of that: no postmaster and no recipients before RCPT, no sender before MAIL, no login before HELO.
    """

    spares_exempt = True

    def warnings(self, place: Place) -> Iterator[tuple[str, str]]:
        if self.options.at == "connect" and not place.before:
            yield "at", "there is no plugin before it that could mark a client by then; put it behind those that do"

    def on_connect(self, connection: Connection) -> Reply | None:
        return self._carry_out(connection) if self.options.at == "connect" else None

    def on_hello(self, connection: Connection, hello: Hello) -> Reply | None:
        return self._carry_out(connection) if self.options.at != "mail" else None

    def on_mail(self, txn: Transaction, sender: Address) -> Reply | None:
        return self._carry_out(txn.connection)

    def _carry_out(self, connection: Connection) -> Reply | None:
        mark = connection.naughty
        if mark is None:
            return None
        self.record(connection, "fail", f"naughty, says {connection.naughty_by}")
        return mark.hang_up() if self.options.hang_up else mark
