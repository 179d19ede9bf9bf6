"""What is wrong between tables that are right in themselves."""

from collections import Counter
from collections.abc import Collection, Iterator
from difflib import get_close_matches
from typing import TypeAlias

from fastsmtp.config.listeners import ListenerEntry
from fastsmtp.config.model import Settings
from fastsmtp.config.places import ListenAddress, UnixAddress

__all__ = ["Contradiction", "contradictions"]

Contradiction: TypeAlias = tuple[tuple[int | str, ...], str]
"""The key, step by step, and the sentence for the operator."""

_SMTP_PORT = 25
_EVERYWHERE = {"0.0.0.0", "::"}  # noqa: S104 - nothing is bound here
_SOCKET_KEYS = ("socket_mode", "socket_user", "socket_group")


def contradictions(settings: Settings, faulty_tables: Collection[str] = ()) -> Iterator[Contradiction]:
    """Every contradiction; none about tables that are `faulty_tables`, and stand at their defaults for that."""
    if "process" not in faulty_tables and settings.process.group and not settings.process.user:
        yield ("process", "group"), "changes nothing without a user; write process.user, too, or leave it out"
    if "listen" in faulty_tables or "listener" in faulty_tables:
        return
    listeners = settings.listeners
    if not listeners:
        yield ("listen", "smtp"), "is empty, and there is no [[listener]]; write at least one address"
    first = len(listeners) - len(settings.listener)  # those of [[listener]] come behind those of the short form
    where: list[tuple[int | str, ...]] = [("listen", "smtp", index) for index in range(first)]
    where += [("listener", index) for index in range(len(settings.listener))]
    yield from _twice(listeners, where)
    if "metrics" not in faulty_tables:
        yield from _where_metrics_are(settings.metrics.listen, listeners)
    plugins = None if "plugin" in faulty_tables else [entry.title for entry in settings.plugin]
    has_tls = settings.tls.is_on or "tls" in faulty_tables
    if "auth" not in faulty_tables and settings.auth.require_tls:
        yield from _auth_without_tls(settings, where, has_tls=has_tls)
    for entry, location in zip(settings.listener, where[first:], strict=True):
        if entry.tls not in ("auto", "off") and not has_tls:
            yield (*location, "tls"), f'"{entry.tls}" needs a certificate; write one into [tls] certificates'
        yield from (((*location, *key), sentence) for key, sentence in _of_entry(entry, plugins))


def _twice(listeners: Collection[ListenerEntry], where: list[tuple[int | str, ...]]) -> Iterator[Contradiction]:
    names, addresses = Counter[str](), Counter[str]()
    for entry, location in zip(listeners, where, strict=True):
        address = str(entry.address)
        addresses[address] += 1
        names[entry.title] += 1
        if addresses[address] > 1 and not (isinstance(entry.address, ListenAddress) and entry.address.port == 0):
            yield location, f"{address} has a listener already; write each address once"
        elif entry.name and names[entry.title] > 1:
            yield (*location, "name"), f"{entry.name!r} is the name of another listener; write one of its own"


def _where_metrics_are(metrics: ListenAddress | None, listeners: Collection[ListenerEntry]) -> Iterator[Contradiction]:
    """SO_REUSEPORT would let both have the port: half of the senders would then talk to HTTP."""
    for entry in listeners:
        address = entry.address
        if (
            metrics is None
            or not isinstance(address, ListenAddress)
            or address.port != metrics.port
            or not metrics.port
        ):
            continue
        if address.host == metrics.host or {address.host, metrics.host} & _EVERYWHERE:
            yield ("metrics", "listen"), f"{metrics} is where {entry.title} listens; write another port"


def _auth_without_tls(
    settings: Settings, where: list[tuple[int | str, ...]], *, has_tls: bool
) -> Iterator[Contradiction]:
    """Listeners that shall offer AUTH, and only under TLS, which they never have."""
    lacking: dict[tuple[int | str, ...], str] = {}
    for entry, location in zip(settings.listeners, where, strict=True):
        if settings.offers_auth(entry) and not (has_tls and entry.tls != "off"):
            lacking.setdefault(("auth", "enabled") if entry.auth is None else (*location, "auth"), entry.title)
    for key, listener in lacking.items():
        yield (
            key,
            f"AUTH is for TLS alone, which {listener} has not; write [tls] certificates, or auth.require_tls = false",
        )


def _of_entry(entry: ListenerEntry, plugins: list[str] | None) -> Iterator[Contradiction]:
    """What is wrong with one listener; `plugins` are the names there are, None where they are not known."""
    address = entry.address
    if entry.protocol == "lmtp" and isinstance(address, ListenAddress) and address.port == _SMTP_PORT:
        yield ("protocol",), "LMTP must not be spoken on port 25 (RFC 2033 section 5); listen on another one, like 24"
    if not isinstance(address, UnixAddress):
        for key in _SOCKET_KEYS:
            if key in entry.model_fields_set:
                yield (key,), f"is for Unix sockets of ours, which {address} is not; leave it out"
    for index, name in enumerate(entry.plugins or ()):
        if plugins is not None and name not in plugins:
            close = get_close_matches(name, plugins, n=1)
            hint = f'did you mean "{close[0]}"?' if close else f"there are {', '.join(plugins) or 'none'}"
            yield ("plugins", index), f"no [[plugin]] is called {name!r}; {hint}"
