"""Every peer that is installed here: it starts, takes mail, has stored it, and nothing of it is left."""

import subprocess
import tempfile
from collections.abc import Iterator
from pathlib import Path

import pytest
from benchmarks.floors import USERS, running

from bench.account import ControlGroup
from bench.load.generator import Load, recipients_file, run
from bench.peers import PEERS
from bench.peers.peer import Launch, Peer, RunningPeer, Site, free_port, needs_programs

DEADLINE_S = 60


@pytest.fixture
def folder() -> Iterator[Path]:
    """pytest's own is closed to the users that some servers run as."""
    with tempfile.TemporaryDirectory() as name:
        yield Path(name)


@pytest.mark.parametrize("name", PEERS)
def test_takes_mail_and_leaves_nothing(name: str, folder: Path) -> None:
    peer = PEERS[name]
    if why := peer.missing():
        pytest.skip(why)
    assert peer.version()
    load = Load(messages=30, connections=3, recipients_each=2)
    with running(peer, folder) as server:
        recipients = recipients_file(folder, [f"{user}@bench.example" for user in USERS])
        done = run(server.address, peer.suited(load), recipients, folder, lmtp=peer.is_lmtp)
        assert (done.messages, done.refusal) == (30, "")
        server.await_settled(DEADLINE_S)
        if peer.stores:
            assert peer.stored(server.site) == (30 if name == "aiosmtpd" else 60)
        if server.account.kind == "cgroup":  # else it goes in steps of 10 ms, and so few messages may take less
            assert server.account.cpu_s() > 0
        pids = server.account.pids()
        assert pids
        assert server.is_alive()
        assert server.start_s > 0
    assert not [pid for pid in pids if is_running(pid)]


def is_running(pid: int) -> bool:
    """A zombie is not: it waits for somebody to read its exit code."""
    path = Path(f"/proc/{pid}/stat")
    try:
        return path.read_text().rpartition(")")[2].split()[0] != "Z"
    except OSError:
        return False


def test_who_is_not_here_says_what_it_needs() -> None:
    assert needs_programs("a-package", "no-such-program") == "no-such-program not found; it comes with a-package"


class Broken(Peer):
    name = "broken"
    promise = "nothing"

    def missing(self) -> str:
        return ""

    def version(self) -> str:
        return "1"

    def prepare(self, site: Site) -> Launch:
        return Launch(["sh", "-c", "echo it is broken >&2; exit 3"], f"127.0.0.1:{free_port()}")


def test_who_does_not_start_is_told_of(tmp_path: Path) -> None:
    with pytest.raises(SystemExit, match=r"(?s)broken does not start.*it is broken"):
        RunningPeer(Broken(), Site(tmp_path, "bench.example", USERS))


def test_a_daemon_that_goes_its_own_way_is_caught(tmp_path: Path) -> None:
    group = ControlGroup.make("probe") or pytest.skip("no control group here: whoever leaves the tree is not seen")
    group.close()

    class Straying(Broken):
        def prepare(self, site: Site) -> Launch:
            return Launch(["sh", "-c", "setsid sleep 4711 & exit 3"], f"127.0.0.1:{free_port()}")

    with pytest.raises(SystemExit):
        RunningPeer(Straying(), Site(tmp_path, "bench.example", USERS))
    found = subprocess.run(["pgrep", "-f", "^sleep 4711$"], check=False, capture_output=True).stdout
    assert found == b""
