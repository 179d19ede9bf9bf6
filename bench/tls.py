"""What TLS costs: full handshakes with each kind of key, messages in TLS beside plain text, memory of who idles in it.

One server process for each kind of key, sides alternated in each round. What is compared is the CPU time of the server
process, user and system, all threads; rates are those of this one client, which shares the machine. A round of
connections is connect, EHLO, (STARTTLS, handshake, EHLO,) QUIT: what the two differ by is what one handshake costs.
"""

import argparse
import asyncio
import contextlib
import json
import platform
import ssl
import statistics
import sys
import tempfile
import time
from collections.abc import Callable
from pathlib import Path

import trustme
import uvloop
from load.closed_loop import run
from load.peer import RECIPIENTS, Peer, fastsmtp, spread

HOST = "mx.bench.example"
KINDS = {"ECDSA P-256": trustme.KeyType.ECDSA, "RSA 2048": trustme.KeyType.RSA}


def client_context(authority: trustme.CA) -> ssl.SSLContext:
    """A client that looks whom it talks to, and keeps no tickets."""
    context = ssl.create_default_context()
    authority.configure_trust(context)
    return context


def make_peer(name: str, folder: Path, authority: trustme.CA, kind: trustme.KeyType) -> Peer:
    """A server with a certificate of this kind."""
    made = authority.issue_cert(HOST, key_type=kind)
    file = folder / f"{kind.name}.pem"
    file.touch(0o600)
    file.write_bytes(made.private_key_and_cert_chain_pem.bytes())
    return fastsmtp(name, folder / kind.name, "none", f'[tls]\ncertificates = [{{ certificate = "{file}" }}]\n')


def connect(peer: Peer, connections: int, tls: ssl.SSLContext | None) -> tuple[float, float]:
    """Microseconds of CPU for each connection, and connections a second."""
    before, begun = peer.cpu_seconds(), time.perf_counter()
    for _ in range(connections // 10):
        load = uvloop.run(run(peer.port, connections=10, messages=0, body=b"", recipients=RECIPIENTS, tls=tls))
        if load.refused:
            raise SystemExit(f"{peer.name} refused: {load.refused[0]}")
    seconds = time.perf_counter() - begun
    return (peer.cpu_seconds() - before) / connections * 1e6, connections / seconds


async def idle(peer: Peer, connections: int, tls: ssl.SSLContext | None) -> float:
    """Octets of server memory for each connection that has said EHLO (in TLS) and says nothing more."""
    before = peer.memory_bytes()
    streams = []
    for _ in range(connections):
        reader, writer = await asyncio.open_connection("127.0.0.1", peer.port)
        await reader.readuntil(b"\r\n")
        await _ehlo(reader, writer)
        if tls is not None:
            writer.write(b"STARTTLS\r\n")
            await reader.readuntil(b"\r\n")
            await writer.start_tls(tls, server_hostname=HOST)
            await _ehlo(reader, writer)
        streams.append(writer)
    used = (peer.memory_bytes() - before) / connections
    for writer in streams:
        writer.close()
    for writer in streams:
        with contextlib.suppress(OSError):
            await writer.wait_closed()
    return used


async def _ehlo(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
    writer.write(b"EHLO bench.example\r\n")
    while (await reader.readuntil(b"\r\n"))[3:4] == b"-":
        pass


def alternate(rounds: int, sides: dict[str, Callable[[], tuple[float, float]]]) -> dict[str, list[tuple[float, float]]]:
    """Every side once a round, in turns; the first round warms up and does not count."""
    taken: dict[str, list[tuple[float, float]]] = {name: [] for name in sides}
    for number in range(rounds + 1):
        names = list(sides) if number % 2 else list(reversed(sides))
        for name in names:
            result = sides[name]()
            if number:
                taken[name].append(result)
            sys.stderr.write(f"\rround {number}/{rounds} {name}          ")
    return taken


def show(title: str, taken: dict[str, list[tuple[float, float]]], unit: str) -> None:
    """One table."""
    print(f"\r{title}{' ' * 20}")
    for name, results in taken.items():
        cpu_us = [result[0] for result in results]
        rate = statistics.median(result[1] for result in results)
        print(f"  {name:<24}{statistics.median(cpu_us):>8.0f} us of CPU {spread(cpu_us):<14}{rate:>8.0f} {unit}/s")


def main() -> None:
    """Run the rounds, print the tables and one line of JSON."""
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0] if __doc__ else "")
    parser.add_argument("--rounds", type=int, default=5, help="rounds for each side (default: %(default)s)")
    parser.add_argument("--connections", type=int, default=400, help="in a round (default: %(default)s)")
    parser.add_argument("--messages", type=int, default=2000, help="in a round (default: %(default)s)")
    parser.add_argument("--size", type=int, default=4096, help="octets of a message (default: %(default)s)")
    parser.add_argument("--idle", type=int, default=300, help="connections that idle (default: %(default)s)")
    options = parser.parse_args()
    folder = (Path(__file__).parents[1] / "build").resolve()
    folder.mkdir(parents=True, exist_ok=True)
    authority = trustme.CA(key_type=trustme.KeyType.ECDSA)
    tls = client_context(authority)
    with tempfile.TemporaryDirectory(prefix="bench-", dir=folder) as name, contextlib.ExitStack() as stack:
        peers = {kind: make_peer(kind, Path(name), authority, key_type) for kind, key_type in KINDS.items()}
        for peer in peers.values():
            stack.callback(peer.stop)
        ec, rsa = peers.values()
        connections = alternate(
            options.rounds,
            {
                "plain text": lambda: connect(ec, options.connections, None),
                "TLS 1.3, ECDSA P-256": lambda: connect(ec, options.connections, tls),
                "TLS 1.3, RSA 2048": lambda: connect(rsa, options.connections, tls),
            },
        )

        def deliver(context: ssl.SSLContext | None) -> tuple[float, float]:
            done = ec.take(connections=10, messages=options.messages, size=options.size, tls=context)
            return done.cpu_us, done.rate

        messages = alternate(options.rounds, {"plain text": lambda: deliver(None), "TLS 1.3": lambda: deliver(tls)})
        memory = {
            side: asyncio.run(idle(ec, options.idle, context))
            for side, context in (("plain text", None), ("TLS 1.3", tls))
        }
    show(
        f"connections without a message, {options.connections} a round, medians of {options.rounds}",
        connections,
        "connections",
    )
    cpu = {name: statistics.median(result[0] for result in results) for name, results in connections.items()}
    for name in list(cpu)[1:]:
        cost = cpu[name] - cpu["plain text"]
        print(
            f"  {name}: {cost:.0f} us of CPU for STARTTLS and the handshake, "
            f"{1e6 / cpu[name]:.0f} connections a second and core"
        )
    show(f"{options.messages} messages of {options.size} octets, 10 connections", messages, "messages")
    plain, encrypted = (statistics.median(result[0] for result in messages[side]) for side in ("plain text", "TLS 1.3"))
    print(f"  in TLS {encrypted / plain:.2f} times the CPU of plain text")
    for side, used in memory.items():
        print(f"  {side}: {used / 1024:.1f} KiB of memory for each of {options.idle} connections that idle")
    print(
        json.dumps(
            {
                "machine": platform.platform(),
                "python": platform.python_version(),
                "openssl": ssl.OPENSSL_VERSION,
                "connections": connections,
                "messages": messages,
                "memory": memory,
            }
        )
    )


if __name__ == "__main__":
    main()
