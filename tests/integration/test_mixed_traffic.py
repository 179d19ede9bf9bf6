"""Good mail and junk of every kind at once, against the plugins that `init` writes: what is refused, and where.

The server is a real one, so is its DNS (tests/zone.py), and clients come from everywhere, as a proxy says.
`make traffic` plays it TRAFFIC_ROUNDS times and prints the table of docs/attacks.md.
"""

import os
from collections import Counter
from collections.abc import Callable, Iterator, Sequence
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass, field
from pathlib import Path
from typing import Final, Self, TypeAlias

import pytest
from integration.server import ServerProcess, running_server, wait_until
from zone import ZoneServer

from fastsmtp.config.starter import LISTS, starter_plugins

ROUNDS: Final = int(os.environ.get("TRAFFIC_ROUNDS", "1"))
USERS: Final = ("alice@example.test", "bob@example.test", "postmaster@example.test")
PATIENCE_S: Final = 60.0
"""Strangers wait for the greeting, and who tries many names waits for each reply."""

GOOD, JUNK, DENIED, FORWARDER = "198.18", "198.19", "192.0", "198.17"
"""The first half of their addresses."""

HERE: Final = "203.0.113.25"
"""Our own public address."""

ZONE: Final = """
good.example MX 10 mx.good.example
good.example TXT "v=spf1 ip4:198.18.0.0/16 -all"
mx.good.example A 198.18.1.2
2.1.18.198.in-addr.arpa PTR mx.good.example
mx.good.example TXT "v=spf1 ip4:198.18.0.0/16 -all"
plain.example MX 10 mail.plain.example
mail.plain.example A 198.51.100.10
address.example A 198.51.100.11
soft.example MX 10 mail.plain.example
soft.example TXT "v=spf1 ip4:192.0.2.0/24 ~all"
junk.example MX 10 mail.plain.example
nomail.example MX 0 .
servfail.example MX 10 mail.plain.example
silent.example MX 10 mail.plain.example
example.test MX 10 mx.example.test
mx.example.test A 203.0.113.25
"""


@dataclass(slots=True)
class Attempt:
    """One connection: what kind it is of, and what the client heard, by the verb it was about."""

    kind: str
    heard: list[tuple[str, str]] = field(default_factory=list)

    @property
    def is_stored(self) -> bool:
        return any(verb == "." and reply.startswith("250 ") for verb, reply in self.heard)

    @property
    def refusals(self) -> list[tuple[str, str]]:
        """Verb and reply."""
        return [(verb, reply) for verb, reply in self.heard if reply[:1] in ("4", "5")]


class Speaker:
    """A client that says what it is told and writes down what it hears; once refused for good it goes."""

    def __init__(self, server: ServerProcess, attempt: Attempt, address: str, *, greets_early: bool = False) -> None:
        self._attempt = attempt
        self._address = address
        self._socket = server.connect("proxied")
        self._socket.settimeout(PATIENCE_S)
        said_first = "EHLO client.example\r\n" if greets_early else ""
        self._socket.sendall(f"PROXY TCP4 {address} {HERE} 40000 25\r\n{said_first}".encode())
        self._file = self._socket.makefile("rb")
        self.hear("connect")

    def __enter__(self) -> Self:
        return self

    def __exit__(self, *_: object) -> None:
        self._file.close()
        self._socket.close()

    def hear(self, about: str) -> str:
        """The last line of the reply; empty when the server has hung up."""
        try:
            line = self._file.readline()
            while line[3:4] == b"-":
                line = self._file.readline()
        except ConnectionResetError:  # it has hung up, and we were still talking
            return ""
        reply = line.decode().strip()
        if reply:
            self._attempt.heard.append((about, reply))
        return reply

    def say(self, line: str) -> str:
        try:
            self._socket.sendall(line.encode() + b"\r\n")
        except OSError:
            return ""
        return self.hear("." if line.endswith("\r\n.") else line.split(maxsplit=1)[0].lower())

    def mail(self, sender: str, recipients: Sequence[str], message: str, helo: str = "client.example") -> None:
        """A whole mail, as a program that waits for each reply sends it."""
        for line in (f"EHLO {helo.format(address=self._address)}", f"MAIL FROM:<{sender}>"):
            if not self.say(line).startswith("250"):
                return
        replies = [self.say(f"RCPT TO:<{recipient}>") for recipient in recipients]
        if any(reply.startswith("250") for reply in replies) and self.say("DATA").startswith("354"):
            self.say(f"{message}\r\n.")
        self.say("QUIT")


def message(subject: str, *fields: str) -> str:
    head = ("From: a@good.example", "Date: Tue, 14 Nov 2023 22:13:20 +0000", f"Subject: {subject}", *fields)
    return "\r\n".join((*head, "", "Hello!"))


@dataclass(frozen=True, slots=True)
class Kind:
    """What is tried by how many clients, by whom it is refused, and where: the verb, and the beginning of the reply."""

    name: str
    by: str
    clients: int
    play: Callable[[Speaker], None]
    expected: tuple[str, str] | None  # None: it is good mail, and stored
    network: str  # or all of the address
    greets_early: bool = False


def mailing(
    sender: str, recipients: Sequence[str] = USERS[:1], helo: str = "client.example", text: str = message("hello")
) -> Callable[[Speaker], None]:
    return lambda speaker: speaker.mail(sender, recipients, text, helo)


def dictionary(speaker: Speaker) -> None:
    for line in ("EHLO client.example", "MAIL FROM:<a@junk.example>"):
        speaker.say(line)
    for number in range(40):
        if not speaker.say(f"RCPT TO:<name{number}@example.test>"):
            return


def probe(speaker: Speaker) -> None:
    percent, quoted = "victim%elsewhere.example@junk.example", '"victim@elsewhere.example"@junk.example'
    foreign = ("victim@elsewhere.example", percent, quoted, "@mx.example.test:victim@elsewhere.example")
    speaker.mail("a@junk.example", foreign, message("relay me"))


def good(name: str, sender: str, network: str = GOOD, **mail: object) -> Kind:
    return Kind(name, "", 3, mailing(sender, **mail), None, network)  # type: ignore[arg-type] # as mailing() takes them


NO, LATER = "554 5.7.1", "550 5.7.1"
LOOP: Final = message("x", "Delivered-To: alice@example.test")

KINDS: Final = (
    good("good: SPF pass", "ann@good.example", helo="mx.good.example"),
    good("good: no policy", "ann@plain.example"),
    good("good: an address and no MX", "ann@address.example"),
    good("good: SPF softfail", "ann@soft.example"),
    good("good: a bounce", "", helo="mx.good.example"),
    good("good: for two, and one unknown", "ann@plain.example", recipients=(*USERS[:2], "nobody@example.test")),
    good("good: careless header", "ann@plain.example", text="Subject: no date\r\n\r\nHello!"),
    good("good: a literal as HELO, its own", "ann@plain.example", helo="[{address}]"),
    good("good: postmaster", "ann@plain.example", recipients=("postmaster@example.test",)),
    good("good: a trusted forwarder", "ann@good.example", FORWARDER, helo="localhost"),
    good("good: this host, by its own address", "root@example.test", HERE, helo="mx.example.test"),
    good("good: SERVFAIL for the sender", "ann@servfail.example"),
    good("good: no answer for the sender", "ann@silent.example"),
    Kind("early talker", "early_talker", 5, mailing("a@junk.example"), ("connect", NO), JUNK, greets_early=True),
    Kind("denied network", "access", 3, mailing("a@junk.example"), ("connect", NO), DENIED),
    Kind("HELO: our own name", "helo", 3, mailing("a@junk.example", helo="mx.example.test"), ("rcpt", LATER), JUNK),
    Kind("HELO: a bare address", "helo", 3, mailing("a@junk.example", helo="192.0.2.1"), ("rcpt", LATER), JUNK),
    Kind("HELO: somebody's literal", "helo", 3, mailing("a@junk.example", helo="[192.0.2.1]"), ("rcpt", LATER), JUNK),
    Kind("HELO: localhost", "helo", 3, mailing("a@junk.example", helo="localhost"), ("rcpt", LATER), JUNK),
    Kind("sender: forged (SPF)", "spf", 5, mailing("ann@good.example"), ("mail", "550 5.7.23"), JUNK),
    Kind("bounce: forged HELO (SPF)", "spf", 3, mailing("", helo="mx.good.example"), ("mail", "550 5.7.23"), JUNK),
    Kind("sender: no such domain", "resolvable_sender", 5, mailing("a@nowhere.example"), ("mail", "550 5.1.8"), JUNK),
    Kind("sender: takes no mail", "resolvable_sender", 3, mailing("a@nomail.example"), ("mail", "550 5.7.27"), JUNK),
    Kind("sender: on the list", "block_sender", 3, mailing("news-17@junk.example"), ("mail", "550 5.7.1"), JUNK),
    Kind("open relay probe", "the directory", 5, probe, ("rcpt", LATER), JUNK),
    Kind("bogus bounce", "bogus_bounce", 3, mailing("", recipients=USERS), ("data", "550 5.7.1"), JUNK),
    Kind("dictionary attack", "harvest_guard", 3, dictionary, ("rcpt", "421 4.7.1"), JUNK),
    Kind("mail loop", "loop", 3, mailing("a@junk.example", text=LOOP), (".", "554 5.4.6"), JUNK),
)  # fmt: skip


ANSWERS: Final = "fastsmtp_plugin_answers_total"

LISTENER: Final = """
[[listener]]
name = "proxied"
address = "127.0.0.1:0"
proxy = ["127.0.0.1"]
"""


Site: TypeAlias = tuple[ServerProcess, ZoneServer]


@pytest.fixture
def site(tmp_path: Path) -> Iterator[Site]:
    lists = dict(LISTS)
    lists["access"] += "deny 192.0.0.0/16\n"
    lists["access"] += f"trust {FORWARDER}.0.0/16\n"
    lists["senders"] += "news-*@*\n"
    folder = tmp_path / "site"
    (folder / "lists").mkdir(parents=True)
    for name, text in lists.items():
        (folder / "lists" / name).write_text(text)
    with ZoneServer(ZONE) as zone:
        settings = {"dns.servers": [zone.address], "dns.timeout": "1s", "dns.budget": "2s"}
        with running_server(folder, settings, users=USERS, plugins=LISTENER + starter_plugins()) as server:
            yield server, zone


def play_all(server: ServerProcess, kinds: Sequence[Kind]) -> list[tuple[Kind, Attempt]]:
    """All clients of these kinds, many at once; what each of them heard."""
    attempts: list[tuple[Kind, Attempt]] = []
    addresses = {network: iter(range(1, 250 * 250)) for network in (GOOD, JUNK, DENIED, FORWARDER)}
    work = []
    for _ in range(ROUNDS):
        for kind in kinds:
            for _ in range(kind.clients):
                attempt = Attempt(kind.name)
                attempts.append((kind, attempt))
                if kind.network not in addresses:
                    work.append((kind, attempt, kind.network))
                    continue
                number = next(addresses[kind.network])
                work.append((kind, attempt, f"{kind.network}.{number // 250 + 1}.{number % 250 + 1}"))

    def play(item: tuple[Kind, Attempt, str]) -> None:
        kind, attempt, address = item
        with Speaker(server, attempt, address, greets_early=kind.greets_early) as speaker:
            if attempt.heard and attempt.heard[0][1].startswith("220"):
                kind.play(speaker)

    # Mixed up, the same at every run: neighbours in the list are of different kinds.
    mixed = [work[index] for start in range(7) for index in range(start, len(work), 7)]
    with ThreadPoolExecutor(64) as crew:
        list(crew.map(play, mixed))
    wait_until(lambda: not server.metric("fastsmtp_connections"), "all have gone")
    return attempts


def test_no_good_mail_is_refused_and_junk_is_where_it_should_be(site: Site) -> None:
    server, zone = site
    zone.fail("servfail.example")
    zone.drop("silent.example")
    attempts = play_all(server, KINDS)
    print_table(attempts)
    for kind, attempt in attempts:
        if kind.expected is None:
            assert attempt.is_stored, (kind.name, attempt.heard)
        else:
            verb, reply = kind.expected
            assert not attempt.is_stored, (kind.name, attempt.heard)
            ends = [where == verb and heard.startswith(reply) for where, heard in attempt.refusals]
            assert any(ends), (kind.name, attempt.heard)
    stored = sum(len(server.messages(user)) for user in USERS)
    two = sum(kind.name.startswith("good: for two") for kind, _ in attempts)
    assert stored == sum(kind.expected is None for kind, _ in attempts) + two
    for plugin in {kind.by for kind in KINDS} - {"", "the directory"}:
        counted = (server.metric(ANSWERS, plugin=plugin, answer=answer) for answer in ("reject", "naughty", "defer"))
        assert sum(counted) >= sum(kind.by == plugin for kind, _ in attempts), plugin
    assert not [line for line in server.troubles() if line["event"] != "fastsmtp.server"], server.troubles()


@pytest.mark.parametrize("misdeed", ["fail", "drop"])
def test_no_good_mail_is_refused_while_the_dns_is_away(site: Site, misdeed: str) -> None:
    server, zone = site
    getattr(zone, misdeed)()
    for kind, attempt in play_all(server, [kind for kind in KINDS if kind.expected is None]):
        assert attempt.is_stored, (kind.name, attempt.heard)
        assert {reply[:9] for _, reply in attempt.refusals} <= {"550 5.1.1"}, (kind.name, attempt.heard)
    assert server.metric("fastsmtp_dns_queries_total") > server.metric("fastsmtp_dns_queries_total", result="found")
    assert server.metric(ANSWERS, answer="fault") == 0


def print_table(attempts: Sequence[tuple[Kind, Attempt]]) -> None:
    """What docs/attacks.md shows."""
    rows = ["", "| what | clients | mail stored | refused at | with | by |", "|---|---|---|---|---|---|"]
    for kind in KINDS:
        own = [attempt for one, attempt in attempts if one is kind]
        ends = Counter((verb, " ".join(reply.split()[:2])) for attempt in own for verb, reply in attempt.refusals)
        where = "; ".join("end of data" if verb == "." else verb for verb, _ in ends)
        what = "; ".join(f"`{reply}` x {count}" for (_, reply), count in ends.items())
        stored = sum(attempt.is_stored for attempt in own)
        rows.append(f"| {kind.name} | {len(own)} | {stored} | {where} | {what} | {kind.by} |")
    print("\n".join(rows))  # noqa: T201 - it is what the run is for
