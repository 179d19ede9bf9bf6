"""State in real servers: shared by workers, kept over restarts, shared by hosts, and the server of it gone."""

import os
import signal
import smtplib
import sqlite3
import time
from collections import Counter
from pathlib import Path
from typing import Final

import pytest
from integration.server import ServerProcess, make_site, running_server, serve, wait_until
from redis_server import running_redis

USERS: Final = ["alice@example.test", "bob@example.test"]
MESSAGE: Final = b"Subject: x\r\n\r\ny\r\n"


def plugin(name: str, options: str) -> str:
    return f'[[plugin]]\nuse = "{name}"\noptions = {{ {options} }}\n'


def send(server: ServerProcess, sender: str = "a@example.org") -> int:
    """The code that decided it, in a connection of its own."""
    with smtplib.SMTP(server.host, server.port, timeout=20) as client:
        client.ehlo("client.example")
        code = client.mail(sender)[0]
        if code == 250:
            code = client.rcpt("alice@example.test")[0]
        return client.data(MESSAGE)[0] if code == 250 else code


def test_a_rate_is_that_of_the_host_and_not_of_a_worker(tmp_path: Path) -> None:
    limited = plugin("rate_limit", 'limits = [{ by = "sender", rate = "20/day" }]')
    with running_server(tmp_path, {"listen.workers": 2}, plugins=limited) as server:
        assert len(server.workers()) == 2
        codes = Counter(send(server) for _ in range(60))
        assert codes == {250: 20, 451: 40}
        assert send(server, "b@example.org") == 250
        # Both of them have seen some: the kernel spreads connections.
        both = [server.metric("fastsmtp_worker_cpu_seconds_total", worker=str(slot)) for slot in range(2)]
        assert all(both)


def test_a_worker_that_is_killed_leaves_its_buckets(tmp_path: Path) -> None:
    limited = plugin("rate_limit", 'limits = [{ by = "sender", rate = "2/day" }]')
    with running_server(tmp_path, plugins=limited) as server:
        assert [send(server), send(server)] == [250, 250]
        (victim,) = server.workers()
        os.kill(victim, signal.SIGKILL)
        wait_until(lambda: server.workers() not in ([], [victim]), "a successor")
        wait_until(lambda: server.metric("fastsmtp_worker_up") == 1, "it serves")
        assert send(server) == 451


def test_who_is_greylisted_is_known_after_a_restart(tmp_path: Path) -> None:
    greylisted = plugin("greylist", 'delay = "1s"')
    site = make_site(tmp_path, {}, USERS, greylisted)
    with serve(site) as server:
        assert send(server) == 451
    assert (tmp_path / "state.db").stat().st_mode & 0o777 == 0o600
    time.sleep(1)
    with serve(site) as server:
        assert send(server) == 250
        wait_until(lambda: server.metric("fastsmtp_state_records_written_total") >= 1, "it is written")
        assert server.metric("fastsmtp_state_records_lost_total") == 0


def test_a_state_that_is_none_keeps_the_server_from_starting(tmp_path: Path) -> None:
    site = make_site(tmp_path, {}, USERS, plugin("greylist", ""))
    (tmp_path / "state.db").write_bytes(b"something else " * 100)
    story = "plugin greylist does not start: StateError: cannot use the state"
    with pytest.raises(AssertionError, match=story), serve(site):
        pass


def test_a_state_that_breaks_under_way_holds_up_no_mail(tmp_path: Path) -> None:
    with running_server(tmp_path, plugins=plugin("greylist", "")) as server:
        with sqlite3.connect(tmp_path / "state.db") as connection:
            connection.executescript("DROP TABLE state_text; DROP TABLE state_score")
        connection.close()
        assert send(server) == 250
        wait_until(lambda: bool(server.log_lines("transaction")), "the log")
        (line,) = server.log_lines("transaction")
        assert "nobody knows" in str(line)


def test_hosts_share_rates_and_greylist_and_go_on_alone(tmp_path: Path) -> None:
    """Two servers and a Redis, which is killed in the middle and comes back."""
    plugins = plugin("rate_limit", 'limits = [{ by = "sender", rate = "4/day" }]') + plugin("greylist", 'delay = "1s"')
    (tmp_path / "redis").mkdir()
    with running_redis(tmp_path / "redis") as redis:
        settings = {"state.url": redis.url, "state.timeout": "10s"}
        with (
            running_server(tmp_path / "one", settings, plugins=plugins) as one,
            running_server(tmp_path / "two", settings, plugins=plugins) as two,
        ):
            assert send(one) == 451
            time.sleep(1)
            assert send(two) == 250
            assert [send(one), send(two), send(one)] == [250, 250, 451]

            redis.kill()
            # What each host has seen itself still holds; the greylist lets strangers in.
            codes = [send(one, "b@example.org") for _ in range(5)]
            assert codes == [250, 250, 250, 250, 451]
            assert one.metric("fastsmtp_state_away") == 1
            wait_until(lambda: "state is away" in (line["message"] for line in one.troubles()), "the log")

            redis.start()
            wait_until(lambda: one.metric("fastsmtp_state_away") == 0, "it is back")
            assert send(one, "c@example.net") == 451
            assert send(two, "c@example.net") == 451
            assert [line["message"] for line in one.troubles()].count("state is away") == 1


def test_a_frozen_redis_costs_its_timeout_once(tmp_path: Path) -> None:
    limited = plugin("rate_limit", 'limits = [{ by = "sender", rate = "100/day" }]')
    (tmp_path / "redis").mkdir()
    with (
        running_redis(tmp_path / "redis") as redis,
        running_server(tmp_path / "site", {"state.url": redis.url, "state.timeout": "2s"}, plugins=limited) as server,
    ):
        assert send(server) == 250
        redis.freeze()
        assert [send(server) for _ in range(10)] == [250] * 10
        assert server.metric("fastsmtp_state_queries_total", result="timeout") == 1
        redis.thaw()
        wait_until(lambda: server.metric("fastsmtp_state_away") == 0, "it is back")
        assert send(server) == 250
