"""One connection over a transport that writes down what it is told, with a real session and pipeline behind it."""

import asyncio
import logging
import socket
from dataclasses import replace
from pathlib import Path

import pytest
from certificates import TlsClient
from connections import Broken, Encrypted, Rig, opened_log, with_rig
from refusals import without_id

from fastsmtp.config.networks import parse_networks
from fastsmtp.server.admission import Place
from fastsmtp.server.deadlines import NEVER
from fastsmtp.server.flow import INPUT_BYTES
from fastsmtp.server.service import Trust
from fastsmtp.smtp.replies import Reply

ENVELOPE = b"EHLO c.example\r\nMAIL FROM:<a@example.org>\r\nRCPT TO:<alice@example.test>\r\nDATA\r\n"


def test_replies_to_a_pipelined_group_leave_in_one_write(tmp_path: Path) -> None:
    def test(rig: Rig) -> None:
        protocol, transport = rig.connect()
        assert transport.writes == [b"220 mx.example.org ESMTP fastsmtp\r\n"]
        protocol.data_received(ENVELOPE)
        assert len(transport.writes) == 2
        assert transport.writes[1].endswith(b"354 End data with <CR><LF>.<CR><LF>\r\n")

    with_rig(tmp_path, test)


def test_input_behind_a_question_stays_until_the_answer(tmp_path: Path) -> None:
    async def body() -> None:
        with opened_log(tmp_path) as log:
            rig = Rig(log)
            protocol, transport = rig.connect()
            protocol.data_received(ENVELOPE)
            transport.writes.clear()
            protocol.data_received(b"x\r\n.\r\nNOOP\r\n")
            protocol.data_received(b"QUIT\r\n")
            assert transport.writes == []
            assert protocol.deadline == NEVER  # from here on it is our time
            rig.fake.futures[0].set_result(Reply(250, "2.0.0", "stored"))
            await asyncio.sleep(0)
            assert transport.writes == [b"250 2.0.0 stored\r\n250 2.0.0 OK\r\n221 2.0.0 Bye\r\n"]
            assert transport.calls == ["close"]

    asyncio.run(body())


def test_input_that_piles_up_stops_reading(tmp_path: Path) -> None:
    async def body() -> None:
        with opened_log(tmp_path) as log:
            rig = Rig(log)
            protocol, transport = rig.connect()
            protocol.data_received(ENVELOPE + b"x\r\n.\r\n")
            protocol.data_received(b"NOOP\r\n" * (INPUT_BYTES // 6 + 1))
            assert transport.calls == ["pause"]
            rig.fake.futures[0].set_result(Reply(250, "2.0.0", "stored"))
            await asyncio.sleep(0)
            assert transport.calls == ["pause", "resume"]
            for _ in range(INPUT_BYTES // 6 // 128 + 1):
                await asyncio.sleep(0)
            assert b"".join(transport.writes).count(b"250 2.0.0 OK\r\n") == INPUT_BYTES // 6 + 1

    asyncio.run(body())


def test_a_flood_of_commands_lets_others_have_their_turn(tmp_path: Path) -> None:
    """It is answered in portions, and read no faster than it is answered."""

    async def body() -> None:
        with opened_log(tmp_path) as log:
            rig = Rig(log)
            protocol, transport = rig.connect()
            protocol.data_received(b"NOOP\r\n" * 20_000)
            assert transport.writes[-1].count(b"\r\n") == 128
            protocol.data_received(b"QUIT\r\n")
            assert transport.calls == ["pause"]
            assert protocol.eof_received() is True
            turns = 0
            while "close" not in transport.calls:
                await asyncio.sleep(0)
                turns += 1
                left = 20_001 - b"".join(transport.writes[1:]).count(b"\r\n")
                assert ("resume" in transport.calls) is (len(b"NOOP\r\n") * left < INPUT_BYTES)
            said = b"".join(transport.writes[1:])
            assert said == b"250 2.0.0 OK\r\n" * 20_000 + b"221 2.0.0 Bye\r\n"
            assert turns >= 20_000 // 128
            assert rig.load.octets == 0

    asyncio.run(body())


def test_a_flood_waits_for_a_client_that_does_not_read(tmp_path: Path) -> None:
    async def body() -> None:
        with opened_log(tmp_path) as log:
            rig = Rig(log)
            protocol, transport = rig.connect()
            protocol.data_received(b"NOOP\r\n" * 200)
            protocol.pause_writing()
            for _ in range(5):
                await asyncio.sleep(0)
            assert len(transport.writes) == 2
            protocol.resume_writing()
            await asyncio.sleep(0)
            assert transport.writes[-1].count(b"\r\n") == 72
            protocol.data_received(b"NOOP\r\n" * 200)
            protocol.connection_lost(None)
            await asyncio.sleep(0)
            assert rig.gauge() == 0

    asyncio.run(body())


def test_nothing_is_answered_while_the_client_does_not_read(tmp_path: Path) -> None:
    def test(rig: Rig) -> None:
        protocol, transport = rig.connect()
        protocol.pause_writing()
        before = len(transport.writes)
        protocol.data_received(b"NOOP\r\n")
        assert len(transport.writes) == before
        protocol.resume_writing()
        assert transport.writes[before:] == [b"250 2.0.0 OK\r\n"]

    with_rig(tmp_path, test)


def test_a_client_that_neither_reads_nor_leaves_is_cut_off(tmp_path: Path) -> None:
    def test(rig: Rig) -> None:
        protocol, transport = rig.connect()
        protocol.pause_writing()
        protocol.expire()
        assert transport.calls == ["abort"]

    with_rig(tmp_path, test)


def test_an_answer_to_a_client_that_does_not_read_starts_its_time(tmp_path: Path) -> None:
    async def body() -> None:
        with opened_log(tmp_path) as log:
            rig = Rig(log)
            protocol, _ = rig.connect()
            protocol.data_received(ENVELOPE)
            protocol.data_received(b"x\r\n.\r\n")
            protocol.pause_writing()
            rig.fake.futures[0].set_result(Reply(250, "2.0.0", "stored"))
            await asyncio.sleep(0)
            assert protocol.deadline < NEVER

    asyncio.run(body())


def test_a_slow_client_is_told_so(tmp_path: Path) -> None:
    def test(rig: Rig) -> None:
        protocol, transport = rig.connect()
        protocol.expire()
        assert transport.writes[-1].startswith(b"421 4.4.2 ")
        assert transport.calls == ["close"]

    with_rig(tmp_path, test)


def test_single_bytes_buy_no_time(tmp_path: Path) -> None:
    def test(rig: Rig) -> None:
        protocol, _ = rig.connect()
        deadline = protocol.deadline
        protocol.data_received(b"N")
        protocol.data_received(b"O")
        assert protocol.deadline == deadline

    with_rig(tmp_path, test)


def test_octets_of_a_message_buy_no_time_unless_enough_of_them_come(tmp_path: Path) -> None:
    def test(rig: Rig) -> None:
        protocol, transport = rig.connect()
        protocol.data_received(ENVELOPE)
        deadline = protocol.deadline
        protocol.data_received(b"x" * (rig.service.patience.data_octets - 1))
        protocol.data_received(b"x")
        assert protocol.deadline == deadline
        protocol.expire()
        assert protocol.deadline > deadline
        assert len(transport.writes) == 2
        protocol.data_received(b"x" * (rig.service.patience.data_octets - 1))
        protocol.expire()
        assert without_id(transport.writes[-1]) == b"421 4.4.2 Your message comes too slowly\r\n"
        assert rig.limits() == {"data_rate": 1}

    with_rig(tmp_path, test)


def test_a_message_in_chunks_is_no_idle_connection(tmp_path: Path) -> None:
    def test(rig: Rig) -> None:
        rig.service.patience = replace(rig.service.patience, idle_s=1.0)
        protocol, _ = rig.connect()
        loop = rig.shared.loop
        begun = loop.time()
        protocol.data_received(ENVELOPE.removesuffix(b"DATA\r\n"))
        assert protocol.deadline <= begun + 1
        protocol.data_received(b"BDAT 1\r\nx")
        while loop.time() < begun + 0.1:
            protocol.data_received(b"BDAT 1\r\nx")
        protocol.data_received(b"BDAT 1\r\nx")
        assert protocol.deadline > begun + 1.05

    with_rig(tmp_path, test)


def test_what_is_not_read_in_time_is_counted(tmp_path: Path) -> None:
    def test(rig: Rig) -> None:
        protocol, transport = rig.connect()
        protocol.pause_writing()
        protocol.expire()
        assert transport.calls == ["abort"]
        assert rig.limits() == {"reading_time": 1}

    with_rig(tmp_path, test)


@pytest.mark.parametrize("talks", [True, False])
def test_who_speaks_before_the_greeting_is_an_early_talker(tmp_path: Path, *, talks: bool) -> None:
    def test(rig: Rig) -> None:
        client, server = socket.socketpair()
        with client, server:
            if talks:
                client.sendall(b"EHLO c.example\r\n")
            rig.connect(server)
        family = next(family for family in rig.stats.families() if family.name == "fastsmtp_early_talkers_total")
        assert rig.stats.cells[family.children[()]] == talks

    with_rig(tmp_path, test)


def test_input_that_waits_is_part_of_the_load(tmp_path: Path) -> None:
    async def body() -> None:
        with opened_log(tmp_path) as log:
            rig = Rig(log)
            protocol, _ = rig.connect()
            protocol.data_received(ENVELOPE + b"x\r\n.\r\n")
            message = len(b"x\n")
            assert rig.load.octets == message
            protocol.data_received(b"NOOP\r\n")
            protocol.data_received(b"NO")
            assert rig.load.octets == message + len(b"NOOP\r\nNO")
            rig.fake.futures[0].set_result(Reply(250, "2.0.0", "stored"))
            await asyncio.sleep(0)
            assert rig.load.octets == 0

    asyncio.run(body())


def test_with_memory_short_nothing_is_read_while_we_work(tmp_path: Path) -> None:
    def test(rig: Rig) -> None:
        protocol, transport = rig.connect()
        protocol.data_received(ENVELOPE + b"x\r\n.\r\n")
        rig.load.limit = 1
        protocol.data_received(b"NOOP\r\n")
        assert transport.calls == ["pause"]
        protocol.connection_lost(None)
        assert rig.load.octets == len(b"x\n")  # its message is still being stored

    with_rig(tmp_path, test)


def test_a_message_that_arrives_can_be_shed_and_one_that_is_stored_cannot(tmp_path: Path) -> None:
    async def body() -> None:
        with opened_log(tmp_path) as log:
            rig = Rig(log)
            arriving, transport = rig.connect()
            storing, _ = rig.connect()
            idle, _ = rig.connect()
            arriving.data_received(ENVELOPE + b"some\r\n")
            storing.data_received(ENVELOPE + b"all\r\n.\r\n")
            assert [protocol.held_octets for protocol in (arriving, storing, idle)] == [5, 0, 0]
            assert arriving.begun_ns > 0
            assert idle.begun_ns == 0
            for protocol in (arriving, storing, idle):
                protocol.shed()
            assert rig.load.octets == 4
            arriving.data_received(b"rest\r\n.\r\n")
            assert transport.writes[-1].startswith(b"452 4.3.1 ")
            rig.fake.futures[0].set_result(Reply(250, "2.0.0", "stored"))
            await asyncio.sleep(0)
            assert rig.load.octets == 0

    asyncio.run(body())


def test_in_need_of_memory_whoever_does_not_read_is_closed(tmp_path: Path) -> None:
    def test(rig: Rig) -> None:
        protocol, transport = rig.connect()
        protocol.pause_writing()
        assert protocol.held_octets == 0
        protocol.data_received(b"NOOP\r\n" * 10)
        assert protocol.held_octets == rig.load.octets == 60
        protocol.shed()
        assert transport.calls == ["abort"]
        assert rig.load.octets == 0
        assert rig.limits() == {"reading_time": 1}
        protocol.connection_lost(None)
        assert rig.load.octets == 0

    with_rig(tmp_path, test)


def test_who_had_mail_stored_is_known_at_the_door(tmp_path: Path) -> None:
    async def body() -> None:
        with opened_log(tmp_path) as log:
            rig = Rig(log)
            door = rig.shared.admission
            protocol, _ = rig.connect()
            protocol.data_received(ENVELOPE + b"x\r\n.\r\n")
            door.overload.look({"connections": 2.0}, 0)
            assert isinstance(door.enter("192.0.2.1", rig.shared.now_s()), Reply)
            rig.fake.futures[0].set_result(Reply(250, "2.0.0", "stored"))
            await asyncio.sleep(0)
            assert isinstance(door.enter("192.0.2.1", rig.shared.now_s()), Place)
            assert isinstance(door.enter("198.51.100.1", rig.shared.now_s()), Reply)

    asyncio.run(body())


def test_end_of_input_while_storing_still_gets_its_answer(tmp_path: Path) -> None:
    async def body() -> None:
        with opened_log(tmp_path) as log:
            rig = Rig(log)
            protocol, transport = rig.connect()
            protocol.data_received(ENVELOPE + b"x\r\n.\r\n")
            assert protocol.eof_received() is True
            rig.fake.futures[0].set_result(Reply(250, "2.0.0", "stored"))
            await asyncio.sleep(0)
            assert transport.writes[-1] == b"250 2.0.0 stored\r\n"
            assert transport.calls == ["close"]

    asyncio.run(body())


def test_end_of_input_in_a_message_stores_nothing(tmp_path: Path) -> None:
    def test(rig: Rig) -> None:
        protocol, transport = rig.connect()
        protocol.data_received(ENVELOPE + b"x\r\n.\r")
        assert protocol.eof_received() is False
        assert rig.fake.futures == []
        assert transport.calls == ["close"]

    with_rig(tmp_path, test)


def test_a_client_that_vanishes_while_we_store_leaves_when_that_is_done(tmp_path: Path) -> None:
    async def body() -> None:
        with opened_log(tmp_path) as log:
            rig = Rig(log)
            protocol, transport = rig.connect()
            protocol.data_received(ENVELOPE + b"x\r\n.\r\n")
            written = len(transport.writes)
            protocol.connection_lost(ConnectionResetError())
            assert rig.shared.open == {protocol}
            rig.fake.futures[0].set_result(Reply(250, "2.0.0", "stored"))
            await asyncio.sleep(0)
            assert (rig.shared.open, rig.gauge(), len(transport.writes)) == (set(), 0, written)
        assert '"outcome":"stored"' in (tmp_path / "log").read_text()

    asyncio.run(body())


def test_a_store_that_fails_unexpectedly_is_our_trouble(tmp_path: Path, caplog: pytest.LogCaptureFixture) -> None:
    async def body() -> None:
        with opened_log(tmp_path) as log:
            rig = Rig(log)
            protocol, transport = rig.connect()
            protocol.data_received(ENVELOPE + b"x\r\n.\r\n")
            rig.fake.futures[0].set_exception(OSError("secret detail"))
            await asyncio.sleep(0)
            assert transport.writes[-1].startswith(b"451 4.3.0 ")
            assert b"secret" not in transport.writes[-1]

    with caplog.at_level(logging.ERROR):
        asyncio.run(body())
    assert "secret detail" in caplog.text


def test_a_fault_of_ours_is_421_and_logged(tmp_path: Path, caplog: pytest.LogCaptureFixture) -> None:
    def test(rig: Rig) -> None:
        protocol, transport = rig.connect()
        protocol.data_received(ENVELOPE)
        assert b"\r\n421 4.3.0 " in transport.writes[-1]
        assert b"secret" not in transport.writes[-1]
        assert transport.calls == ["close"]
        assert rig.stats.cells[rig.shared.stats.faults] == 1

    with caplog.at_level(logging.ERROR):
        with_rig(tmp_path, test, Broken())
    assert "ZeroDivisionError" in caplog.text


def test_too_many_connections_are_turned_away(tmp_path: Path) -> None:
    async def body() -> None:
        with opened_log(tmp_path) as log:
            rig = Rig(log, connections=1)
            first, _ = rig.connect()
            second, transport = rig.connect()
            (said,) = transport.writes
            assert without_id(said) == b"421 4.3.2 Too many connections, come again later\r\n"
            assert transport.calls == ["close"]
            assert transport.protocol is not second  # nothing is kept of it
            assert rig.gauge() == len(rig.shared.open) == 1
            first.connection_lost(None)
            assert rig.gauge() == 0
            third, transport = rig.connect()
            assert transport.writes[0].startswith(b"220 ")
            third.connection_lost(None)

    asyncio.run(body())


def test_draining_finishes_a_message_and_greets_nobody(tmp_path: Path) -> None:
    async def body() -> None:
        with opened_log(tmp_path) as log:
            rig = Rig(log)
            busy, busy_transport = rig.connect()
            idle, idle_transport = rig.connect()
            busy.data_received(ENVELOPE)
            rig.shared.draining = True
            busy.drain()
            idle.drain()
            assert idle_transport.writes[-1].startswith(b"421 4.3.2 ")
            assert busy_transport.calls == []
            busy.data_received(b"x\r\n.\r\n")
            rig.fake.futures[0].set_result(Reply(250, "2.0.0", "stored"))
            await asyncio.sleep(0)
            said = busy_transport.writes[-1].splitlines()
            assert [line[:4] for line in said] == [b"250 ", b"421 "]
            _, late = rig.connect()
            assert late.writes[-1].startswith(b"421 4.3.2 ")

    asyncio.run(body())


def test_a_drain_that_runs_out_cuts_a_message_short(tmp_path: Path) -> None:
    def test(rig: Rig) -> None:
        protocol, transport = rig.connect()
        protocol.data_received(ENVELOPE + b"half a mess")
        protocol.drain()
        protocol.cut()
        assert transport.writes[-1].startswith(b"421 4.3.2 ")
        assert transport.calls == ["close"]
        assert rig.fake.futures == []

    with_rig(tmp_path, test)


def test_no_task_is_made_for_what_can_be_answered_now(tmp_path: Path) -> None:
    async def body() -> None:
        loop = asyncio.get_running_loop()
        made: list[object] = []

        def refuse(_loop: asyncio.AbstractEventLoop, coroutine: object, **_: object) -> asyncio.Task[None]:
            made.append(coroutine)
            raise AssertionError("a task was made")

        with opened_log(tmp_path) as log:
            rig = Rig(log)
            loop.set_task_factory(refuse)  # type: ignore[arg-type] # it never returns
            try:
                protocol, transport = rig.connect()
                protocol.data_received(ENVELOPE + b"x\r\n.\r\n")
                rig.fake.futures[0].set_result(Reply(250, "2.0.0", "stored"))
                protocol.connection_lost(None)
            finally:
                loop.set_task_factory(None)
            assert made == []
            assert transport.writes

    asyncio.run(body())


def test_what_came_in_plain_text_behind_starttls_is_thrown_away(
    tmp_path: Path, caplog: pytest.LogCaptureFixture
) -> None:
    def test(rig: Rig) -> None:
        stats = rig.offer_tls()
        protocol, transport = rig.connect()
        protocol.data_received(b"EHLO evil.example\r\nSTARTTLS\r\nMAIL FROM:<evil@example.org>\r\nRCPT TO")
        assert transport.writes[-1].endswith(b"\r\n220 2.0.0 Ready to start TLS\r\n")
        assert rig.stats.cells[stats.discarded] == 37
        client = Encrypted(transport)
        assert client.handshake() == ""
        assert client.say(b"MAIL FROM:<a@example.org>\r\n") == "503 5.5.1 Say HELO or EHLO first\r\n"
        assert "STARTTLS" not in client.say(b"EHLO c.example\r\n")
        assert client.say(b"QUIT\r\n") == "221 2.0.0 Bye\r\n"
        assert transport.calls == ["close"]
        transport.protocol.connection_lost(None)
        assert rig.gauge() == 0

    with_rig(tmp_path, test)
    [record] = caplog.records
    assert (record.message, record.__dict__["bytes"]) == ("plain text behind STARTTLS thrown away", 37)


def test_encrypted_from_the_start(tmp_path: Path) -> None:
    def test(rig: Rig) -> None:
        rig.offer_tls(implicit=True)
        protocol, transport = rig.connect()
        assert transport.writes == []
        client = Encrypted(transport)
        assert client.handshake() + client.say(b"") == "220 mx.example.org ESMTP fastsmtp\r\n"
        assert client.say(b"STARTTLS\r\n") == "503 5.5.1 Say HELO or EHLO first\r\n"
        assert rig.shared.open == {protocol}

    with_rig(tmp_path, test)


def test_nobody_is_turned_away_in_plain_text_where_tls_is_spoken(tmp_path: Path) -> None:
    def test(rig: Rig) -> None:
        rig.offer_tls(implicit=True)
        rig.shared.draining = True
        protocol, transport = rig.connect()
        assert (transport.writes, transport.calls) == ([], ["close"])
        assert transport.protocol is not protocol
        assert rig.gauge() == 0

    with_rig(tmp_path, test)


@pytest.mark.parametrize("implicit", [False, True])
def test_a_handshake_has_its_time(tmp_path: Path, implicit: bool) -> None:
    def test(rig: Rig) -> None:
        stats = rig.offer_tls(implicit=implicit)
        protocol, transport = rig.connect()
        if not implicit:
            protocol.data_received(b"EHLO c.example\r\nSTARTTLS\r\n")
        left_s = protocol.deadline - rig.shared.loop.time()
        assert 19.0 < left_s <= 20.0
        transport.protocol.data_received(TlsClient().handshake()[:20])
        assert protocol.deadline - rig.shared.loop.time() <= left_s
        protocol.expire()
        assert transport.calls == ["abort"]
        transport.protocol.connection_lost(None)
        assert rig.stats.cells[stats.failures["timeout"]] == 1
        assert rig.stats.cells[stats.failures["left"]] == 0
        assert rig.gauge() == 0

    with_rig(tmp_path, test)


def test_draining_waits_for_a_handshake_and_is_said_in_tls(tmp_path: Path) -> None:
    def test(rig: Rig) -> None:
        rig.offer_tls()
        protocol, transport = rig.connect()
        protocol.data_received(b"EHLO c.example\r\nSTARTTLS\r\n")
        said = len(transport.writes)
        protocol.drain()
        assert len(transport.writes) == said
        client = Encrypted(transport)
        assert client.handshake() == "421 4.3.2 Shutting down, come again soon\r\n"
        assert transport.calls == ["close"]

    with_rig(tmp_path, test)


def test_a_drain_that_runs_out_cuts_a_handshake(tmp_path: Path) -> None:
    def test(rig: Rig) -> None:
        rig.offer_tls(implicit=True)
        protocol, transport = rig.connect()
        protocol.drain()
        protocol.cut()
        assert (transport.writes, transport.calls) == ([], ["abort"])

    with_rig(tmp_path, test)


def test_a_client_in_place_of_another_is_counted_in_its_place(tmp_path: Path) -> None:
    async def body() -> None:
        with opened_log(tmp_path) as log:
            rig = Rig(log, connections_per_address=1)
            rig.service.trust = Trust(parse_networks(["192.0.2.1"]), replace(rig.service.options, xclient=True))
            one, transport = rig.connect()
            one.data_received(b"XCLIENT ADDR=198.51.100.7\r\n")
            assert transport.writes[-1].startswith(b"220 ")
            two, transport = rig.connect()  # there is room for the proxy again
            two.data_received(b"XCLIENT ADDR=198.51.100.7\r\nNOOP\r\n")
            assert transport.writes[-1].startswith(b"421 4.7.0 ")
            assert transport.calls == ["close"]
            two.connection_lost(None)
            one.data_received(b"XCLIENT ADDR=198.51.100.8\r\n")
            three, transport = rig.connect()
            three.data_received(b"XCLIENT ADDR=198.51.100.7\r\n")
            assert transport.writes[-1].startswith(b"220 ")
            for protocol in (one, three):
                protocol.connection_lost(None)
            assert (rig.shared.admission.open, rig.gauge()) == (0, 0)
            assert rig.limits() == {"connections_per_address": 1}

    asyncio.run(body())
