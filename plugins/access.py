"""Let clients in, keep them out, or spare them the checks, by lists that are kept up to date while the server runs."""

from collections.abc import Iterable, Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import Final, NamedTuple

from fastsmtp.plugin import (
    Action,
    Connection,
    DomainMap,
    Hello,
    Naughty,
    Network,
    NetworkMap,
    OptionalSitePath,
    Place,
    Plugin,
    Reply,
    Services,
    WatchedFile,
    act,
    parse_domain,
    parse_network,
    read_entries,
)

__all__ = ["Access", "Options"]

_ACTIONS: Final = ("allow", "deny", "trust")


class Rule(NamedTuple):
    """One entry: what is done, to whom (as parsed, and as it was written), and what is said."""

    action: str
    network: Network | None
    name: str
    hello: str
    who: str
    reason: str


class Rules:
    """All entries, ready to be asked."""

    def __init__(self, rules: Iterable[Rule]) -> None:
        kept = list(rules)
        self.networks = NetworkMap((rule.network, rule) for rule in kept if rule.network is not None)
        self.names = DomainMap((rule.name, rule) for rule in kept if rule.name)
        self.hellos = DomainMap((rule.hello, rule) for rule in kept if rule.hello)


@dataclass(frozen=True, slots=True)
class Options:
    """Entries stand in the lists here, or in the file with what is done before them."""

    allow: tuple[str, ...] = ()
    deny: tuple[str, ...] = ()
    trust: tuple[str, ...] = ()
    file: OptionalSitePath = None
    action: Action = "reject"
    reason: str = "You are not welcome here"

    def __post_init__(self) -> None:
        if not self.rules() and self.file is None:
            raise ValueError("name at least one of `allow`, `deny`, `trust` and `file`")

    def rules(self) -> list[Rule]:
        """Those of the lists."""
        return [_rule(action, text) for action in _ACTIONS for text in getattr(self, action)]


class Access(Plugin[Options]):
    """Says of a client, by its network, its name or its HELO: let it in, keep it out, spare it the checks.

    * `allow`: these are let in though a wider entry denies them. Other plugins check them as usual.
    * `deny`: these are kept out.
    * `trust`: these are spared the checks: they are exempt (`connection.is_exempt`), like who has logged in.
    * `file`: more of it, one entry a line, `allow|deny|trust WHO [what the client hears]`, read again when it changes.
    * `action` ("reject"): who is denied hears it before the greeting; "defer": as 421; "naughty": at RCPT.
    * `reason`: what is heard, where the entry has nothing of its own.

    An entry is a network or an address; a name, which stands for what is below it (`.example.org`: only that); or
    `helo NAME`, which can only be denied, since anybody may say it. The most specific one decides. A name is that of
    the host, as `fcrdns` has confirmed it, or a proxy has said (`connection.remote_name`). It is looked at with the
    HELO: put `fcrdns` before this one.
    """

    def __init__(self, options: Options, name: str) -> None:
        super().__init__(options, name)
        self._list = WatchedFile(options.file, self._read)

    def warnings(self, place: Place) -> Iterator[tuple[str, str]]:
        if "fcrdns" not in place.before.values():
            for action in _ACTIONS:
                if any(_rule(action, text).name for text in getattr(self.options, action)):
                    yield action, "there is no fcrdns before it: of most clients nobody knows the name; put it there"

    async def start(self, services: Services) -> None:
        self._list.start()

    async def stop(self) -> None:
        await self._list.stop()

    def on_connect(self, connection: Connection) -> Reply | Naughty | None:
        rule = self._list.value.networks.find(connection.remote_address)
        return None if rule is None else self._carry_out(rule, connection)

    def on_hello(self, connection: Connection, hello: Hello) -> Reply | Naughty | None:
        rules = self._list.value
        rule = rules.names.find(_plain(connection.remote_name)) or rules.hellos.find(_plain(hello.name))
        if rule is None or connection.is_exempt:
            return None
        network = rules.networks.find(connection.remote_address)  # an address is more specific than any name
        return self._carry_out(rule, connection) if network is None else None

    def _read(self, file: Path | None) -> Rules:
        return Rules([*self.options.rules(), *read_entries(file, _parse)])

    def _carry_out(self, rule: Rule, connection: Connection) -> Reply | Naughty | None:
        self.record(connection, "fail" if rule.action == "deny" else "pass", f"{rule.action} {rule.who}")
        if rule.action == "trust":
            connection.is_trusted = True
        if rule.action != "deny":
            return None
        return act(self.options.action, rule.reason or self.options.reason)


def _plain(name: str) -> str:
    return name.lower().rstrip(".")


def _parse(line: str) -> Rule:
    action, _, rest = line.partition(" ")
    if action not in _ACTIONS:
        raise ValueError(f"an entry begins with one of {', '.join(_ACTIONS)}, not with {action!r}")
    return _rule(action, rest.strip())


def _rule(action: str, text: str) -> Rule:
    who, _, reason = text.partition(" ")
    if who == "helo":
        who, _, reason = reason.strip().partition(" ")
        if action != "deny":
            raise ValueError(f"helo {who}: anybody may say that; it can only be denied")
        return Rule(action, None, "", parse_domain(who), f"helo {who}", reason.strip())
    if any(char.isalpha() for char in who) and ":" not in who:
        return Rule(action, None, parse_domain(who), "", who, reason.strip())
    return Rule(action, parse_network(who), "", "", who, reason.strip())
