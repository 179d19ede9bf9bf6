"""Workers that come, go and die under load: nobody is refused, and nothing that was promised is lost.

RELOADS=200 is the long form.
"""

import os
import signal
import time
from pathlib import Path
from typing import Final

import pytest
from integration.load import Load, loaded
from integration.server import ServerProcess, is_alive, make_site, running_server, serve, start_and_kill, wait_until
from ports import free_port
from refusals import without_id

RELOADS: Final = int(os.environ.get("RELOADS", "20"))

JOURNAL: Final = {"maildir.durability": "journal", "maildir.journal_size": "4MiB", "limits.exempt": ["127.0.0.0/8"]}
TWO: Final = {**JOURNAL, "listen.workers": 2}


def serving(server: ServerProcess) -> int:
    """How many workers serve."""
    return int(server.metric("fastsmtp_worker_up"))


def stored(server: ServerProcess) -> float:
    return server.metric("fastsmtp_store_messages_total", code="250")


def reload(server: ServerProcess, result: str = "done") -> None:
    before = server.metric("fastsmtp_reloads_total", result=result)
    server.signal(signal.SIGHUP)
    wait_until(lambda: server.metric("fastsmtp_reloads_total", result=result) > before, f"reload {result}")


def test_reloads_under_load(tmp_path: Path) -> None:
    with running_server(tmp_path / "site", TWO) as server:
        with loaded(server) as load:
            wait_until(lambda: bool(load.promised), "the first 250")
            counted = 0.0
            for _ in range(RELOADS):
                before = set(server.workers())
                reload(server)
                now = stored(server)
                assert now >= counted
                counted = now
                assert serving(server) == 2
                assert len(set(server.workers()) - before) >= 2
            assert server.metric("fastsmtp_generation") == RELOADS + 1
        # 421 is what an idle client of an old worker hears; it comes again. Short connections notice nothing.
        assert set(load.heard) <= {"long 421"}
        load.check()
        assert stored(server) >= len(load.promised) > RELOADS
        wait_until(lambda: len(server.workers()) == 2, "the old ones are gone")
        assert not server.troubles()


def test_a_worker_that_is_killed_under_load(tmp_path: Path) -> None:
    with running_server(tmp_path / "site", TWO) as server:
        with loaded(server) as load:
            wait_until(lambda: bool(load.promised), "the first 250")
            for number in range(4):
                before = stored(server)
                victim, other = server.workers()[:2]
                os.kill(victim, signal.SIGKILL)
                wait_until(lambda: not is_alive(victim), "it dies")  # noqa: B023 - called here
                assert is_alive(other)
                promised = len(load.promised)
                wait_until(lambda: len(load.promised) > promised, "the others go on")  # noqa: B023 - called here
                wait_until(
                    lambda: server.metric("fastsmtp_worker_deaths_total") == number + 1,  # noqa: B023 - called here
                    "it is missed",
                )
                wait_until(lambda: serving(server) == 2, "it has a successor")
                assert stored(server) >= before
        assert "refused" not in load.heard
        load.check()
        wait_until(lambda: server.metric("fastsmtp_journal_unrecovered_rings") == 0, "all rings are recovered")


def test_a_supervisor_that_is_killed_takes_its_workers_along_and_has_a_successor_at_once(tmp_path: Path) -> None:
    port = free_port()
    configuration = make_site(
        tmp_path / "site", {**TWO, "listen.smtp": [f"127.0.0.1:{port}"]}, ["alice@example.test"], ""
    )
    loads: list[Load] = []
    for _ in range(3):
        with serve(configuration) as server, loaded(server) as load:
            wait_until(lambda: len(load.promised) > 5, "some are promised")
            workers = server.workers()
            assert len(workers) == 2
            os.kill(server.pid, signal.SIGKILL)
            server.process.wait()
            load.stop()
            wait_until(lambda: not any(map(is_alive, workers)), "they die with it")  # noqa: B023 - called here
        loads.append(load)
    start_and_kill(configuration, lambda: time.sleep(0.7))
    with serve(configuration) as server:
        assert server.port == port
        for load in loads:
            assert load.promised
        names = set().union(*(load.promised for load in loads))
        text = b"".join(server.messages("alice@example.test"))
        assert not [name for name in names if b"Subject: %b\n" % name.encode() not in text]


PLUGIN = """
from fastsmtp.plugin import *

class Local(Plugin[NoOptions]):
    def on_mail(self, txn, sender):
        return reject("5.7.1", "{text}")
"""


def test_new_plugin_code_answers_after_a_reload(tmp_path: Path) -> None:
    folder = tmp_path / "plugins"
    folder.mkdir()
    (folder / "local.py").write_text(PLUGIN.format(text="old"))
    plugins = '[[plugin]]\nuse = "local"\n'
    with running_server(tmp_path / "site", {**TWO, "plugin_path": [str(folder)]}, plugins=plugins) as server:

        def answers() -> set[bytes]:
            heard = set()
            for _ in range(10):
                with server.connect() as client, client.makefile("rb") as replies:
                    replies.readline()
                    client.sendall(b"HELO x\r\nMAIL FROM:<>\r\n")
                    replies.readline()
                    heard.add(without_id(replies.readline()))
            return heard

        assert answers() == {b"550 5.7.1 old\r\n"}
        (folder / "local.py").write_text(PLUGIN.format(text="new"))
        reload(server)
        assert answers() == {b"550 5.7.1 new\r\n"}
        (folder / "local.py").write_text("this is no Python")
        reload(server, "failed")
        assert answers() == {b"550 5.7.1 new\r\n"}
        server.configuration.write_text(server.configuration.read_text() + "\nsurprise = 1\n")
        reload(server, "failed")
        assert answers() == {b"550 5.7.1 new\r\n"}
        assert server.metric("fastsmtp_reload_failed") == 1
        wait_until(lambda: len([line for line in server.troubles() if "not reloaded" in line["message"]]) == 2)


def test_sigterm_under_load(tmp_path: Path) -> None:
    with running_server(tmp_path / "site", TWO) as server:
        with loaded(server) as load, server.connect() as late, late.makefile("rb") as replies:
            wait_until(lambda: bool(load.promised), "the first 250")
            late.sendall(b"EHLO x\r\nMAIL FROM:<>\r\nRCPT TO:<alice@example.test>\r\nDATA\r\n")
            while not replies.readline().startswith(b"354 "):
                pass
            server.signal(signal.SIGTERM)
            time.sleep(0.3)
            load.stop()
            late.sendall(b"Subject: late\r\n\r\nText\r\n.\r\n")
            assert replies.readline().startswith(b"250 2.0.0 ")
            assert replies.readline().startswith(b"421 4.3.2 ")
            assert replies.readline() == b""
            load.promised.add("late")
        assert server.wait() == 0
        load.check()


@pytest.mark.parametrize("number", [signal.SIGTERM, signal.SIGINT])
def test_the_end_leaves_nobody(tmp_path: Path, number: signal.Signals) -> None:
    with running_server(tmp_path / "site", {"listen.workers": 3}) as server:
        workers = server.workers()
        assert len(workers) == 3
        assert server.stop(number) == 0
        assert not any(map(is_alive, workers))
