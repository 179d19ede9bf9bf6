"""What `serve` says once it listens: where, and (for a demo site) how to try it."""

from collections.abc import Iterator
from pathlib import Path
from typing import TYPE_CHECKING, Final

from fastsmtp import __version__
from fastsmtp.cli.site import DEMO_DOMAIN
from fastsmtp.cli.terminal import say_styled
from fastsmtp.config.model import Settings
from fastsmtp.config.places import ListenAddress

if TYPE_CHECKING:
    from rich.text import Text

    from fastsmtp.server.processes.running import RunningListener, RunningServer

__all__ = ["announce", "announce_demo", "how_to_send"]

_ANY_ADDRESS: Final = {"0.0.0.0": "127.0.0.1", "::": "::1"}  # noqa: S104 - nothing is bound here, it is replaced


def announce(server: "RunningServer", settings: Settings) -> None:
    """A few lines on standard error: version, addresses, mail root."""
    say_styled(_where_it_is(server, settings))


def _where_it_is(server: "RunningServer", settings: Settings) -> "Iterator[Text]":
    from rich.text import Text

    lines = []
    for protocol in dict.fromkeys(listener.protocol for listener in server.listeners):
        spoken = (listener for listener in server.listeners if listener.protocol == protocol)
        lines.append((protocol.upper(), ", ".join(map(_where, spoken))))
    if server.metrics_address is not None:
        lines.append(("status", f"http://{ListenAddress(*server.metrics_address)}/"))
        lines.append(("metrics", f"http://{ListenAddress(*server.metrics_address)}/metrics"))
    lines.append(("mail", f"{_near(settings.maildir.root)}/"))
    yield Text.assemble(("fastsmtp", "bold green"), f" {__version__} is ready")
    for name, value in lines:
        yield Text.assemble(("  " + name.ljust(9), "cyan"), value)


def _where(listener: "RunningListener") -> str:
    """Its address, and its name where it has one."""
    address = str(listener.address)
    return address if listener.name == address else f"{address} ({listener.name})"


def announce_demo(server: "RunningServer", settings: Settings) -> None:
    """The same, and how to send a message, with what most machines have."""
    say_styled((*_where_it_is(server, settings), *_how_to_try(server, settings)))


def _how_to_try(server: "RunningServer", settings: Settings) -> "Iterator[Text]":
    from rich.text import Text

    host, port = server.smtp_addresses[0]
    yield Text.assemble(("\nSend a message", "bold"), ", with any of these")
    for command in how_to_send(_ANY_ADDRESS.get(host, host), port, f"alice@{DEMO_DOMAIN}"):
        yield Text(f"  {command}")
    yield Text("\nIt arrives here", "bold")
    yield Text(f"  {_near(settings.maildir.root / DEMO_DOMAIN / 'alice' / 'new')}/")
    yield Text("\nCtrl-C stops the server.", "dim")


def how_to_send(host: str, port: int, recipient: str) -> list[str]:
    """Shell commands that send a message each: Python's smtplib, curl, swaks."""
    address = ListenAddress(host, port)
    sender, mail = "you@example.org", "Subject: hello\\r\\n\\r\\nHello, it works.\\r\\n"
    script = f"import smtplib; smtplib.SMTP('{host}', {port}).sendmail('{sender}', '{recipient}', '{mail}')"
    curl = f"curl -sS smtp://{address} --mail-from {sender} --mail-rcpt {recipient} -T -"
    swaks = f"swaks --server {address} --from {sender} --to {recipient}"
    return [f'python3 -c "{script}"', f"printf '{mail}' | {curl}", swaks]


def _near(path: Path) -> Path:
    """The path as seen from here, where that is shorter."""
    here = Path.cwd()
    return path.relative_to(here) if path.is_relative_to(here) else path
