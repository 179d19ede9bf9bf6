"""What a client may ask for, how long it may take, and what is shed when there is more to do than can be done."""

from fastsmtp.config.networks import Networks
from fastsmtp.config.table import Table, default
from fastsmtp.config.units import Duration, Size

__all__ = ["LimitSettings", "OverloadSettings", "TimeoutSettings"]


class LimitSettings(Table):
    """What one client may ask for. Whoever asks for more hears a reply that says so."""

    message_size: Size = default(
        "25MiB", "Largest message in octets, offered as SIZE; a larger one is refused with 552.", ge=1
    )
    recipients: int = default(
        100, "Recipients of one message; the next one is deferred with 452, so that the client sends again.", ge=1
    )
    command_line: Size = default(
        2048, "Longest command line in octets, CRLF included; a longer one is an error.", ge=512
    )
    header_size: Size = default(
        "256KiB",
        "Octets of the header of a message, its empty line included; a message with a longer one is refused with 552.",
        ge=1,
    )
    header_fields: int = default(
        1000, "Fields in the header of a message; with more of them it is refused with 552. 0: no limit.", ge=0
    )
    hops: int = default(
        100,
        "Received fields in a message; with more of them it is in a loop, and is refused with 554. 0: no limit.",
        ge=0,
    )
    messages: int = default(
        100_000,
        "MAIL commands in one connection, offered as MAILMAX; the next one is answered with 421, and the client may go "
        "on in another connection. 0: no limit.",
        ge=0,
    )
    commands: int = default(
        10_000,
        "Commands for each message that is stored; the next one is answered with 421 and ends the connection. Chunks "
        "of 1 KiB and more are not counted. 0: no limit.",
        ge=0,
    )
    nonmail_commands: int = default(
        100, "How many of them may be RSET, NOOP, VRFY, HELP, HELO or EHLO; the same beyond it. 0: no limit.", ge=0
    )
    unknown_commands: int = default(
        10, "Commands in one connection that nobody knows; with the next one it is closed with 421.", ge=0
    )
    errors: int = default(20, "Bad commands in one connection; with the next one it is closed with 421.", ge=1)
    connections: int = default(
        10_000,
        "Connections at once, of all workers; the next client hears 421 and may come again later.",
        ge=1,
        le=1_000_000,
    )
    connections_per_address: int = default(
        50, "The same for one client: an IPv4 address, or an IPv6 network of 64 bits. 0: no limit.", ge=0
    )
    connections_per_network: int = default(
        250, "The same for its network: 24 bits of IPv4, 48 bits of IPv6. 0: no limit.", ge=0
    )
    arrivals_per_address: int = default(
        600, "New connections of one client within a minute; the next one is closed with 421. 0: no limit.", ge=0
    )
    arrivals_per_network: int = default(3000, "The same for its network. 0: no limit.", ge=0)
    exempt: Networks = default(
        ["127.0.0.0/8", "::1"],
        "Networks and addresses to which the last four limits do not apply, and that are never shed as strangers.",
    )
    data_rate: Size = default(
        500, "The least octets a second at which a message may arrive, within any `timeouts.data`. 0: no limit.", ge=0
    )
    message_memory: Size = default(
        "128MiB",
        "Memory, in each worker (with `listen.workers = 4` four times that), for messages that are not complete "
        "or not stored yet; above it new ones are deferred with 452.",
        ge=1_048_576,
    )


class TimeoutSettings(Table):
    """How long we wait for a client. The ceilings are those of RFC 5321 section 4.5.3.2: nobody needs longer."""

    command: Duration = default(
        "2m", "For the end of the next command, from our last reply on; at most 5 minutes.", gt=0, le=300
    )
    data: Duration = default(
        "1m",
        "Within a message, for at least so many seconds' worth of `limits.data_rate`; at most 3 minutes.",
        gt=0,
        le=180,
    )
    idle: Duration = default(
        "10m",
        "For a message to begin, from the greeting or the end of the last one on, whatever is said between.",
        gt=0,
    )
    connection: Duration = default(
        "2h", "For the whole connection; a message that is arriving then may be finished.", gt=0
    )
    proxy_header: Duration = default(
        "10s", "For the PROXY header of a listed proxy, which sends it at once; then the connection is closed.", gt=0
    )
    drain: Duration = default("30s", "For open connections to end after SIGTERM; then they are closed with 421.", ge=0)


class OverloadSettings(Table):
    """When there is more to do than can be done. First new connections of clients of whom no mail was stored lately are
    refused with 421, at four times the limit also new transactions with 452. What was accepted is never dropped."""

    lag: Duration = default("500ms", "How late the event loop of a worker may be. 0: no matter.", ge=0)
    commit: Duration = default("5s", "How long the store may take for one batch of messages. 0: no matter.", ge=0)
    connections: int = default(
        90, "Percent of `limits.connections` that may be open before strangers wait.", ge=1, le=100
    )
    calm: Duration = default("5s", "How long it has to be well below a limit before nothing is shed.", ge=0)
    known: Duration = default(
        "7d", "How long somebody of whom mail was stored, or whose network, is no stranger.", ge=0
    )
