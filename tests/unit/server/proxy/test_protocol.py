"""The first words of a proxy over a transport that writes down what it is told; behind them, a real connection."""

import asyncio
import logging
from collections.abc import Callable
from pathlib import Path

import pytest
from certificates import TlsClient
from connections import Rig, Transport, opened_log
from proxy_headers import LOCAL, binary, inet, line

from fastsmtp.config.networks import parse_networks
from fastsmtp.plugin import Connection
from fastsmtp.server.connection import ConnectionProtocol
from fastsmtp.server.deadlines import NEVER
from fastsmtp.server.proxy.protocol import RESULTS, ProxyPolicy, ProxyProtocol, ProxyStats

CLIENT = "198.51.100.7"
HEADER = line(CLIENT, "203.0.113.25", 4321, 2525)
GREETING = b"220 mx.example.org ESMTP fastsmtp\r\n"
PROXY = ("192.0.2.1", 4711)
STRANGER = ("192.0.2.2", 4711)


class ProxyRig(Rig):
    """A rig whose door is one for proxies."""

    def policy(self) -> ProxyPolicy:
        return ProxyPolicy(parse_networks(["192.0.2.1", "unix"]), 10.0, ProxyStats(self.stats))

    def arrive(self, peer: tuple[str, int] | str = PROXY) -> tuple[ProxyProtocol, Transport]:
        protocol, transport = ProxyProtocol(self.service, self.policy()), Transport(peer=peer)
        transport.set_protocol(protocol)
        protocol.connection_made(transport)
        return protocol, transport

    def results(self) -> dict[str, int]:
        family = next(family for family in self.stats.families() if family.name == "fastsmtp_proxy_headers_total")
        counts = {result: self.stats.cells[family.children[(result,)]] for result in RESULTS}
        return {result: count for result, count in counts.items() if count}


def with_door(tmp_path: Path, test: Callable[[ProxyRig], None], **limits: int) -> None:
    async def body() -> None:
        with opened_log(tmp_path) as log:
            test(ProxyRig(log, None, **limits))

    asyncio.run(body())


def connection_of(transport: Transport) -> Connection:
    assert isinstance(transport.protocol, ConnectionProtocol)
    return transport.protocol._session.connection  # noqa: SLF001 - what plugins would be given


def test_the_client_is_who_the_proxy_says(tmp_path: Path) -> None:
    def test(rig: ProxyRig) -> None:
        protocol, transport = rig.arrive()
        assert (transport.writes, rig.gauge()) == ([], 0)
        protocol.data_received(HEADER)
        assert transport.writes == [GREETING]
        connection = connection_of(transport)
        assert (connection.remote_address, connection.remote_port) == (CLIENT, 4321)
        assert (connection.local_address, connection.local_port) == ("203.0.113.25", 2525)
        assert connection.proxy_address == "192.0.2.1"
        assert not connection.early_talker
        assert rig.results() == {"v1": 1}
        assert list(map(id, rig.shared.open)) == [id(transport.protocol)]
        transport.protocol.connection_lost(None)
        assert (rig.shared.open, rig.gauge(), rig.shared.admission.open) == (set(), 0, 0)

    with_door(tmp_path, test)


def test_every_split_and_what_is_behind(tmp_path: Path) -> None:
    def test(rig: ProxyRig) -> None:
        for header in (HEADER, binary(0x11, inet(CLIENT, "203.0.113.25"))):
            talk = header + b"NOOP\r\n"
            for cut in range(1, len(talk)):
                protocol, transport = rig.arrive()
                protocol.data_received(talk[:cut])
                transport.protocol.data_received(talk[cut:])
                assert transport.writes == [GREETING, b"250 2.0.0 OK\r\n"]
                assert connection_of(transport).remote_address == CLIENT
                # What came together with the header came before the greeting; a client that waits does not do that.
                assert connection_of(transport).early_talker is (cut != len(header))
                transport.protocol.connection_lost(None)
        assert rig.shared.admission.open == 0

    with_door(tmp_path, test, connections_per_address=0, arrivals_per_address=0, arrivals_per_network=0)


def test_who_is_no_proxy_is_a_client(tmp_path: Path) -> None:
    def test(rig: ProxyRig) -> None:
        _, transport = rig.arrive(STRANGER)
        assert transport.writes == [GREETING]
        transport.protocol.data_received(HEADER)
        assert transport.writes[1].startswith(b"500 5.5.1 ")
        assert connection_of(transport).remote_address == "192.0.2.2"
        assert connection_of(transport).proxy_address == ""
        transport.protocol.connection_lost(None)
        assert (rig.results(), rig.shared.admission.open) == ({}, 0)

    with_door(tmp_path, test)


def test_a_proxy_on_a_unix_socket(tmp_path: Path) -> None:
    def test(rig: ProxyRig) -> None:
        protocol, transport = rig.arrive("")
        protocol.data_received(HEADER)
        assert connection_of(transport).remote_address == CLIENT

    with_door(tmp_path, test)


@pytest.mark.parametrize("header", [LOCAL, b"PROXY UNKNOWN\r\n"])
def test_a_proxy_that_speaks_for_itself_is_the_client(tmp_path: Path, header: bytes) -> None:
    def test(rig: ProxyRig) -> None:
        protocol, transport = rig.arrive()
        protocol.data_received(header)
        assert transport.writes == [GREETING]
        connection = connection_of(transport)
        assert (connection.remote_address, connection.proxy_address) == ("192.0.2.1", "")
        assert rig.results() == {"itself": 1}

    with_door(tmp_path, test)


def test_a_proxy_that_speaks_something_else_is_cut_off(tmp_path: Path, caplog: pytest.LogCaptureFixture) -> None:
    def test(rig: ProxyRig) -> None:
        protocol, transport = rig.arrive()
        protocol.data_received(b"EHLO client.example\r\n")
        assert (transport.writes, transport.calls) == ([], ["abort"])
        protocol.connection_lost(None)
        assert (rig.results(), rig.shared.open, rig.shared.admission.open) == ({"malformed": 1}, set(), 0)

    with caplog.at_level(logging.WARNING):
        with_door(tmp_path, test)
    [record] = caplog.records
    assert (record.getMessage(), record.__dict__["proxy"]) == ("no PROXY header", "192.0.2.1")


def test_a_proxy_that_says_nothing_runs_out_of_time(tmp_path: Path, caplog: pytest.LogCaptureFixture) -> None:
    def test(rig: ProxyRig) -> None:
        protocol, transport = rig.arrive()
        asked = rig.shared.loop.time()
        assert asked + 9 < protocol.deadline <= asked + 10
        deadline = protocol.deadline
        protocol.data_received(HEADER[:-1])
        assert protocol.deadline == deadline  # octets buy no time
        protocol.expire()
        assert (transport.writes, transport.calls, protocol.deadline) == ([], ["abort"], NEVER)
        protocol.connection_lost(None)
        assert (rig.results(), rig.shared.admission.open) == ({"late": 1}, 0)

    with caplog.at_level(logging.WARNING):
        with_door(tmp_path, test)
    assert caplog.messages == ["no PROXY header within 10 s"]


@pytest.mark.parametrize("data", [b"", HEADER[:-1]])
def test_a_check_that_only_connects_is_no_event(tmp_path: Path, caplog: pytest.LogCaptureFixture, data: bytes) -> None:
    def test(rig: ProxyRig) -> None:
        protocol, _ = rig.arrive()
        if data:
            protocol.data_received(data)
        assert not protocol.eof_received()
        protocol.connection_lost(None)
        assert (rig.results(), rig.shared.open, rig.shared.admission.open) == ({"none": 1}, set(), 0)

    with caplog.at_level(logging.DEBUG, "fastsmtp"):
        with_door(tmp_path, test)
    assert caplog.messages == []
    assert (tmp_path / "log").read_text() == ""


def test_limits_count_the_client(tmp_path: Path) -> None:
    def test(rig: ProxyRig) -> None:
        doors = [rig.arrive() for _ in range(4)]
        for (protocol, transport), address in zip(doors, (CLIENT, CLIENT, "198.51.100.8", CLIENT), strict=True):
            protocol.data_received(line(address, "203.0.113.25") + b"NOOP\r\n")
            if address == CLIENT and transport is doors[3][1]:
                assert [word[:10] for word in transport.writes] == [b"421 4.7.0 "]
                assert transport.calls == ["close"]
            else:
                assert len(transport.writes) == 2
        assert rig.limits() == {"connections_per_address": 1}
        assert rig.shared.admission.open == 3
        for _, transport in doors:
            transport.protocol.connection_lost(None)
        assert (rig.shared.admission.open, rig.shared.open) == (0, set())

    with_door(tmp_path, test, connections_per_address=2)


def test_proxies_that_wait_count_in_all(tmp_path: Path) -> None:
    def test(rig: ProxyRig) -> None:
        waiting, _ = rig.arrive()
        _, transport = rig.arrive()
        assert transport.writes[0].startswith(b"421 4.3.2 ")
        assert transport.calls == ["close"]
        waiting.connection_lost(None)
        assert rig.shared.admission.open == 0

    with_door(tmp_path, test, connections=1)


def test_a_drain_ends_who_has_not_said_who_is_there(tmp_path: Path) -> None:
    def test(rig: ProxyRig) -> None:
        waiting, transport = rig.arrive()
        late, late_transport = rig.arrive()
        rig.shared.draining = True
        waiting.drain()
        assert (transport.writes, transport.calls) == ([], ["abort"])
        waiting.connection_lost(None)
        rig.shared.emptied.clear()
        late.data_received(HEADER)
        assert late_transport.writes[0].startswith(b"421 4.3.2 ")
        assert late_transport.calls == ["close"]
        assert rig.shared.emptied.is_set()
        assert (rig.shared.open, rig.shared.admission.open, rig.results()) == (set(), 0, {"v1": 1})

    with_door(tmp_path, test)


def test_tls_from_the_start_comes_behind_the_header(tmp_path: Path) -> None:
    def test(rig: ProxyRig) -> None:
        rig.offer_tls(implicit=True)
        client = TlsClient()
        protocol, transport = rig.arrive()
        protocol.data_received(HEADER + client.handshake(b""))
        answer = b"".join(transport.writes)
        while not client.is_secured:
            transport.writes.clear()
            transport.protocol.data_received(client.handshake(answer))
            answer = b"".join(transport.writes)
        assert client.decrypt(answer) == GREETING

    with_door(tmp_path, test)
