"""A DNS server on this host, over UDP and TCP, that serves a zone and misbehaves on request.

>>> with ZoneServer("example.test MX 10 mx.example.test") as dns:      # doctest: +SKIP
...     settings = {"dns": {"servers": [dns.address]}}
...     dns.drop("example.test")

`python tests/zone.py FILE [PORT]` serves a file until it is interrupted.
"""

import asyncio
import errno
import sys
import threading
import time
from pathlib import Path
from typing import Any, Final, Literal, Self, TypeAlias

import dns.flags
import dns.message
import dns.name
import dns.rcode
import dns.rdata
import dns.rdatatype
import dns.rrset

from fastsmtp.testing.zone import ZoneSpec, find, read_zone

Lie: TypeAlias = Literal["id", "question", "loop", "flood", "garbage", "other_name"]
"""What is wrong with an answer: its id, its question, aliases in a circle, 1,000 records, all of it, whose it is."""

UDP_OCTETS: Final = 1_232
FLOOD: Final = 1_000


class ZoneServer:
    """Serves in a thread of its own, on `address` (127.0.0.1:PORT), from the start until it is closed.

    It behaves like a recursive server: aliases are followed, what it does not know is NXDOMAIN, with the SOA of the
    root and `negative_ttl_s`. `zone` may be changed at any time. `asked` is each question: transport, type, name.
    """

    def __init__(self, zone: ZoneSpec = "", *, port: int = 0, ttl_s: int = 300, negative_ttl_s: int = 60) -> None:
        self.zone = read_zone(zone)
        self.ttl_s = ttl_s
        self.negative_ttl_s = negative_ttl_s
        self.asked: list[tuple[str, str, str]] = []
        self._rcodes: dict[str, dns.rcode.Rcode] = {}
        self._dropped: set[str] = set()
        self._truncated: set[str] = set()
        self._lies: dict[str, Lie] = {}
        self._delays_s: dict[str, float] = {}
        self._port = port
        self._loop = asyncio.new_event_loop()
        self._ready = threading.Event()
        self._stop = asyncio.Event()
        self._trouble: OSError | None = None
        self._thread = threading.Thread(target=self._run, daemon=True, name="zone")
        self._thread.start()
        self._ready.wait()
        if self._trouble is not None:
            raise self._trouble

    def __enter__(self) -> Self:
        return self

    def __exit__(self, *_: object) -> None:
        self.close()

    @property
    def address(self) -> str:
        """For `[dns] servers`."""
        return f"127.0.0.1:{self._port}"

    def close(self) -> None:
        """Stop; nobody answers at the port any more."""
        if not self._loop.is_closed():
            self._loop.call_soon_threadsafe(self._stop.set)
            self._thread.join()

    # Without names each of these is about all.

    def fail(self, *names: str, rcode: str = "SERVFAIL") -> None:
        """Answer with this code."""
        self._rcodes.update(dict.fromkeys(names or ("",), dns.rcode.from_text(rcode)))

    def drop(self, *names: str) -> None:
        """Do not answer."""
        self._dropped.update(names or ("",))

    def delay(self, seconds: float, *names: str) -> None:
        """Answer late."""
        self._delays_s.update(dict.fromkeys(names or ("",), seconds))

    def truncate(self, *names: str) -> None:
        """Answer over UDP that there is more; all of it comes over TCP."""
        self._truncated.update(names or ("",))

    def lie(self, lie: Lie, *names: str) -> None:
        """Answer wrongly."""
        self._lies.update(dict.fromkeys(names or ("",), lie))

    def behave(self) -> None:
        """As if none of it had been said."""
        for misdeeds in (self._rcodes, self._dropped, self._truncated, self._lies, self._delays_s):
            misdeeds.clear()

    # --- the thread --------------------------------------------------------------------------------------------------

    def _run(self) -> None:
        with asyncio.Runner(loop_factory=lambda: self._loop) as runner:
            runner.run(self._serve())

    async def _serve(self) -> None:
        try:
            server, transport = await self._listen()
        except OSError as error:
            self._trouble = error
            self._ready.set()
            return
        self._ready.set()
        await self._stop.wait()
        transport.close()
        server.close()

    async def _listen(self) -> tuple[asyncio.Server, asyncio.DatagramTransport]:
        """At one port, over TCP and UDP; when nobody has chosen it, at one that is free for both."""
        while True:
            server = await asyncio.start_server(self._talk, "127.0.0.1", self._port)
            port = server.sockets[0].getsockname()[1]
            try:
                transport, _ = await self._loop.create_datagram_endpoint(
                    lambda: _Datagrams(self), local_addr=("127.0.0.1", port)
                )
            except OSError as error:
                server.close()
                if self._port or error.errno != errno.EADDRINUSE:
                    raise
                continue  # somebody has this number for UDP
            self._port = port
            return server, transport

    async def _talk(self, reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        """One TCP connection: each message has its length before it (RFC 1035 section 4.2.2)."""
        try:
            while True:
                wire = await reader.readexactly(int.from_bytes(await reader.readexactly(2)))
                delay_s, answer = self.answer(wire, "tcp")
                await asyncio.sleep(delay_s)
                if answer is not None:
                    writer.write(len(answer).to_bytes(2) + answer)
                    await writer.drain()
        except (asyncio.IncompleteReadError, ConnectionError):
            pass
        finally:
            writer.close()

    def answer(self, wire: bytes, transport: Literal["udp", "tcp"]) -> tuple[float, bytes | None]:
        """How long to wait with the answer, in seconds, and its octets, or None where there is none."""
        query = dns.message.from_wire(wire)
        question = query.question[0]
        name, kind = question.name.to_text(omit_final_dot=True).lower(), dns.rdatatype.to_text(question.rdtype)
        self.asked.append((transport, kind, name))
        delay_s = next((self._delays_s[key] for key in (name, "") if key in self._delays_s), 0.0)
        if not self._dropped.isdisjoint((name, "")):
            return delay_s, None
        response = dns.message.make_response(query, recursion_available=True)
        rcode = next((self._rcodes[key] for key in (name, "") if key in self._rcodes), None)
        lie = next((self._lies[key] for key in (name, "") if key in self._lies), None)
        if rcode is not None:
            response.set_rcode(rcode)
        elif lie is not None:
            self._lie(response, lie, name)
        else:
            self._fill(response, name, kind)
        if lie == "garbage":
            return delay_s, wire[:2] + b"\x81\x80\0\1\0\1\0\0\0\0\xff\xff\xff"
        answer = response.to_wire(max_size=65_535)
        if transport == "udp" and (len(answer) > UDP_OCTETS or not self._truncated.isdisjoint((name, ""))):
            response.answer.clear()
            response.flags |= dns.flags.TC
            answer = response.to_wire()
        return delay_s, answer

    def _fill(self, response: dns.message.Message, name: str, kind: str) -> None:
        for _ in range(8):
            here = find(self.zone, name)
            if here is None:
                response.set_rcode(dns.rcode.NXDOMAIN)
            if not here or not (here.keys() & {kind, "CNAME"}):
                soa = f"ns.test. hostmaster.test. 1 3600 600 86400 {self.negative_ttl_s}"
                response.authority.append(dns.rrset.from_text("test.", self.negative_ttl_s, "IN", "SOA", soa))
                return
            found = "CNAME" if "CNAME" in here else kind
            response.answer.append(_rrset(name, self.ttl_s, found, *here[found]))
            if found == kind:
                return
            name = here[found][0].lower().rstrip(".")

    def _lie(self, response: dns.message.Message, lie: Lie, name: str) -> None:
        match lie:
            case "id":
                response.id ^= 1
                response.answer.append(_rrset(name, self.ttl_s, "A", "192.0.2.66"))
            case "question":
                response.question = [dns.rrset.from_text("elsewhere.test.", 0, "IN", "A")]
                response.answer.append(_rrset(name, self.ttl_s, "A", "192.0.2.66"))
            case "loop":
                response.answer.append(_rrset(name, self.ttl_s, "CNAME", f"x.{name}."))
                response.answer.append(_rrset(f"x.{name}", self.ttl_s, "CNAME", f"{name}."))
            case "flood":
                addresses = [f"192.0.{number // 250}.{number % 250}" for number in range(FLOOD)]
                response.answer.append(_rrset(name, self.ttl_s, "A", *addresses))
            case "other_name":
                response.answer.append(_rrset("elsewhere.test", self.ttl_s, "A", "192.0.2.66"))


def _rrset(name: str, ttl_s: int, kind: str, *data: str) -> dns.rrset.RRset:
    # Names in the data are whole, with or without the dot at the end.
    rdatas = [dns.rdata.from_text("IN", kind, text, origin=dns.name.root, relativize=False) for text in data]
    return dns.rrset.from_rdata_list(dns.name.from_text(name), ttl_s, rdatas)


class _Datagrams(asyncio.DatagramProtocol):
    def __init__(self, server: ZoneServer) -> None:
        self._server = server
        self._transport: asyncio.DatagramTransport | None = None

    def connection_made(self, transport: Any) -> None:
        self._transport = transport

    def datagram_received(self, data: bytes, addr: Any) -> None:
        delay_s, answer = self._server.answer(data, "udp")
        if answer is not None and self._transport is not None:
            asyncio.get_running_loop().call_later(delay_s, self._transport.sendto, answer, addr)


def main() -> None:
    """Serve a file."""
    with ZoneServer(Path(sys.argv[1]).read_text(), port=int((sys.argv[2:] or ["0"])[0])) as server:
        sys.stdout.write(f"{server.address}\n")
        sys.stdout.flush()
        try:
            while True:
                time.sleep(3600)
        except KeyboardInterrupt:
            pass


if __name__ == "__main__":
    main()
