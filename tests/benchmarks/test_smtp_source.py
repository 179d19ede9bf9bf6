from dataclasses import replace
from pathlib import Path

import pytest
from benchmarks.floors import USERS, running

from bench.load import smtp_source
from bench.load.generator import Load, recipients_file
from bench.load.smtp_source import RunningSmtpSource
from bench.peers import PEERS
from bench.peers.floor import Floor

LOAD = Load(messages=40, connections=4, generator="smtp-source")


@pytest.fixture
def recipients(tmp_path: Path) -> Path:
    return recipients_file(tmp_path, [f"{user}@bench.example" for user in USERS])


@pytest.fixture(autouse=True)
def _here() -> None:
    if why := smtp_source.missing():
        pytest.skip(why)


@pytest.mark.parametrize(
    ("name", "load"), [("floor", LOAD), ("fastsmtp", LOAD), ("floor", replace(LOAD, per_connection=1))]
)
def test_everything_is_sent_and_stored(name: str, load: Load, recipients: Path, tmp_path: Path) -> None:
    with running(PEERS[name], tmp_path) as server:
        with RunningSmtpSource(server.address, load, recipients, tmp_path) as source:
            source.await_start()
            done = source.result()
        assert (done.messages, done.abandoned, done.refusal) == (40, False, "")
        assert done.seconds > 0
        assert done.cpu_s > 0
        assert server.peer.stored(server.site) == 40
        stored = next((server.site.mail / "bench.example/user0/new").iterdir())
        assert 0.95 < stored.stat().st_size / 4096 < 1.15


def test_a_refusal_is_told_of(tmp_path: Path) -> None:
    strangers = recipients_file(tmp_path, ["nobody@elsewhere.example"])
    with running(PEERS["fastsmtp"], tmp_path) as server:
        with RunningSmtpSource(server.address, LOAD, strangers, tmp_path) as source:
            done = source.result()
        assert done.abandoned
        assert "550" in done.refusal
        assert done.messages == 0


@pytest.mark.parametrize("load", [replace(LOAD, pipelining=True), replace(LOAD, recipients_each=2), Load(seconds=1.0)])
def test_what_it_cannot_do_is_refused(load: Load, recipients: Path, tmp_path: Path) -> None:
    with pytest.raises(ValueError, match="smtp-source cannot send"):
        RunningSmtpSource("127.0.0.1:25", load, recipients, tmp_path)


def test_it_is_ended_with_its_block(recipients: Path, tmp_path: Path) -> None:
    with running(Floor("floor"), tmp_path) as server:
        with RunningSmtpSource(server.address, replace(LOAD, messages=10**6), recipients, tmp_path) as source:
            source.await_start()
        assert source._process.returncode is not None  # noqa: SLF001 - nothing of it is left
