"""What is measured: which load, on whom, and for which question."""

from dataclasses import dataclass, replace
from typing import Final

from bench.load.generator import Load
from bench.load.messages import MAIL_MIX, Weighted

__all__ = ["MAILBOXES", "PLANS", "STANDARD", "Scenario"]

MAILBOXES: Final = 1000

STANDARD: Final = Load()
"""4 KiB messages, 20 connections, no pipelining: what the targets are about."""

_EVERYBODY: Final = (
    "floor",
    "floor none",
    "fastsmtp",
    "fastsmtp plugins",
    "fastsmtp none",
    "fastsmtp fsync",
    "postfix",
    "qpsmtpd",
    "aiosmtpd",
    "haraka",
    "dovecot lmtp",
    "exim",
    "opensmtpd",
)
_PAIR: Final = ("floor", "fastsmtp")
_KiB: Final = 1024
_MiB: Final = 1024 * _KiB
_LARGE: Final = _MiB


@dataclass(frozen=True, slots=True, kw_only=True)
class Scenario:
    """A load, and the peers that get it in turn, in so many rounds."""

    name: str
    load: Load
    """Its end is `seconds`."""
    peers: tuple[str, ...]
    rounds: int
    seconds: float
    """Of each round; 0 where the load ends with a number of messages."""
    curve: str = ""
    """Of which curve it is a point, and where on it:"""
    x: int = 0
    split: tuple[str, ...] = ()
    """Whose CPU is looked at closer."""
    users: int = MAILBOXES
    """In the directory."""
    mailboxes: int = MAILBOXES
    """Of so many of them, spread evenly, get mail."""

    @property
    def timed_load(self) -> Load:
        """What a round sends."""
        return replace(self.load, seconds=self.seconds) if self.seconds else self.load


def _of_size(octets: int) -> Load:
    # What 20 connections of 25 MiB would measure first is how the disk writes back half a gigabyte.
    return replace(STANDARD, mix=(Weighted(octets, 1),), connections=4 if octets >= _LARGE else 20)


def _curves(
    *, connections: tuple[int, ...], sizes: tuple[int, ...], recipients: tuple[int, ...], rounds: int, seconds: float
) -> list[Scenario]:
    """Throughput over one thing at a time."""
    # First: later, memory that 5,000 connections had would hide what large messages take.
    made = [
        Scenario(
            name=f"{octets} octets",
            load=_of_size(octets),
            peers=(*_PAIR, "postfix"),
            rounds=rounds,
            seconds=seconds,
            curve="size",
            x=octets,
        )
        for octets in sizes
    ]
    made += [
        Scenario(
            name=f"{count} recipients",
            load=replace(STANDARD, recipients_each=count),
            peers=(*_PAIR, "postfix"),
            rounds=rounds,
            seconds=seconds,
            curve="recipients",
            x=count,
        )
        for count in recipients
    ]
    made += [
        Scenario(
            name=f"{count} connections",
            load=replace(STANDARD, connections=count),
            peers=(*_PAIR, "postfix", "haraka"),
            rounds=rounds,
            seconds=seconds,
            curve="connections",
            x=count,
        )
        for count in connections
    ]
    return made


def _generators(*, rounds: int, messages: int) -> Scenario:
    """smtp-source beside ours. It can only send to one mailbox, and so many messages."""
    return Scenario(
        name="two generators, one mailbox",
        load=replace(STANDARD, messages=messages),
        peers=("floor", "floor by smtp-source", "fastsmtp", "fastsmtp by smtp-source"),
        rounds=rounds,
        seconds=0,
        mailboxes=1,
    )


def _users(*, rounds: int, seconds: float) -> list[Scenario]:
    """A directory that grows, while as many mailboxes get mail as before: one, or a thousand."""
    return [
        Scenario(
            name=f"{users} users, {_mailboxes_text(mailboxes)}",
            load=STANDARD,
            peers=("fastsmtp",),
            rounds=rounds,
            seconds=seconds,
            curve="users" if mailboxes == 1 else "users, 1,000 mailboxes",
            x=users,
            users=users,
            mailboxes=mailboxes,
        )
        for mailboxes, sizes in ((1, (1, 1000, 30_000, 1_000_000)), (MAILBOXES, (1000, 30_000, 1_000_000)))
        for users in sizes
    ]


def _mailboxes_text(count: int) -> str:
    return "one mailbox" if count == 1 else f"{count} mailboxes"


def quick() -> list[Scenario]:
    """What a stranger waits for: a few minutes."""
    return [
        Scenario(
            name="standard",
            load=STANDARD,
            peers=_EVERYBODY,
            rounds=3,
            seconds=2,
            split=("fastsmtp", "fastsmtp plugins"),
        ),
        Scenario(name="pipelined", load=replace(STANDARD, pipelining=True), peers=_PAIR, rounds=3, seconds=1.5),
        Scenario(
            name="one message a connection",
            load=replace(STANDARD, per_connection=1),
            peers=_PAIR,
            rounds=3,
            seconds=1.5,
        ),
        Scenario(name="generator", load=STANDARD, peers=("null", *_PAIR), rounds=3, seconds=1),
        _generators(rounds=3, messages=2000),
        *_curves(
            connections=(1, 20, 200, 2000),
            sizes=(4 * _KiB, 256 * _KiB, 25 * _MiB),
            recipients=(1, 10),
            rounds=1,
            seconds=1.5,
        ),
    ]


def full() -> list[Scenario]:
    """Everything that the documentation shows: about a quarter of an hour."""
    return [
        Scenario(
            name="standard",
            load=STANDARD,
            peers=(*_EVERYBODY, "floor linkat"),
            rounds=5,
            seconds=2,
            split=("fastsmtp", "fastsmtp plugins"),
        ),
        Scenario(
            name="pipelined",
            load=replace(STANDARD, pipelining=True),
            peers=(*_PAIR, "postfix", "haraka"),
            rounds=5,
            seconds=1.5,
        ),
        Scenario(
            name="one message a connection",
            load=replace(STANDARD, per_connection=1),
            peers=(*_PAIR, "postfix", "qpsmtpd", "aiosmtpd", "haraka"),
            rounds=3,
            seconds=2,
        ),
        Scenario(
            name="a mail mix", load=replace(STANDARD, mix=MAIL_MIX), peers=(*_PAIR, "postfix"), rounds=3, seconds=3
        ),
        Scenario(
            name="200 a second, open loop",
            load=replace(STANDARD, rate=200, poisson=True),
            peers=tuple(name for name in _EVERYBODY if not name.endswith((" none", " fsync"))),
            rounds=2,
            seconds=2,
        ),
        Scenario(
            name="two workers",
            load=STANDARD,
            peers=("floor 2 workers", "fastsmtp 2 workers"),
            rounds=3,
            seconds=2,
        ),
        Scenario(name="generator", load=STANDARD, peers=("null", *_PAIR), rounds=3, seconds=1),
        _generators(rounds=3, messages=4000),
        *_curves(
            connections=(1, 5, 20, 100, 500, 2000, 5000),
            sizes=(1 * _KiB, 4 * _KiB, 16 * _KiB, 64 * _KiB, 256 * _KiB, 1 * _MiB, 25 * _MiB),
            recipients=(1, 10, 100),
            rounds=2,
            seconds=1.2,
        ),
        *_users(rounds=3, seconds=1.2),
    ]


def durability() -> list[Scenario]:
    """What an honest 250 costs."""
    return [
        Scenario(
            name=f"{count} connections",
            load=replace(STANDARD, connections=count),
            peers=("fastsmtp none", "fastsmtp", "fastsmtp fsync"),
            rounds=5,
            seconds=2,
            curve="connections",
            x=count,
        )
        for count in (1, 20, 200)
    ]


def chunking() -> list[Scenario]:
    """DATA beside BDAT."""
    return [
        Scenario(
            name=f"{octets} octets",
            load=_of_size(octets),
            peers=("fastsmtp none", "fastsmtp none, BDAT"),
            rounds=5,
            seconds=1.5,
            curve="size",
            x=octets,
        )
        for octets in (1 * _KiB, 4 * _KiB, 100 * _KiB, 1 * _MiB)
    ]


def tls() -> list[Scenario]:
    """What handshakes cost, and what messages in TLS do."""
    sides = ("fastsmtp none", "fastsmtp none, TLS ECDSA", "fastsmtp none, TLS RSA")
    loads = {
        "connections without a message": replace(STANDARD, no_mail=True),
        "one message a connection": replace(STANDARD, per_connection=1),
        "standard": STANDARD,
        "1,000 connections that do nearly nothing": replace(STANDARD, connections=1000, rate=10),
    }
    return [Scenario(name=name, load=load, peers=sides, rounds=5, seconds=2) for name, load in loads.items()]


PLANS: Final = {"quick": quick, "full": full, "durability": durability, "chunking": chunking, "tls": tls}
"""By the word on the command line."""
