"""Put a header field on top of every message."""

from dataclasses import dataclass
from typing import Final

from fastsmtp.plugin import Message, Plugin, Transaction, check_placeholders, fill

__all__ = ["AddHeader", "Options"]

PLACEHOLDERS: Final = ("helo", "id", "remote_address", "sender")


@dataclass(frozen=True, slots=True)
class Options:
    """Both have to be given."""

    name: str
    value: str

    def __post_init__(self) -> None:
        Message().add_header(self.name, self.value)  # a message knows what it takes, and says so
        check_placeholders(self.value, PLACEHOLDERS)


class AddHeader(Plugin[Options]):
    """Adds the field `name: value` on top of the message, below the trace fields. Use it once for each field.

    * `name`: the name of the field, such as `X-Received-At`.
    * `value`: its text, in which `{id}` is the transaction, `{helo}` what the client called itself, `{remote_address}`
      its IP address and `{sender}` the address of MAIL (empty for bounces).

    What a client gave is put in as plain text on the same line: it cannot begin another field, and braces in it mean
    nothing. It can imitate the words around it, so let it stand last. Fields of the same name that came with the
    message stay: whoever reads ours takes the first.
    """

    def on_message(self, txn: Transaction, message: Message) -> None:
        values = {
            "helo": _plain(txn.connection.hello_name),
            "id": txn.id,
            "remote_address": txn.connection.remote_address,
            "sender": _plain(str(txn.sender)),
        }
        message.add_header(self.options.name, fill(self.options.value, values))
        self.record(txn, "pass", f"{self.options.name} added")


def _plain(text: str) -> str:
    """Text from a stranger on one line of printable characters."""
    return "".join(char if char.isprintable() else "?" for char in text)
